"""A policy's own tests, without a component and without a server: any Python test runner."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ._contract import types
from ._memory.world import Handle, StoredKey, World, unseal, within
from ._permissions import attempt
from .policy import Policy
from .request import Payload

__all__ = ["Call", "Harness"]


class Harness:
    """One tenant's host in memory."""

    def __init__(self, tenant: str) -> None:
        self._world = World(tenant)

    def key(
        self,
        name: str,
        algorithm: types.Algorithm = types.Algorithm.XAES256_GCM,
        **attributes: str,
    ) -> Harness:
        """Adds a key."""
        self._world.keys[name] = StoredKey(name, algorithm, attributes)
        return self

    def rotate(self, name: str) -> Harness:
        """Gives a key one more version, and makes it the current one."""
        self._world.keys[name].rotate()
        return self

    @staticmethod
    def unseal(public_key: bytes, sealed: bytes, info: bytes = b"", aad: bytes = b"") -> bytes:
        """What `seal_to` encrypted to this public key."""
        return unseal(public_key, info, aad, sealed)

    @property
    def log(self) -> list[tuple[str, str, dict[str, str]]]:
        """What was logged: level, message and fields."""
        return self._world.lines

    def caller(
        self, subject: str, roles: tuple[str, ...] | list[str] = (), **claims: str
    ) -> Call:
        """Requests of this caller."""
        return Call(self._world, subject, tuple(roles), tuple(claims.items()))


@dataclass(frozen=True)
class Call:
    """Requests that have a caller, key, context, purpose and time in common."""

    _world: World
    _subject: str
    _roles: tuple[str, ...]
    _claims: tuple[tuple[str, str], ...]
    _key: str | None = None
    _context: bytes | None = None
    _purpose: str | None = None
    _time: int = 1_800_000_000_000

    def key(self, name: str) -> Call:
        return replace(self, _key=name)

    def context(self, data: bytes) -> Call:
        return replace(self, _context=data)

    def purpose(self, purpose: str) -> Call:
        return replace(self, _purpose=purpose)

    def time(self, milliseconds: int) -> Call:
        """The host's clock, in milliseconds since 1970."""
        return replace(self, _time=milliseconds)

    def authorize(self, policy: Policy, operation: str) -> types.Plan:
        """The policy's plan, or what it raises."""
        with within(self._world):
            return attempt(lambda: policy._authorize(self._request(operation)))

    def encrypt(self, policy: Policy, plaintext: bytes) -> bytes:
        """What the host makes of `encrypt` by the policy's plan."""
        handle, bound = self._planned(policy, "encrypt", len(plaintext))
        return attempt(lambda: self._world.seal(handle, plaintext, "payload", *bound))

    def decrypt(self, policy: Policy, ciphertext: bytes) -> bytes:
        """What the host makes of `decrypt` by the policy's plan."""
        handle, bound = self._planned(policy, "decrypt", len(ciphertext))
        return attempt(lambda: self._world.unseal(handle, ciphertext, "payload", *bound))

    def invoke(
        self, policy: Policy, name: str, body: bytes, content_type: str = "application/json"
    ) -> Payload:
        """`invoke/NAME`: the decision, then the operation."""
        self.authorize(policy, f"invoke/{name}")
        request = self._request(f"invoke/{name}")
        with within(self._world):
            return attempt(lambda: policy._invoke(request, Payload(content_type, body)))

    def _request(self, operation: str) -> types.Request:
        caller = types.Caller(self._subject, list(self._roles), list(self._claims))
        tenant = self._world.tenant
        self._world.state.now = self._time
        return types.Request(
            "test", tenant, caller, operation, self._key, self._context, self._purpose, self._time
        )

    def _planned(self, policy: Policy, operation: str, length: int) -> tuple[Handle, list[bytes]]:
        plan = self.authorize(policy, operation)
        for obligation in plan.obligations:
            if obligation.name == "max-bytes" and length > int(obligation.value):
                raise ValueError(f"the plan allows at most {obligation.value} bytes")
        name = plan.key or self._key or ""
        handle = attempt(lambda: self._world.open(name, plan.version))
        return handle, [plan.authenticated_data, self._context or b""]
