"""`keyward:policy/keys`."""

from .world import Handle, world


def open(name: str) -> Handle:
    return world().open(name)


def open_version(name: str, version: int) -> Handle:
    return world().open(name, version)
