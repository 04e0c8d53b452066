"""Uses all of the SDK, and misbehaves on request: what the end-to-end tests run in the image engine."""

import random
import time
from collections.abc import Callable

import keyward_policy.index
import keyward_policy.macs
import keyward_policy.opening
import keyward_policy.sealing
import keyward_policy.signing
import keyward_policy.verifying
from keyward_policy import Conflict, Invalid, NotFound, Payload, Plan, Policy, Request, log, state
from keyward_policy.keys import Algorithm, open_key
from keyward_policy.random import random_bytes
from keyward_policy.recipients import seal_to
from keyward_policy.tokens import DIGITS, random_token

policy = Policy()

calls = 0
"""Would tell one request of another, if anything outlived a request."""


def loop() -> str:
    while True:
        pass


def grow() -> str:
    kept = []
    while True:
        kept.append(bytearray(b"x") * (1 << 20))


def recurse(depth: int = 0) -> str:
    return recurse(depth + 1)


def fault() -> str:
    return str(1 // (calls - calls))


MISDEEDS: dict[str, Callable[[], str]] = {
    "loop": loop,
    "grow": grow,
    "recurse": recurse,
    "fault": fault,
    "clock": lambda: str(time.time()),
    "random": lambda: str(random.random()),
}


@policy.authorize
def authorize(request: Request) -> Plan:
    if request.purpose in MISDEEDS:
        MISDEEDS[request.purpose]()
    return Plan.allow()


def everything() -> str:
    """Everything a key can do; names what did not come out as it should."""
    wrong: list[str] = []

    def check(name: str, good: bool) -> None:
        if not good:
            wrong.append(name)

    def raises(kind: type[Exception], work: Callable[[], object]) -> bool:
        try:
            work()
        except kind:
            return True
        return False

    aead = open_key("main")
    check("name", (aead.name, aead.version, aead.algorithm) == ("main", 1, Algorithm.XAES256_GCM))
    check("attribute", aead.attribute("none") is None)
    sealed = aead.seal(b"text", b"place")
    check("open", aead.open(sealed, b"place") == b"text")
    check("aad", raises(Invalid, lambda: aead.open(sealed, b"elsewhere")))
    first, second = aead.seal_many([(b"a", b""), (b"b", b"place")])
    assert isinstance(first, bytes) and isinstance(second, bytes)
    opened = aead.open_many([(first, b""), (second, b"")])
    check("many", opened[0] == b"a" and isinstance(opened[1], Invalid))
    check("none", raises(NotFound, lambda: open_key("none")))
    check("version", raises(NotFound, lambda: open_key("main", 9)))
    mac = open_key("mac")
    check("mac", mac.verify_mac(b"x", mac.mac(b"x")) and not mac.verify_mac(b"y", mac.mac(b"x")))
    check("term", mac.terms("f", b"x")[0] == mac.term("f", b"x"))
    sign = open_key("sign")
    signature = sign.sign(b"x")
    check("verify", sign.verify(b"x", signature) == 1 and sign.verify(b"y", signature) is None)
    check("public", len(sign.public_key()) > 40)
    check("random", random_bytes(16) != random_bytes(16))
    cards = open_key("siv")
    token = cards.tokenize(DIGITS, "4111111111111111", b"card")
    check("token", cards.reveal(DIGITS, token, b"card") == "4111111111111111" and len(token) == 16)
    check("random token", set(random_token("ab", 8)) <= {"a", "b"})
    check("recipient", len(seal_to(open_key("hpke").public_key(), b"text", b"i")) == 32 + 4 + 16)
    revision = state.put_if("x", b"one", 0)
    check("state", state.get("x") == state.Entry(b"one", revision))
    check("conflict", raises(Conflict, lambda: state.put_if("x", b"two", 0)))
    state.remove("x", revision)
    check("removed", state.get("x") is None)
    check("counter", state.add("n", 3, ttl=60) == 3 and state.add("n", -1) == 2)
    check("kept", state.put("y", b"z") > 0 and state.get("y") is not None)
    log.info("everything was tried", wrong=len(wrong))
    return " ".join(wrong) or "all"


def answer(text: str) -> Payload:
    return Payload("text/plain", text.encode())


@policy.operation("everything", description="Uses every permission.")
def use_everything(request: Request, payload: Payload) -> Payload:
    return answer(everything())


@policy.operation("count")
def count(request: Request, payload: Payload) -> Payload:
    global calls
    calls += 1
    return answer(str(calls))


@policy.operation("echo")
def echo(request: Request, payload: Payload) -> Payload:
    return payload


@policy.operation("do")
def do(request: Request, payload: Payload) -> Payload:
    return answer(MISDEEDS[payload.body.decode()]())
