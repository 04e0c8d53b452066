"""Importing this module is the permission `keyward:policy/state`: what a policy remembers from one
request to the next, the tenant's own. Each call asks the key store. A life `ttl` is in seconds;
without one, an entry stays."""

from __future__ import annotations

from dataclasses import dataclass

from ._permissions import call, grant

__all__ = ["Entry", "add", "get", "put", "put_if", "remove"]

grant("state")


@dataclass(frozen=True)
class Entry:
    """What is remembered under a name."""

    value: bytes
    revision: int


def get(name: str) -> Entry | None:
    """The entry of this name, if there is one."""
    entry = call("state", "get", name)
    return None if entry is None else Entry(bytes(entry.value), entry.revision)


def put(name: str, value: bytes, ttl: int | None = None) -> int:
    """Writes, whatever was there; gives the new revision."""
    return int(call("state", "put", name, value, ttl))


def put_if(name: str, value: bytes, revision: int, ttl: int | None = None) -> int:
    """Writes if the entry is at this revision still, with 0 if there is none; else raises Conflict."""
    return int(call("state", "put_if", name, value, ttl, revision))


def add(name: str, amount: int = 1, ttl: int | None = None) -> int:
    """Adds to a counter in one step; gives what it is then."""
    return int(call("state", "add", name, amount, ttl))


def remove(name: str, revision: int | None = None) -> None:
    """Removes an entry, if it is at this revision still when one is given; else raises Conflict."""
    call("state", "remove", name, revision)
