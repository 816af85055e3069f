"""The payment provider: one HTTP call per charge."""

from __future__ import annotations


class PaymentError(Exception):
    """The provider did not answer, or answered with an error of its own."""


def charge(order: str, cents: int) -> str:
    """Charge an order and return the provider's reference.

    In production this is ``requests.post("https://api.provider.example/charges", ...)``.
    """
    raise RuntimeError(f"order {order}: this copy of the shop has no account with the provider")


def reference(order: str, cents: int) -> str:
    """Return the reference that the provider's sandbox gives for a charge."""
    return f"ch_{order}_{cents}"
