"""Sending mail through the provider of the shop's mail."""

from __future__ import annotations


def send(to: str, subject: str) -> None:
    """Send one mail; in production by SMTP."""
    raise RuntimeError(f"mail to {to}: this copy of the shop has no mail server")
