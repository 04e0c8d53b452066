"""What a component exports, as componentize-py wants it: one class for each interface."""

from __future__ import annotations

from ._contract import Result, handler, types
from .policy import Policy


def of(policy: Policy) -> tuple[type, type]:
    """The classes `Guard` and `Handler` of a policy."""

    class Guard:
        def authorize(self, request: types.Request) -> types.Plan:
            return policy._authorize(request)

        def authorize_many(
            self, requests: list[types.Request]
        ) -> list[Result[types.Plan, types.Error]]:
            return policy._authorize_many(requests)

    class Handler:
        def invoke(self, request: types.Request, payload: handler.Payload) -> handler.Payload:
            return policy._invoke(request, payload)

        def describe(self) -> list[handler.Operation]:
            return policy._describe()

    return Guard, Handler
