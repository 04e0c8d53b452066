import json
import unittest

from approvals import policy
from keyward_policy import Denied, Invalid
from keyward_policy.testing import Harness


def context(amount: object, currency: object = "EUR") -> bytes:
    return json.dumps({"amount": amount, "currency": currency}).encode()


class Approvals(unittest.TestCase):
    def setUp(self) -> None:
        self.host = Harness("bank").key("payments")
        self.shop = self.host.caller("shop", ["application"]).key("payments")
        self.clerk = self.host.caller("clerk", ["clerk"]).key("payments")

    def test_up_to_the_limit_nothing_is_needed(self) -> None:
        for amount in (0, 999.99, 1000):
            ciphertext = self.shop.context(context(amount)).encrypt(policy, b"to Ann")
            opened = self.clerk.context(context(amount)).decrypt(policy, ciphertext)
            self.assertEqual(opened, b"to Ann")

    def test_above_it_an_approval_is(self) -> None:
        large = context(1000.01)
        ciphertext = self.shop.context(large).encrypt(policy, b"to Bob")
        with self.assertRaises(Denied):
            self.clerk.context(large).decrypt(policy, ciphertext)
        for approved, opens in (("5000", True), ("1000.01", True), ("1000", False), ("NaN", False), ("x", False)):
            claims = {"approved-up-to": approved}
            chief = self.host.caller("chief", ["clerk"], **claims).key("payments").context(large)
            if opens:
                self.assertEqual(chief.decrypt(policy, ciphertext), b"to Bob")
                self.assertEqual(len(chief.authorize(policy, "decrypt").obligations), 1)
            else:
                with self.assertRaises(Denied):
                    chief.decrypt(policy, ciphertext)

    def test_another_amount_than_was_encrypted_opens_nothing(self) -> None:
        ciphertext = self.shop.context(context(5000)).encrypt(policy, b"to Bob")
        with self.assertRaises(Invalid):
            self.clerk.context(context(1)).decrypt(policy, ciphertext)

    def test_the_context_must_say_it(self) -> None:
        wrong = [b"", b"{}", b"[]", b"17", b"\xff", b"{", b"[" * 100_000, context("1"), context(-1)]
        wrong += [context(1, "XXX"), context(1, 7), context(True), context(None), b'{"amount":NaN,"currency":"EUR"}']
        for data in wrong:
            for call, operation in ((self.shop, "encrypt"), (self.clerk, "decrypt")):
                with self.assertRaises(Invalid, msg=data[:40]):
                    call.context(data).authorize(policy, operation)
        with self.assertRaises(Invalid):
            self.shop.authorize(policy, "encrypt")

    def test_roles(self) -> None:
        with self.assertRaises(Denied):
            self.clerk.context(context(1)).authorize(policy, "encrypt")
        with self.assertRaises(Denied):
            self.host.caller("guest").context(context(1)).authorize(policy, "decrypt")

    def test_what_it_does_not_know_it_refuses(self) -> None:
        for operation in ("sign", "rewrap", "datakey", "invoke/x", ""):
            with self.assertRaises(Denied):
                self.shop.context(context(1)).authorize(policy, operation)


if __name__ == "__main__":
    unittest.main()
