"""Refusals as exceptions."""

from __future__ import annotations

import pytest

from tqsim.broker.rabbitmq import Refusal
from tqsim.broker.rabbitmq.refusals import NOT_FOUND, NOT_IMPLEMENTED, refuse, reply_text


@pytest.mark.parametrize(
    ("code", "scope"),
    [
        (403, "channel"),
        (404, "channel"),
        (405, "channel"),
        (406, "channel"),
        (503, "connection"),
        (530, "connection"),
    ],
)
def test_the_code_decides_what_is_closed(code: int, scope: str) -> None:
    assert Refusal(code, "text").scope == scope


def test_a_refusal_shows_code_and_text_and_can_be_raised_again() -> None:
    refusal = refuse(NOT_FOUND, "no queue 'q' in vhost '/'", (50, 10))
    assert str(refusal) == "(404) NOT_FOUND - no queue 'q' in vhost '/'"
    again = refusal.again()
    assert again is not refusal
    assert (again.code, again.text, again.method) == (404, refusal.text, (50, 10))


def test_a_text_fits_into_255_bytes() -> None:
    short = "e" * (255 - len("NOT_IMPLEMENTED - "))
    assert reply_text(NOT_IMPLEMENTED, short).endswith("e")
    assert reply_text(NOT_IMPLEMENTED, short + "e") == f"NOT_IMPLEMENTED - {short}"[:252] + "..."
    # "NOT_FOUND - " and 120 letters of two bytes are exactly 252 bytes.
    assert reply_text(NOT_FOUND, "\u00e9" * 130) == "NOT_FOUND - " + "\u00e9" * 120 + "..."
