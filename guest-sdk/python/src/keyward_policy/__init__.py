"""What a Keyward policy in Python is written with. Nothing here lets a policy do anything: what it
may do are the modules of this package that it imports, such as `keyward_policy.sealing`."""

from .errors import (
    Conflict,
    Denied,
    Invalid,
    NotFound,
    PolicyError,
    Unavailable,
    unknown_operation,
)
from .plan import Algorithm, Plan
from .policy import Policy
from .request import Caller, Payload, Request

__version__ = "0.1.0"

__all__ = [
    "Algorithm",
    "Caller",
    "Conflict",
    "Denied",
    "Invalid",
    "NotFound",
    "Payload",
    "Plan",
    "Policy",
    "PolicyError",
    "Request",
    "Unavailable",
    "unknown_operation",
]
