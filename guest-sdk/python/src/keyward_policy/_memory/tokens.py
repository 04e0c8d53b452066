"""`keyward:policy/tokens`."""

import secrets

from .world import Handle, world


def tokenize(key: Handle, alphabet: str, tweak: bytes, text: str) -> str:
    return world().shifted(key, alphabet, tweak, text, 1)


def reveal(key: Handle, alphabet: str, tweak: bytes, token: str) -> str:
    return world().shifted(key, alphabet, tweak, token, -1)


def random(alphabet: str, length: int) -> str:
    return "".join(secrets.choice(alphabet) for _ in range(length))
