"""One tenant's keys in memory, with what Python's own library has. Its ciphertexts and signatures
are stand-ins that behave like real ones; nothing but a test should ever see them."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import secrets
from collections.abc import Iterator

from .._contract import Err, types
from .kept import Memory

_KINDS = {"HMAC": "mac", "ED25519": "signature", "ECDSA": "signature", "RSA": "signature", "ML": "signature"}
_current: list[World] = []


def invalid(message: str) -> Err[types.Error]:
    return Err(types.Error_Invalid(message))


def not_found(message: str) -> Err[types.Error]:
    return Err(types.Error_NotFound(message))


@contextlib.contextmanager
def within(world: World) -> Iterator[None]:
    """The host whose functions the policy calls meanwhile."""
    _current.append(world)
    try:
        yield
    finally:
        _current.pop()


def world() -> World:
    """The host of the test that runs."""
    if not _current:
        raise RuntimeError("no host: call the policy through keyward_policy.testing.Harness")
    return _current[-1]


def joined(*pieces: str | bytes) -> bytes:
    """The pieces, each behind its length."""
    parts = [piece.encode() if isinstance(piece, str) else piece for piece in pieces]
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


class StoredKey:
    """One key with its versions."""

    def __init__(self, name: str, algorithm: types.Algorithm, attributes: dict[str, str]) -> None:
        self.name = name
        self.algorithm = algorithm
        self.attributes = attributes
        self.versions: list[bytes] = []
        self.rotate()

    @property
    def kind(self) -> str:
        return _KINDS.get(self.algorithm.name.split("_")[0], "aead")

    def rotate(self) -> None:
        self.versions.append(secrets.token_bytes(32))

    def must(self, kind: str) -> None:
        if self.kind != kind:
            raise invalid(f"the key `{self.name}` is not one of this kind: it is {self.algorithm}")


class Handle:
    """A key at one version, as the host's functions take it."""

    def __init__(self, key: StoredKey, number: int, pinned: bool) -> None:
        self.key = key
        self.number = number
        self.pinned = pinned

    def name(self) -> str:
        return self.key.name

    def version(self) -> int:
        return self.number

    def algorithm(self) -> types.Algorithm:
        return self.key.algorithm

    def attribute(self, name: str) -> str | None:
        return self.key.attributes.get(name)

    def usable(self) -> list[int]:
        """The versions it opens and verifies with, newest first."""
        return [self.number] if self.pinned else list(range(len(self.key.versions), 0, -1))

    def secret(self, number: int) -> bytes:
        return self.key.versions[number - 1]


class World:
    """One tenant's keys, and what its policy logged."""

    def __init__(self, tenant: str) -> None:
        self.tenant = tenant
        self.keys: dict[str, StoredKey] = {}
        self.lines: list[tuple[str, str, dict[str, str]]] = []
        self.state = Memory()

    def open(self, name: str, version: int | None = None) -> Handle:
        key = self.keys.get(name)
        if key is None:
            raise not_found(f"there is no key `{name}`")
        number = len(key.versions) if version is None else version
        if not 1 <= number <= len(key.versions):
            raise not_found(f"the key `{name}` has no version {number}")
        return Handle(key, number, version is not None)

    def tag(self, handle: Handle, number: int, *pieces: str | bytes) -> bytes:
        return hmac.digest(handle.secret(number), joined(*pieces), hashlib.sha256)

    def seal(self, handle: Handle, data: bytes, channel: str, *bound: bytes) -> bytes:
        """`channel` keeps what a policy encrypted apart from what the host did by a plan."""
        handle.key.must("aead")
        nonce = secrets.token_bytes(16)
        text = self._masked(handle, handle.number, nonce, data)
        place: tuple[str | bytes, ...] = (self.tenant, handle.key.name, channel, *bound)
        tag = self.tag(handle, handle.number, nonce, text, *place)
        return handle.number.to_bytes(4, "big") + nonce + text + tag

    def unseal(self, handle: Handle, data: bytes, channel: str, *bound: bytes) -> bytes:
        handle.key.must("aead")
        number, nonce = int.from_bytes(data[:4], "big"), data[4:20]
        text, tag = data[20:-32], data[-32:]
        place: tuple[str | bytes, ...] = (self.tenant, handle.key.name, channel, *bound)
        if (
            len(data) < 52
            or number not in handle.usable()
            or not hmac.compare_digest(tag, self.tag(handle, number, nonce, text, *place))
        ):
            raise invalid("the ciphertext does not open")
        return self._masked(handle, number, nonce, text)

    def shifted(
        self, handle: Handle, alphabet: str, tweak: bytes, text: str, direction: int
    ) -> str:
        """Not FF1, but as it: of equal length and alphabet, and different by key and tweak."""
        if handle.key.algorithm != types.Algorithm.AES256_SIV:
            raise invalid(f"the key `{handle.key.name}` is not of aes256-siv")
        shifted = []
        for at, character in enumerate(text):
            place = alphabet.find(character)
            if place < 0:
                raise invalid("a character is not of the alphabet")
            stream = self.tag(handle, handle.number, "token", alphabet, tweak, str(at))
            step = direction * int.from_bytes(stream[:4], "big")
            shifted.append(alphabet[(place + step) % len(alphabet)])
        return "".join(shifted)

    @staticmethod
    def _masked(handle: Handle, number: int, nonce: bytes, data: bytes) -> bytes:
        stream = hashlib.shake_256(handle.secret(number) + nonce).digest(len(data))
        return bytes(a ^ b for a, b in zip(data, stream, strict=True))


def _recipient(public_key: bytes, encapsulated: bytes, length: int) -> tuple[bytes, bytes]:
    key = hashlib.sha256(public_key + encapsulated).digest()
    return key, hashlib.shake_256(key).digest(length)


def seal_to(public_key: bytes, info: bytes, aad: bytes, data: bytes) -> bytes:
    """Not HPKE, but as long: a stand-in that `unseal` opens."""
    encapsulated = secrets.token_bytes(32)
    key, stream = _recipient(public_key, encapsulated, len(data))
    text = bytes(a ^ b for a, b in zip(data, stream, strict=True))
    return encapsulated + text + hmac.digest(key, joined(info, aad, text), hashlib.sha256)[:16]


def unseal(public_key: bytes, info: bytes, aad: bytes, sealed: bytes) -> bytes:
    """What was sealed to a public key."""
    text = sealed[32:-16]
    key, stream = _recipient(public_key, sealed[:32], len(text))
    tag = hmac.digest(key, joined(info, aad, text), hashlib.sha256)[:16]
    if not hmac.compare_digest(tag, sealed[-16:]):
        raise ValueError("it does not open")
    return bytes(a ^ b for a, b in zip(text, stream, strict=True))
