"""`keyward:policy/random`."""

import secrets

_MAX = 64 << 10


def bytes(length: int) -> object:
    if length > _MAX:
        raise ValueError(f"at most {_MAX} random bytes in one call")
    return secrets.token_bytes(length)
