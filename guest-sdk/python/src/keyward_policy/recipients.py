"""Importing this module is the permission `keyward:policy/recipients`."""

from ._permissions import call, grant

__all__ = ["seal_to"]

grant("recipients")


def seal_to(public_key: bytes, data: bytes, info: bytes = b"", aad: bytes = b"") -> bytes:
    """Encrypts to a public key (HPKE, DER) whose private half the host does not have."""
    return bytes(call("recipients", "seal", public_key, info, aad, data))
