"""`keyward:policy/log`."""

from .._wit.imports.log import Level
from .world import world

__all__ = ["Level", "write"]


def write(level: Level, message: str, fields: list[tuple[str, str]]) -> None:
    world().lines.append((level.name.lower(), message, dict(fields)))
