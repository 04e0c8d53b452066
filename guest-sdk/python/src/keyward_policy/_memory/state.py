"""`keyward:policy/state`."""

from .._wit.imports.state import Entry
from .world import world

__all__ = ["Entry", "add", "get", "put", "put_if", "remove"]


def get(name: str) -> Entry | None:
    kept = world().state.get(name)
    return None if kept is None else Entry(kept.value, kept.revision)


def put(name: str, value: bytes, ttl: int | None) -> int:
    return world().state.put(name, value, ttl)


def put_if(name: str, value: bytes, ttl: int | None, revision: int) -> int:
    return world().state.put(name, value, ttl, revision)


def add(name: str, amount: int, ttl: int | None) -> int:
    return world().state.add(name, amount, ttl)


def remove(name: str, revision: int | None) -> None:
    world().state.remove(name, revision)
