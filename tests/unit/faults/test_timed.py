"""Faults as plain descriptions."""

from __future__ import annotations

import pytest

from tqsim import faults
from tqsim.errors import UsageError
from tqsim.faults import Step


def test_an_outage_begins_and_passes() -> None:
    fault = faults.outage("payments", at="5m", for_="1m")
    assert fault.name == "outage of payments at 5m for 1m"
    assert fault.steps == (
        Step(300_000_000, "service.fail", "payments"),
        Step(360_000_000, "service.recover", "payments"),
    )


def test_a_killed_worker_starts_again_only_when_asked() -> None:
    assert [step.verb for step in faults.worker_kill("w1", at=1).steps] == ["worker.kill"]
    assert faults.worker_kill("w1", at=1, restart_after=2).steps[1] == Step(3_000_000, "worker.restart", "w1")


def test_a_broker_restart_is_a_stop_and_a_start() -> None:
    assert [step.at_us for step in faults.broker_restart(at="1s", down_for="2s").steps] == [1_000_000, 3_000_000]


def test_a_fault_needs_a_name_to_strike() -> None:
    with pytest.raises(UsageError, match=r"^service='' is not a name; expected text\.$"):
        faults.outage("", at=0, for_=1)
