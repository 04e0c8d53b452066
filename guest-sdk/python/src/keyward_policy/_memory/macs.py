"""`keyward:policy/macs`."""

import hmac

from .world import Handle, world


def mac(key: Handle, data: bytes) -> bytes:
    key.key.must("mac")
    return world().tag(key, key.number, "mac", data)


def verify(key: Handle, data: bytes, tag: bytes) -> bool:
    return hmac.compare_digest(mac(key, data), tag)
