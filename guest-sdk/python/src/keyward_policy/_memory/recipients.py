"""`keyward:policy/recipients`."""

from .world import seal_to


def seal(public_key: bytes, info: bytes, aad: bytes, data: bytes) -> bytes:
    return seal_to(public_key, info, aad, data)
