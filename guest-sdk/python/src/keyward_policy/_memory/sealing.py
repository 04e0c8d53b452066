"""`keyward:policy/sealing`."""

from .._contract import Err, Ok, Result, types
from .._wit.imports.sealing import Plaintext
from .world import Handle, world

__all__ = ["Plaintext", "encrypt", "encrypt_many"]


def encrypt(key: Handle, data: bytes, aad: bytes) -> bytes:
    return world().seal(key, data, "policy", aad)


def encrypt_many(key: Handle, items: list[Plaintext]) -> list[Result[bytes, types.Error]]:
    results: list[Result[bytes, types.Error]] = []
    for item in items:
        try:
            results.append(Ok(encrypt(key, item.data, item.aad)))
        except Err as error:
            results.append(error)
    return results
