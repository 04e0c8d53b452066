"""Which interfaces of the host the policy imports. A module of this package such as
`keyward_policy.sealing` grants one when it is imported; the build puts into the component those that
were granted when the policy's module had been loaded, and no other."""

from __future__ import annotations

from types import ModuleType
from typing import Any, Callable, TypeVar

from ._contract import Err, Ok, Result, interface, types
from .errors import PolicyError, from_wire

T = TypeVar("T")

_granted: dict[str, ModuleType] = {}


def grant(name: str) -> None:
    """Called by the module of an interface: its functions may be called from now on."""
    _granted[name] = interface(name)


def granted() -> list[str]:
    """The interfaces that were granted, sorted."""
    return sorted(_granted)


def call(name: str, function: str, *args: Any) -> Any:
    """Calls a function of an interface; its errors are those of `errors`."""
    functions = _granted.get(name)
    if functions is None:
        raise RuntimeError(f"`{function}` needs `import keyward_policy.{name}` in the policy")
    return attempt(lambda: getattr(functions, function)(*args))


def attempt(work: Callable[[], T]) -> T:
    """Does `work`; an error of the host becomes one of `errors`."""
    try:
        return work()
    except Err as error:
        raise from_wire(error.value) from None


def outcome(result: Result[T, types.Error]) -> T | PolicyError:
    """One result of a call for many: the value, or the error it would have raised."""
    return result.value if isinstance(result, Ok) else from_wire(result.value)
