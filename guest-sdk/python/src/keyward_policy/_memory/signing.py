"""`keyward:policy/signing`."""

from .._contract import types
from .world import Handle, world


def sign(key: Handle, data: bytes, form: types.SignatureForm) -> bytes:
    key.key.must("signature")
    return world().tag(key, key.number, "signature", form.name, data)
