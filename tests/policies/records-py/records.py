"""plugins/records in Python."""

from collections.abc import Iterable

from keyward_policy import Denied, Invalid, Plan, Policy, Request, unknown_operation

DOMAIN = "keyward records v1"
PURPOSES = ("treatment", "billing", "research")
WRITERS = ("application", "clinician")
GRANTS = {
    "application": ("treatment", "billing"),
    "clinician": ("treatment",),
    "accountant": ("billing",),
    "researcher": ("research",),
}

policy = Policy()


@policy.authorize
def authorize(request: Request) -> Plan:
    if request.operation in ("encrypt", "datakey", "rewrap"):
        if not request.has_any_role(WRITERS):
            raise Denied(listing(f"{request.operation} needs one of the roles", WRITERS))
        return plan(known_purpose(request))
    if request.operation == "decrypt":
        purpose = known_purpose(request)
        if not any(request.has_role(role) and purpose in GRANTS[role] for role in GRANTS):
            raise Denied(f"no role of yours is granted the purpose `{purpose}`")
        return plan(purpose)
    raise unknown_operation(request.operation)


def plan(purpose: str) -> Plan:
    return Plan.allow().bind(DOMAIN).bind(purpose)


def known_purpose(request: Request) -> str:
    if request.purpose is None:
        raise Invalid(listing("say what it is for: `purpose` is one of", PURPOSES))
    if request.purpose not in PURPOSES:
        raise Invalid(listing("`purpose` must be one of", PURPOSES))
    return request.purpose


def listing(introduction: str, names: Iterable[str]) -> str:
    return f"{introduction} {', '.join(f'`{name}`' for name in names)}"
