"""The tables to edit: who writes and reads, and what is read without an approval."""

from decimal import Decimal

WRITERS = ("application",)
READERS = ("application", "clerk")

LIMITS = {"EUR": Decimal(1000), "USD": Decimal(1000), "JPY": Decimal(150_000)}
"""Of each currency the largest amount that is decrypted without an approval."""

APPROVAL_CLAIM = "approved-up-to"
"""The claim whose value is the largest amount its holder may see, in the payment's currency."""
