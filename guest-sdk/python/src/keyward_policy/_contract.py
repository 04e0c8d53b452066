"""The contract's types and functions: those of the component's host, or, outside of one, of the
host in memory.

`_wit` is generated from `wit/policy.wit`. Within a component its twin is `wit_world`, which
componentize-py puts there; both have the same classes.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._wit.componentize_py_types import Err, Ok, Result
    from ._wit.imports import types
    from ._wit.exports import handler

    IN_COMPONENT: bool
else:
    try:
        from componentize_py_types import Err, Ok, Result
        from wit_world.exports import handler
        from wit_world.imports import types

        IN_COMPONENT = True
    except ImportError:
        from ._wit.componentize_py_types import Err, Ok, Result
        from ._wit.exports import handler
        from ._wit.imports import types

        IN_COMPONENT = False

__all__ = ["IN_COMPONENT", "Err", "Ok", "Result", "handler", "interface", "types"]


def interface(name: str) -> ModuleType:
    """The functions of an interface such as `sealing`."""
    package = "wit_world.imports" if IN_COMPONENT else "keyward_policy._memory"
    return importlib.import_module(f"{package}.{name}")
