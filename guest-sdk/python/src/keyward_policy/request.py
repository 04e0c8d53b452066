"""What a caller asks for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ._contract import handler, types

__all__ = ["Caller", "Payload", "Request"]

_INVOKE = "invoke/"

Payload = handler.Payload


@dataclass(frozen=True)
class Caller:
    """Who is asking, as the host authenticated them."""

    subject: str
    roles: tuple[str, ...] = ()
    claims: tuple[tuple[str, str], ...] = ()

    def has_role(self, role: str) -> bool:
        return role in self.roles

    def has_any_role(self, roles: Iterable[str]) -> bool:
        return any(role in self.roles for role in roles)

    def claim(self, name: str) -> str | None:
        """The value of the first claim of that name."""
        return next((value for claimed, value in self.claims if claimed == name), None)


@dataclass(frozen=True)
class Request:
    """One operation a caller asks for."""

    id: str
    tenant: str
    caller: Caller
    operation: str
    key: str | None
    context: bytes | None
    purpose: str | None
    time: int
    """The host's clock, in milliseconds since 1970-01-01T00:00:00Z."""

    @property
    def invoked(self) -> str | None:
        """NAME of `invoke/NAME`; none for any other operation."""
        if self.operation.startswith(_INVOKE):
            return self.operation[len(_INVOKE) :]
        return None

    def has_role(self, role: str) -> bool:
        return self.caller.has_role(role)

    def has_any_role(self, roles: Iterable[str]) -> bool:
        return self.caller.has_any_role(roles)

    def claim(self, name: str) -> str | None:
        return self.caller.claim(name)

    @staticmethod
    def from_wire(request: types.Request) -> Request:
        """The request of the contract's form."""
        caller = request.caller
        return Request(
            id=request.id,
            tenant=request.tenant,
            caller=Caller(caller.subject, tuple(caller.roles), tuple(caller.claims)),
            operation=request.operation,
            key=request.key,
            context=request.context,
            purpose=request.purpose,
            time=request.time,
        )
