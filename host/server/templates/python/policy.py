"""Applications encrypt and decrypt; what was encrypted for one purpose opens for no other."""

from componentize_py_types import Err, Ok
from wit_world import exports
from wit_world.imports.types import Error_Denied, Error_Invalid, Plan


def decide(request):
    if "application" not in request.caller.roles:
        raise Err(Error_Denied("this needs the role `application`"))
    if request.purpose is None:
        raise Err(Error_Invalid("say what it is for, in `purpose`"))
    if request.operation not in ("encrypt", "decrypt"):
        raise Err(Error_Denied(f"this policy does not allow `{request.operation}`"))
    return Plan(None, None, None, request.purpose.encode(), [])


def answer(request):
    try:
        return Ok(decide(request))
    except Err as refused:
        return refused


class Guard(exports.Guard):
    def authorize(self, request):
        return decide(request)

    def authorize_many(self, requests):
        return [answer(request) for request in requests]


class Handler(exports.Handler):
    def invoke(self, request, payload):
        raise Err(Error_Invalid(f"there is no operation `{request.operation}`"))

    def describe(self):
        return []
