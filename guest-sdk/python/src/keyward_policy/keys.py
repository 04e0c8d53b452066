"""Handles on the tenant's own keys. Key bytes never enter a policy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ._contract import interface, types
from ._permissions import attempt, call, grant, outcome
from .errors import PolicyError

__all__ = ["Algorithm", "Key", "SignatureForm", "open_key"]

Algorithm = types.Algorithm
SignatureForm = types.SignatureForm

grant("keys")


def _items(kind: type, items: Iterable[tuple[bytes, bytes]]) -> list[Any]:
    return [kind(data, aad) for data, aad in items]


class Key:
    """A key at one version. What it is used for needs the permission's own import."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    @property
    def name(self) -> str:
        """The key's name within the tenant."""
        return str(self._handle.name())

    @property
    def version(self) -> int:
        """The version it encrypts with: the current one, unless opened by version."""
        return int(self._handle.version())

    @property
    def algorithm(self) -> Algorithm:
        algorithm: Algorithm = self._handle.algorithm()
        return algorithm

    def attribute(self, name: str) -> str | None:
        """An attribute given to the key by its owner."""
        value: str | None = self._handle.attribute(name)
        return value

    def seal(self, data: bytes, aad: bytes = b"") -> bytes:
        """Encrypts, bound to `aad`. Needs `keyward_policy.sealing`."""
        return bytes(call("sealing", "encrypt", self._handle, data, aad))

    def seal_many(self, items: Iterable[tuple[bytes, bytes]]) -> list[bytes | PolicyError]:
        """The same for pairs of data and aad: of each the ciphertext, or an error."""
        plaintexts = _items(interface("sealing").Plaintext, items)
        return [outcome(r) for r in call("sealing", "encrypt_many", self._handle, plaintexts)]

    def open(self, data: bytes, aad: bytes = b"") -> bytes:
        """Decrypts what `seal` made with the same `aad`. Needs `keyward_policy.opening`."""
        return bytes(call("opening", "decrypt", self._handle, data, aad))

    def open_many(self, items: Iterable[tuple[bytes, bytes]]) -> list[bytes | PolicyError]:
        """The same for pairs of data and aad: of each the plaintext, or an error."""
        ciphertexts = _items(interface("opening").Ciphertext, items)
        return [outcome(r) for r in call("opening", "decrypt_many", self._handle, ciphertexts)]

    def mac(self, data: bytes) -> bytes:
        """The tag of an HMAC key. Needs `keyward_policy.macs`."""
        return bytes(call("macs", "mac", self._handle, data))

    def verify_mac(self, data: bytes, tag: bytes) -> bool:
        """Whether it is the tag of `data`, in constant time. Needs `keyward_policy.macs`."""
        return bool(call("macs", "verify", self._handle, data, tag))

    def sign(self, data: bytes, form: SignatureForm = SignatureForm.STANDARD) -> bytes:
        """A signature. Needs `keyward_policy.signing`."""
        return bytes(call("signing", "sign", self._handle, data, form))

    def verify(
        self, data: bytes, signature: bytes, form: SignatureForm = SignatureForm.STANDARD
    ) -> int | None:
        """The version whose signature it is, or none. Needs `keyward_policy.verifying`."""
        version: int | None = call("verifying", "verify", self._handle, data, signature, form)
        return version

    def public_key(self) -> bytes:
        """DER of the public half. Needs `keyward_policy.verifying`."""
        return bytes(call("verifying", "public_key", self._handle))

    def term(self, label: str, value: bytes) -> bytes:
        """A blind-index term of 32 bytes. Needs `keyward_policy.index`."""
        return bytes(call("index", "term", self._handle, label, value))

    def terms(self, label: str, value: bytes) -> list[bytes]:
        """The terms by every version in use, newest first. Needs `keyward_policy.index`."""
        return [bytes(term) for term in call("index", "terms", self._handle, label, value)]

    def tokenize(self, alphabet: str, text: str, tweak: bytes = b"") -> str:
        """A token of the same form as `text` (FF1). Needs `keyward_policy.tokens`."""
        return str(call("tokens", "tokenize", self._handle, alphabet, tweak, text))

    def reveal(self, alphabet: str, token: str, tweak: bytes = b"") -> str:
        """The text of a token, by the version it was made with. Needs `keyward_policy.tokens`."""
        return str(call("tokens", "reveal", self._handle, alphabet, tweak, token))


def open_key(name: str, version: int | None = None) -> Key:
    """Opens a key at its current version, or at a given one. Raises NotFound if there is none."""
    keys = interface("keys")
    if version is None:
        return Key(attempt(lambda: keys.open(name)))
    return Key(attempt(lambda: keys.open_version(name, version)))
