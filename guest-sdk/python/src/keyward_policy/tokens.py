"""Importing this module is the permission `keyward:policy/tokens`: it lets `Key.tokenize` and
`Key.reveal` work."""

from ._permissions import call, grant

__all__ = ["DIGITS", "random_token"]

DIGITS = "0123456789"

grant("tokens")


def random_token(alphabet: str, length: int) -> str:
    """Random characters of an alphabet, 1 to 1,024. They stand for nothing."""
    return str(call("tokens", "random", alphabet, length))
