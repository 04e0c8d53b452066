"""Importing this module is the permission `keyward:policy/log`. What a policy raises that is no
PolicyError is then logged, too. Lines are structured and bounded. Never log payloads."""

from __future__ import annotations

from ._contract import interface
from ._permissions import call, grant

__all__ = ["debug", "error", "info", "warn"]

grant("log")


def _write(level: str, message: str, fields: dict[str, object]) -> None:
    level_type = interface("log").Level
    pairs = [(name, str(value)) for name, value in fields.items()]
    call("log", "write", getattr(level_type, level), message, pairs)


def debug(message: str, **fields: object) -> None:
    _write("DEBUG", message, fields)


def info(message: str, **fields: object) -> None:
    _write("INFO", message, fields)


def warn(message: str, **fields: object) -> None:
    _write("WARN", message, fields)


def error(message: str, **fields: object) -> None:
    _write("ERROR", message, fields)
