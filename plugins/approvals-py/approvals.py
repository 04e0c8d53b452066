"""Payments above a limit are decrypted only by somebody who holds an approval.

A caller states the amount in the request's context, as `{"amount":1250.00,"currency":"EUR"}`. The
host binds the context into the ciphertext, so a caller who states a smaller amount than was encrypted
opens nothing: the policy can believe what it is told. This policy imports no capability at all.
"""

import json
from decimal import Decimal

from keyward_policy import Denied, Invalid, Plan, Policy, Request, unknown_operation

from limits import APPROVAL_CLAIM, LIMITS, READERS, WRITERS

DOMAIN = "keyward approvals v1"
"""Keeps this policy's authenticated data apart from any other's."""

policy = Policy()


@policy.authorize
def authorize(request: Request) -> Plan:
    if request.operation == "encrypt":
        need_role(request, WRITERS)
        stated(request)
        return Plan.allow().bind(DOMAIN)
    if request.operation == "decrypt":
        need_role(request, READERS)
        return plan_of_read(request)
    raise unknown_operation(request.operation)


def plan_of_read(request: Request) -> Plan:
    """The plan of a decryption, if its amount is within the limit or approved."""
    amount, currency = stated(request)
    plan = Plan.allow().bind(DOMAIN)
    if amount <= LIMITS[currency]:
        return plan
    approved = request.claim(APPROVAL_CLAIM)
    if approved is None:
        raise Denied(
            f"amounts above {LIMITS[currency]} {currency} need the claim `{APPROVAL_CLAIM}`"
        )
    ceiling = number(approved)
    if ceiling is None or amount > ceiling:
        raise Denied(f"the claim `{APPROVAL_CLAIM}` approves less than {amount} {currency}")
    return plan.note(f"approved up to {ceiling} {currency}")


def need_role(request: Request, roles: tuple[str, ...]) -> None:
    if not request.has_any_role(roles):
        raise Denied(f"{request.operation} needs one of the roles {', '.join(roles)}")


def stated(request: Request) -> tuple[Decimal, str]:
    """Amount and currency as the context has them."""
    wrong = Invalid('`context` must be {"amount":NUMBER,"currency":"EUR"}, not negative')
    try:
        context = json.loads(request.context or b"", parse_float=Decimal, parse_int=Decimal)
    except (ValueError, RecursionError):
        raise wrong from None
    if not isinstance(context, dict) or set(context) != {"amount", "currency"}:
        raise wrong
    amount, currency = context["amount"], context["currency"]
    if not isinstance(amount, Decimal) or amount < 0 or not isinstance(currency, str):
        raise wrong
    if currency not in LIMITS:
        raise Invalid(f"`currency` must be one of {', '.join(LIMITS)}")
    return amount, currency


def number(text: str) -> Decimal | None:
    """A claim's value as a number; none if it is none."""
    try:
        value = Decimal(text)
    except ArithmeticError:
        return None
    return value if value.is_finite() else None
