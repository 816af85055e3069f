from __future__ import annotations

from typing import Any

import pytest
from celery import Celery

from tests.unit.kernel.kernels import refusal
from tqsim.errors import UnsupportedError, UsageError
from tqsim.worker.options import CONCURRENCY, read_options


def app(**settings: Any) -> Any:
    """Return an application with these settings."""
    made = Celery("shop", broker="memory://", set_as_current=False)
    made.conf.update(settings)
    return made


def test_what_nobody_asked_for_is_quiet_and_does_not_depend_on_the_machine() -> None:
    options = read_options(app(), "w1", {"queues": None})

    assert options == {
        "concurrency": CONCURRENCY,
        "without_gossip": True,
        "without_mingle": True,
        "without_heartbeat": True,
        "are_events_patient": True,
        "quiet": True,
        "statedb": "",
    }


@pytest.mark.parametrize(
    ("settings", "given", "concurrency"),
    [
        ({}, {}, 1),
        ({"worker_concurrency": 6}, {}, None),  # Celery reads its own setting
        ({"worker_concurrency": 6}, {"concurrency": 3}, 3),
        ({}, {"autoscale": (10, 3)}, None),
    ],
)
def test_slots_come_from_the_option_the_setting_or_are_one(
    settings: dict[str, Any], given: dict[str, Any], concurrency: int | None
) -> None:
    assert read_options(app(**settings), "w1", given).get("concurrency") == concurrency


@pytest.mark.parametrize("queues", ["mail,orders", ["mail", "orders"], ("mail", "orders")])
def test_queues_are_a_list_or_text_with_commas(queues: Any) -> None:
    assert read_options(app(), "w1", {"queues": queues})["queues"] == ["mail", "orders"]


def test_background_work_that_is_asked_for_is_on() -> None:
    options = read_options(app(), "w1", {"gossip": True, "mingle": False, "heartbeat": True})
    off = {name: options[f"without_{name}"] for name in ("gossip", "mingle", "heartbeat")}

    assert (off, options["are_events_patient"]) == ({"gossip": False, "mingle": True, "heartbeat": False}, False)


@pytest.mark.parametrize(
    ("option", "value", "expected"),
    [
        ("concurrency", 0, "a whole number of at least 1"),
        ("concurrency", True, "a whole number of at least 1"),
        ("prefetch_multiplier", -1, "a whole number of at least 0"),
        ("queues", ["mail", 7], "a list of names"),
        ("queues", {"mail": 1}, "a list of names"),
        ("autoscale", (3, 10), "two numbers, the most and the least: (10, 3)"),
        ("autoscale", "many", "two numbers, the most and the least: (10, 3)"),
        ("time_limit", 0, "a number of seconds above 0"),
        ("gossip", "yes", "True or False"),
        ("optimization", "best", "'default' or 'fair'"),
        ("pool", 7, "'prefork', 'solo' or 'threads'"),
        ("loglevel", "LOUD", "a level of logging, such as 'INFO' or logging.INFO"),
    ],
)
def test_a_wrong_value_is_refused_with_what_was_expected(option: str, value: Any, expected: str) -> None:
    message = refusal(UsageError, lambda: read_options(app(), "w1", {option: value}))

    assert message == f"worker 'w1': {option}={value!r} is not possible; expected {expected}."


def test_an_option_of_a_real_process_says_what_to_do_instead() -> None:
    message = refusal(UnsupportedError, lambda: read_options(app(), "w1", {"beat": True}))

    assert message == "worker 'w1': beat=True is not simulated: start it with sim.beat()."


def test_a_misspelt_option_is_refused_with_the_right_ones() -> None:
    message = refusal(UsageError, lambda: read_options(app(), "w1", {"concurency": 4}))

    assert message.startswith("worker 'w1': concurency=4 is not an option of a worker; accepted are: app, autoscale, ")
