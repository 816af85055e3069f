"""Every kind of fault in a file stands for one of ``tqsim.faults``."""

from __future__ import annotations

import inspect

import pytest

from tests.unit.scenario.stories import error_of, story
from tqsim import faults
from tqsim.scenario.faulting import Fault, fault_of

_OUTAGE = 'kind = "outage"\nservice = "payments"\nat = "1m"\nfor = "1m"\n'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (_OUTAGE, faults.outage("payments", at="1m", for_="1m")),
        (
            'kind = "worker_kill"\nworker = "main"\nat = 1\nrestart_after = 2',
            faults.worker_kill("main", at=1, restart_after=2),
        ),
        ('kind = "broker_restart"\nat = 1\ndown_for = 2', faults.broker_restart(at=1, down_for=2)),
        ('kind = "broker_crash"\nat = 1\ndown_for = 2', faults.broker_crash(at=1, down_for=2)),
        ('kind = "memory_alarm"\nat = 1\nfor = 2', faults.memory_alarm(at=1, for_=2)),
        (
            'kind = "latency"\nprocess = "main"\ndelay = "5ms"\njitter = "1ms"\nserver = "redis"',
            faults.latency("main", delay="5ms", jitter="1ms", server="redis"),
        ),
        ('kind = "latency"\ndelay = 1\nat = 2\nfor = 3', faults.latency(delay=1, at=2, for_=3)),
        ('kind = "partition"\nprocess = "main"\nfor = 3', faults.partition("main", for_=3)),
        ('kind = "connection_reset"\nat = 1\nserver = "broker"', faults.connection_reset(at=1, server="broker")),
        ('kind = "half_open"\nat = 1\nlost_by = "server"', faults.half_open(at=1, lost_by="server")),
    ],
)
def test_a_table_stands_for_a_fault(text: str, expected: faults.Fault) -> None:
    assert fault_of(story(_OUTAGE, text + "\n").first.faults["down"]) == expected


def test_every_fault_of_the_house_can_stand_in_a_file() -> None:
    made = {name for name in faults.__all__ if inspect.isfunction(getattr(faults, name))}
    assert {kind.__struct_config__.tag for kind in Fault.__args__} == made


def test_a_wrong_server_is_told_with_its_line() -> None:
    assert error_of(_OUTAGE, 'kind = "partition"\nserver = "db"\n') == (
        'story.toml, line 18: faults.down.server="db" is wrong; expected "broker" or "redis".'
    )
