"""Applications encrypt and decrypt; what was encrypted for one purpose opens for no other."""

from keyward_policy import Denied, Invalid, Plan, Policy, Request, unknown_operation

policy = Policy()


@policy.authorize
def authorize(request: Request) -> Plan:
    if not request.has_role("application"):
        raise Denied("this needs the role `application`")
    if request.purpose is None:
        raise Invalid("say what it is for, in `purpose`")
    if request.operation not in ("encrypt", "decrypt"):
        raise unknown_operation(request.operation)
    return Plan.allow().bind(request.purpose)
