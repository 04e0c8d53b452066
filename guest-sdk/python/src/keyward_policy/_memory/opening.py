"""`keyward:policy/opening`."""

from .._contract import Err, Ok, Result, types
from .._wit.imports.opening import Ciphertext
from .world import Handle, world

__all__ = ["Ciphertext", "decrypt", "decrypt_many"]


def decrypt(key: Handle, data: bytes, aad: bytes) -> bytes:
    return world().unseal(key, data, "policy", aad)


def decrypt_many(key: Handle, items: list[Ciphertext]) -> list[Result[bytes, types.Error]]:
    results: list[Result[bytes, types.Error]] = []
    for item in items:
        try:
            results.append(Ok(decrypt(key, item.data, item.aad)))
        except Err as error:
            results.append(error)
    return results
