import tomllib
import unittest
from collections.abc import Callable
from pathlib import Path

import keyward_policy
from keyward_policy import Conflict, Denied, Invalid, NotFound, Payload, Plan, Policy, Request
from keyward_policy import _permissions
from keyward_policy.build import _CONTRACT, narrowed
from keyward_policy.errors import _CASES, from_wire, to_wire
from keyward_policy.keys import Algorithm, open_key
from keyward_policy.testing import Harness


def allowing() -> Policy:
    policy = Policy()
    policy.authorize(lambda request: Plan.allow())
    return policy


class Contract(unittest.TestCase):
    def test_the_world_imports_what_was_asked_for(self) -> None:
        world = narrowed(_CONTRACT.read_text(), ["keys", "log"])
        imports = [line.strip() for line in world.splitlines() if line.startswith("  import ")]
        self.assertEqual(imports, ["import types;", "import keys;", "import log;"])

    def test_the_version_is_that_of_the_package(self) -> None:
        manifest = Path(__file__).parent.parent / "pyproject.toml"
        version = tomllib.loads(manifest.read_text())["project"]["version"]
        self.assertEqual(keyward_policy.__version__, version)

    def test_errors_keep_their_kind(self) -> None:
        for own, wire in _CASES:
            self.assertEqual(to_wire(own("text")), wire("text"))
            self.assertIs(type(from_wire(wire("text"))), own)

    def test_bound_pieces_cannot_be_shifted(self) -> None:
        def bound(*pieces: str) -> bytes:
            plan = Plan.allow()
            for piece in pieces:
                plan = plan.bind(piece)
            return plan.authenticated_data

        self.assertEqual(bound("ab"), b"\0\0\0\x02ab")
        pieces = [(), ("ab", "c"), ("a", "bc"), ("abc",), ("abc", ""), ("", "abc")]
        self.assertEqual(len({bound(*some) for some in pieces}), len(pieces))


class Keys(unittest.TestCase):
    def test_a_permission_that_is_not_imported_is_an_error_that_says_which(self) -> None:
        granted = _permissions._granted.pop("sealing", None)
        try:
            policy = allowing()
            policy.operation("x")(lambda request, payload: Payload("", open_key("main").seal(b"")))
            on = Harness("acme").key("main")
            with self.assertRaisesRegex(RuntimeError, "import keyward_policy.sealing"):
                on.caller("a").invoke(policy, "x", b"")
        finally:
            if granted:
                _permissions._granted["sealing"] = granted

    def test_with_it_keys_do_what_they_are_for(self) -> None:
        for name in ("sealing", "opening", "macs", "signing", "verifying", "index"):
            _permissions.grant(name)
        from keyward_policy.random import random_bytes

        def work(request: Request, payload: Payload) -> Payload:
            aead = open_key("aead")
            sealed = aead.seal(b"text", b"place")
            self.assertEqual(aead.open(sealed, b"place"), b"text")
            with self.assertRaises(Invalid):
                aead.open(sealed, b"elsewhere")
            good, bad = aead.open_many([(sealed, b"place"), (sealed, b"")])
            self.assertEqual(good, b"text")
            self.assertIsInstance(bad, Invalid)
            self.assertEqual(len(aead.seal_many([(b"x", b""), (b"y", b"")])), 2)
            with self.assertRaises(Invalid):
                aead.mac(b"x")
            mac = open_key("mac")
            self.assertTrue(mac.verify_mac(b"x", mac.mac(b"x")))
            self.assertFalse(mac.verify_mac(b"y", mac.mac(b"x")))
            self.assertNotEqual(mac.term("a", b"x"), mac.term("b", b"x"))
            self.assertEqual(len(mac.terms("a", b"x")), 2)
            sign = open_key("sign")
            self.assertEqual(sign.verify(b"x", sign.sign(b"x")), 1)
            self.assertIsNone(sign.verify(b"y", sign.sign(b"x")))
            with self.assertRaises(NotFound):
                open_key("none")
            with self.assertRaises(NotFound):
                open_key("aead", 2)
            self.assertEqual(len(random_bytes(7)), 7)
            return Payload("text/plain", b"done")

        policy = allowing()
        policy.operation("work")(work)
        on = Harness("acme").key("aead").key("mac", Algorithm.HMAC_SHA256)
        on.key("sign", Algorithm.ED25519).rotate("mac")
        self.assertEqual(on.caller("a").invoke(policy, "work", b"").body, b"done")

    def test_what_a_policy_encrypts_opens_through_a_policy_alone(self) -> None:
        import keyward_policy.sealing  # noqa: F401

        policy = allowing()
        seal = policy.operation("seal")
        seal(lambda request, payload: Payload("", open_key("main").seal(payload.body)))
        call = Harness("acme").key("main").caller("a").key("main")
        sealed = call.invoke(policy, "seal", b"x").body
        with self.assertRaises(Invalid):
            call.decrypt(policy, sealed)


class Host(unittest.TestCase):
    def run_in(self, on: Harness, work: Callable[[], None]) -> None:
        policy = allowing()

        @policy.operation("work")
        def do(request: Request, payload: Payload) -> Payload:
            work()
            return payload

        on.caller("a").invoke(policy, "work", b"")

    def test_tokens_have_the_form_of_what_they_stand_for(self) -> None:
        from keyward_policy.tokens import DIGITS, random_token

        def work() -> None:
            cards = open_key("cards")
            token = cards.tokenize(DIGITS, "4111111111111111", b"card")
            self.assertRegex(token, "^[0-9]{16}$")
            self.assertNotEqual(token, "4111111111111111")
            self.assertEqual(cards.reveal(DIGITS, token, b"card"), "4111111111111111")
            self.assertNotEqual(cards.reveal(DIGITS, token, b"other"), "4111111111111111")
            with self.assertRaises(Invalid):
                cards.tokenize(DIGITS, "x")
            with self.assertRaises(Invalid):
                open_key("main").tokenize(DIGITS, "1")
            self.assertRegex(random_token("ab", 40), "^[ab]{40}$")

        self.run_in(Harness("acme").key("cards", Algorithm.AES256_SIV).key("main"), work)

    def test_what_is_sealed_to_a_recipient_opens_with_the_same_info_alone(self) -> None:
        from keyward_policy.recipients import seal_to

        sealed: list[bytes] = []
        on = Harness("acme")
        self.run_in(on, lambda: sealed.append(seal_to(b"key", b"x", info=b"i", aad=b"a")))
        self.assertEqual(on.unseal(b"key", sealed[0], b"i", b"a"), b"x")
        with self.assertRaises(ValueError):
            on.unseal(b"key", sealed[0], b"i")

    def test_a_policy_remembers_for_as_long_as_it_says(self) -> None:
        from keyward_policy import state

        policy = Policy()

        @policy.authorize
        def authorize(request: Request) -> Plan:
            if state.add(f"used {request.caller.subject}", ttl=60) > 2:
                raise Denied("twice a minute")
            return Plan.allow()

        on = Harness("acme")
        first = on.caller("a")
        first.time(0).authorize(policy, "encrypt")
        first.time(1).authorize(policy, "encrypt")
        with self.assertRaises(Denied):
            first.time(59_999).authorize(policy, "encrypt")
        on.caller("b").time(2).authorize(policy, "encrypt")
        first.time(60_000).authorize(policy, "encrypt")

        def work() -> None:
            self.assertIsNone(state.get("x"))
            revision = state.put_if("x", b"one", 0)
            with self.assertRaises(Conflict):
                state.put_if("x", b"two", 0)
            state.put_if("x", b"two", revision)
            entry = state.get("x")
            self.assertEqual(entry and entry.value, b"two")
            with self.assertRaises(Conflict):
                state.remove("x", revision)
            state.remove("x")
            state.put("y", b"not a counter")
            with self.assertRaises(Invalid):
                state.add("y")

        self.run_in(on, work)


class Decisions(unittest.TestCase):
    def test_a_decision_is_a_plan_or_an_error(self) -> None:
        call = Harness("acme").key("main").caller("a").key("main")
        with self.assertRaises(RuntimeError):
            call.authorize(Policy(), "encrypt")
        policy = Policy()
        policy.authorize(lambda request: True)  # type: ignore[arg-type, return-value]
        with self.assertRaises(TypeError):
            call.authorize(policy, "encrypt")

    def test_one_refusal_of_a_batch_is_one_result(self) -> None:
        policy = Policy()

        @policy.authorize
        def authorize(request: Request) -> Plan:
            if request.key == "b":
                raise Denied("not b")
            return Plan.allow()

        call = Harness("acme").caller("a")
        requests = [call.key(key)._request("encrypt") for key in ("a", "b", "a")]
        kinds = [type(result).__name__ for result in policy._authorize_many(requests)]
        self.assertEqual(kinds, ["Ok", "Err", "Ok"])

    def test_a_fault_is_logged_where_the_policy_may_log(self) -> None:
        from keyward_policy import log  # noqa: F401

        policy = Policy()
        policy.authorize(lambda request: 1 // 0)  # type: ignore[arg-type, return-value]
        on = Harness("acme")
        with self.assertRaises(ZeroDivisionError):
            on.caller("a").authorize(policy, "encrypt")
        level, message, fields = on.log[0]
        self.assertEqual(level, "error")
        self.assertIn("ZeroDivisionError", message)
        self.assertIn("test_sdk", fields["stack"])

    def test_names_of_operations_are_checked(self) -> None:
        with self.assertRaisesRegex(ValueError, "No!"):
            Policy().operation("No!")


if __name__ == "__main__":
    unittest.main()
