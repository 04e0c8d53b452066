"""A policy: its decision, and operations of its own."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from . import _permissions
from ._contract import Err, Ok, Result, handler, interface, types
from .errors import PolicyError, to_wire
from .plan import Plan
from .request import Payload, Request

__all__ = ["Policy"]

T = TypeVar("T")

Decision = Callable[[Request], Plan]
Operation = Callable[[Request, Payload], Payload]


class Policy:
    """Made once, in a module's variable `policy`; its decorators take the functions::

        policy = Policy()

        @policy.authorize
        def authorize(request: Request) -> Plan:
            ...
    """

    def __init__(self) -> None:
        self._decision: Decision | None = None
        self._operations: dict[str, tuple[handler.Operation, Operation]] = {}

    def authorize(self, decision: Decision) -> Decision:
        """The function that decides every request: it returns a plan or raises an error."""
        self._decision = decision
        return decision

    def operation(
        self,
        name: str,
        *,
        description: str = "",
        input: Mapping[str, Any] | None = None,
        output: Mapping[str, Any] | None = None,
    ) -> Callable[[Operation], Operation]:
        """The function behind `invoke/NAME`, with JSON Schemas of what it takes and gives."""
        if not re.fullmatch(r"[a-z0-9-]{1,64}", name):
            raise ValueError(f"the operation's name `{name}` is not of [a-z0-9-]{{1,64}}")
        shown = handler.Operation(
            name, description, json.dumps(dict(input or {})), json.dumps(dict(output or {}))
        )

        def add(function: Operation) -> Operation:
            self._operations[name] = (shown, function)
            return function

        return add

    # What the component exports.

    def _authorize(self, request: types.Request) -> types.Plan:
        def decide() -> types.Plan:
            if self._decision is None:
                raise RuntimeError("the policy has no function with `@policy.authorize`")
            plan = self._decision(Request.from_wire(request))
            if not isinstance(plan, Plan):
                raise TypeError("`authorize` must return a Plan, or raise Denied")
            return plan.to_wire()

        return _answering(decide)

    def _authorize_many(
        self, requests: list[types.Request]
    ) -> list[Result[types.Plan, types.Error]]:
        return [_settled(lambda: self._authorize(request)) for request in requests]

    def _invoke(self, request: types.Request, payload: Payload) -> Payload:
        seen = Request.from_wire(request)
        _, function = self._operations[seen.invoked or ""]
        return _answering(lambda: function(seen, payload))

    def _describe(self) -> list[handler.Operation]:
        return [shown for shown, _ in self._operations.values()]


def _answering(work: Callable[[], T]) -> T:
    """Does `work`. An error of the policy's becomes the contract's; a fault is logged, if the policy
    may log, before it ends the instance: the caller is told no more than that it crashed."""
    try:
        return work()
    except PolicyError as error:
        raise Err(to_wire(error)) from None
    except Exception as error:
        if "log" in _permissions.granted():
            fields = [("stack", _stack(error))]
            _permissions.call("log", "write", interface("log").Level.ERROR, repr(error), fields)
        raise


def _stack(error: Exception) -> str:
    """Where it was raised, and from where that was called. The module `traceback` would read source
    files, and there are none in the sandbox."""
    places = []
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        file = code.co_filename.rsplit("/", 1)[-1]
        places.append(f"{code.co_name}@{file}:{trace.tb_lineno}")
        trace = trace.tb_next
    return " < ".join(reversed(places))


def _settled(work: Callable[[], types.Plan]) -> Result[types.Plan, types.Error]:
    try:
        return Ok(work())
    except Err as error:
        return error
