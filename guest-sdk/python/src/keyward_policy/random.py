"""Importing this module is the permission `keyward:policy/random`."""

from ._permissions import call, grant

__all__ = ["random_bytes"]

grant("random")


def random_bytes(length: int) -> bytes:
    """Random bytes from the host's cryptographic generator, at most 64 KiB."""
    return bytes(call("random", "bytes", length))
