import unittest

from keyward_policy import Denied, Invalid
from keyward_policy.testing import Harness

from policy import policy


class Decisions(unittest.TestCase):
    def setUp(self) -> None:
        self.host = Harness("acme").key("orders")

    def test_a_purpose_opens_nothing_else(self) -> None:
        shop = self.host.caller("shop", ["application"]).key("orders")
        ciphertext = shop.purpose("billing").encrypt(policy, b"4111")
        self.assertEqual(shop.purpose("billing").decrypt(policy, ciphertext), b"4111")
        with self.assertRaises(Invalid):
            shop.purpose("marketing").decrypt(policy, ciphertext)

    def test_others_do_nothing(self) -> None:
        visitor = self.host.caller("visitor").key("orders").purpose("billing")
        with self.assertRaises(Denied):
            visitor.encrypt(policy, b"4111")
