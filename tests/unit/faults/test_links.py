"""Faults of links: what they say and what they refuse."""

from __future__ import annotations

import pytest

import tqsim
from tqsim import faults
from tqsim.faults import Condition, Route, Step


def test_a_latency_lasts_until_it_is_removed() -> None:
    fault = faults.latency("w1", delay="50ms", jitter="10ms", at="1s", server="redis")
    route, condition = Route("w1", "redis"), Condition(50_000, 10_000)
    assert fault.name == "latency of 50ms and up to 10ms more from w1 to redis at 1s"
    assert fault.steps == (
        Step(1_000_000, "link.worsen", "w1 to redis", route, condition),
        Step(None, "link.mend", "w1 to redis", route, condition),
    )


def test_a_partition_is_mended_after_a_while() -> None:
    fault = faults.partition(for_="1m")
    assert fault.name == "partition from everybody to every server at 0s for 1m"
    assert [(step.at_us, step.verb, step.repairs) for step in fault.steps] == [
        (0, "link.worsen", False),
        (60_000_000, "link.mend", True),
    ]


@pytest.mark.parametrize(
    ("fault", "verb"),
    [
        (faults.connection_reset(at=1), "link.reset"),
        (faults.half_open(at=1), "link.lost_by_path"),
        (faults.half_open(at=1, lost_by="server"), "link.lost_by_server"),
    ],
)
def test_what_happens_once_has_one_step(fault: faults.Fault, verb: str) -> None:
    assert [(step.at_us, step.verb, step.repairs) for step in fault.steps] == [(1_000_000, verb, False)]


@pytest.mark.parametrize(
    ("process", "server", "message"),
    [
        ("", None, "process='' is not a name; expected that of a worker, beat or client, or None for all."),
        (7, None, "process=7 is not a name; expected that of a worker, beat or client, or None for all."),
        ("w1", "w2", "server='w2'; expected \"broker\", \"redis\" or None for both."),
    ],
)  # fmt: skip
def test_a_route_must_lead_somewhere(process: str, server: str | None, message: str) -> None:
    with pytest.raises(tqsim.UsageError) as caught:
        Route(process, server)
    assert str(caught.value) == message
