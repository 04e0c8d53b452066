"""`keyward:policy/verifying`."""

import hashlib
import hmac

from .._contract import types
from .world import Handle, world


def verify(key: Handle, data: bytes, signature: bytes, form: types.SignatureForm) -> int | None:
    key.key.must("signature")
    for number in key.usable():
        right = world().tag(key, number, "signature", form.name, data)
        if hmac.compare_digest(right, signature):
            return number
    return None


def public_key(key: Handle) -> bytes:
    key.key.must("signature")
    return hashlib.sha256(b"public" + key.secret(key.number)).digest()
