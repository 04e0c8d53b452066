"""What a policy remembers, in memory."""

from __future__ import annotations

import math
from dataclasses import dataclass

from .._contract import Err, types


@dataclass(frozen=True)
class Kept:
    """One entry; its life ends at `ends`, in milliseconds."""

    value: bytes
    revision: int
    ends: float


class Memory:
    """One tenant's entries."""

    def __init__(self) -> None:
        self._entries: dict[str, Kept] = {}
        self._revisions = 0
        self.now = 0
        """The time by which lives end, in milliseconds."""

    def get(self, name: str) -> Kept | None:
        kept = self._entries.get(name)
        return kept if kept is not None and kept.ends > self.now else None

    def put(self, name: str, value: bytes, ttl: int | None, revision: int | None = None) -> int:
        if len(value) > 4 << 10:
            raise Err(types.Error_Invalid("an entry has at most 4,096 bytes"))
        self._must_be_at(name, revision)
        return self._write(name, value, self._end(ttl))

    def add(self, name: str, amount: int, ttl: int | None) -> int:
        kept = self.get(name)
        if kept is not None and len(kept.value) != 8:
            raise Err(types.Error_Invalid("the entry is no counter"))
        total = amount + (0 if kept is None else int.from_bytes(kept.value, "big", signed=True))
        ends = self._end(ttl) if kept is None else kept.ends
        self._write(name, total.to_bytes(8, "big", signed=True), ends)
        return total

    def remove(self, name: str, revision: int | None) -> None:
        self._must_be_at(name, revision)
        self._entries.pop(name, None)

    def _must_be_at(self, name: str, revision: int | None) -> None:
        kept = self.get(name)
        if revision is not None and revision != (0 if kept is None else kept.revision):
            raise Err(types.Error_Conflict("the entry is at another revision"))

    def _write(self, name: str, value: bytes, ends: float) -> int:
        self._revisions += 1
        self._entries[name] = Kept(value, self._revisions, ends)
        return self._revisions

    def _end(self, ttl: int | None) -> float:
        return math.inf if ttl is None else self.now + ttl * 1000
