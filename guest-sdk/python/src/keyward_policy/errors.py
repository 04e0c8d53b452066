"""Why something is not done. Raise one of these; the text reaches the caller, so it must hold no
secret. Functions of the host raise them, too."""

from __future__ import annotations

from ._contract import types

__all__ = [
    "Conflict",
    "Denied",
    "Invalid",
    "NotFound",
    "PolicyError",
    "Unavailable",
    "unknown_operation",
]


class PolicyError(Exception):
    """What all of them have in common."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Denied(PolicyError):
    """The policy or the host does not allow it. HTTP 403."""


class Invalid(PolicyError):
    """The request cannot be right, whoever asks: say what to change. HTTP 400."""


class NotFound(PolicyError):
    """No such key or version in this tenant. HTTP 404."""


class Conflict(PolicyError):
    """It clashes with the state of things. HTTP 409."""


class Unavailable(PolicyError):
    """Try again later. HTTP 503."""


_CASES: list[tuple[type[PolicyError], type]] = [
    (Denied, types.Error_Denied),
    (Invalid, types.Error_Invalid),
    (NotFound, types.Error_NotFound),
    (Conflict, types.Error_Conflict),
    (Unavailable, types.Error_Unavailable),
]


def unknown_operation(operation: str) -> Denied:
    """The refusal of an operation the policy does not know."""
    return Denied(f"this policy knows no operation `{operation}`")


def to_wire(error: PolicyError) -> types.Error:
    """The contract's form of an error."""
    for own, wire in _CASES:
        if isinstance(error, own):
            made: types.Error = wire(error.message)
            return made
    return types.Error_Denied(error.message)


def from_wire(error: types.Error) -> PolicyError:
    """The error of the contract's form."""
    for own, wire in _CASES:
        if isinstance(error, wire):
            return own(error.value)
    raise TypeError(f"not an error of the contract: {error!r}")
