"""`keyward:policy/index`."""

from .world import Handle, world


def _at(key: Handle, number: int, label: str, value: bytes) -> bytes:
    key.key.must("mac")
    return world().tag(key, number, "term", label, value)


def term(key: Handle, label: str, value: bytes) -> bytes:
    return _at(key, key.number, label, value)


def terms(key: Handle, label: str, value: bytes) -> list[bytes]:
    return [_at(key, number, label, value) for number in key.usable()]
