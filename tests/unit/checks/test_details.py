from __future__ import annotations

import pytest

from tqsim.checks.details import details
from tqsim.history import JsonValue, Moment

START = "2030-01-01T00:00:00+00:00"


def said(*, task_id: str | None = "a", **fields: JsonValue) -> str:
    return details(Moment(0, "note.written", "w1", task_id, fields), START)


def test_what_is_empty_or_technical_is_left_out() -> None:
    assert said(
        task="shop.charge", retries=0, eta=None, expires=None, exchange="", routing_key="orders", queue="orders",
        args="()", kwargs="{}", root_id="a", parent_id=None, group_id=None, redelivered=False, message=3,
        result="None",
    ) == "queue=orders"  # fmt: skip


def test_what_tells_something_is_said_in_the_order_of_the_record() -> None:
    assert said(delivery=2, retries=1, args="('cup', 3)", countdown=1.50, result=[1, {"x": 2}]) == (
        "delivery=2 retries=1 args=('cup', 3) countdown=1.5 result=[1, {'x': 2}]"
    )


def test_what_is_true_is_said_by_its_name() -> None:
    assert said(redelivered=True) == "redelivered"


@pytest.mark.parametrize(
    ("value", "words"),
    [("2030-01-02T01:00:00+00:00", "1d 1h"), (90.5, "1m 30.5s"), ("2029-12-31T23:59:59", "-1s"), ("soon", "soon")],
)
def test_an_instant_is_told_as_the_time_since_the_start(value: JsonValue, words: str) -> None:
    assert said(eta=value, expires=value) == f"eta={words} expires={words}"


def test_the_task_of_a_moment_without_task_id_is_named() -> None:
    assert said(task_id=None, task="shop.charge") == "task=shop.charge"


def test_a_long_text_is_cut_and_kept_on_one_line() -> None:
    assert said(error="ValueError:\n  " + "x" * 70) == "error=ValueError: " + "x" * 45 + "..."


def test_fields_can_be_left_out_on_request() -> None:
    fields: dict[str, JsonValue] = {"delivery": 1, "child": 2, "queue": "q"}
    assert details(Moment(0, "task.lost", "w1", "a", fields), START, without=("delivery", "child")) == "queue=q"
