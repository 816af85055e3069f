"""Every way for a task to end, on a simulated and on a real worker: states, results, runs, redelivered flags."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.conformance.outcome_arms import Outcome, RealWorker, SimulatedWorker, WorkerArm

_ONCE: Final = [(False, 0)]
_AGAIN: Final = Outcome("SUCCESS", "'again'", [(False, 0), (True, 0)])
_NEVER: Final = Outcome("PENDING", "None", _ONCE)


def _lost(text: str) -> Outcome:
    return Outcome("FAILURE", f"WorkerLostError('Worker exited prematurely: {text}')", _ONCE)


#: What happens to a task of each way to end, whether it is acknowledged early or late.
_ALIKE: Final = {
    "return": Outcome("SUCCESS", "'done'", _ONCE),
    "raise": Outcome("FAILURE", "ValueError('no')", _ONCE),
    "retry": Outcome("SUCCESS", "'again'", [(False, 0), (False, 1)]),
    "reject": Outcome("FAILURE", "reject requeue=False: no", _ONCE),
    "ignore": _NEVER,
    "sys.exit": _lost("exitcode 3."),
    "os._exit": _lost("exitcode 3 Job: 0."),
    "SIGKILL": _lost("signal 9 (SIGKILL) Job: 0."),
    "SIGTERM": _lost("signal 15 (SIGTERM) Job: 0."),
    "SIGQUIT": _lost("exitcode 70 Job: 0."),
    "kill the child": _lost("signal 9 (SIGKILL) Job: 0."),
    "hard limit": Outcome("FAILURE", "TimeLimitExceeded(1.5)", _ONCE),
    "soft limit": Outcome("FAILURE", "SoftTimeLimitExceeded()", _ONCE),
    "soft limit caught": Outcome("SUCCESS", "'caught'", _ONCE),
    "revoke": Outcome("REVOKED", "TaskRevokedError('terminated')", _ONCE),
    "revoke by SIGKILL": Outcome("REVOKED", "TaskRevokedError('terminated')", _ONCE),
}
_CASES: Final[dict[tuple[str, str], Outcome]] = {
    **{(ack, how): outcome for how, outcome in _ALIKE.items() for ack in ("early", "late")},
    ("early", "reject and requeue"): _NEVER,
    ("late", "reject and requeue"): _AGAIN,
    ("early", "kill the worker"): _NEVER,
    ("late", "kill the worker"): _AGAIN,
    **{("requeued", how): _AGAIN for how in ("sys.exit", "os._exit", "SIGKILL", "SIGTERM", "kill the worker")},
    ("requeued", "hard limit"): _ALIKE["hard limit"],
    ("requeued", "revoke"): _ALIKE["revoke"],
}
_NUMBERS: Final = itertools.count(1)


@pytest.fixture(params=["simulation", pytest.param("server", marks=[pytest.mark.conformance, pytest.mark.slow])])
def worker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[WorkerArm]:
    """A worker in one arm after the other."""
    opened: WorkerArm
    if request.param == "simulation":
        opened = SimulatedWorker(tmp_path)
    else:
        site: Any = request.getfixturevalue("rabbitmq_site")
        opened = RealWorker(tmp_path, site, f"{tmp_path.name}-{next(_NUMBERS)}")
    yield opened
    opened.close()


@pytest.mark.parametrize(("task", "how"), list(_CASES))
def test_a_task_ends_as_it_does_on_a_real_worker(worker: WorkerArm, task: str, how: str) -> None:
    """celery/worker/request.py; billiard/pool.py; celery/concurrency/asynpool.py."""
    assert worker.run(task, how) == _CASES[task, how]


@pytest.mark.parametrize("task", ["early", "late"])
@pytest.mark.parametrize("how", ["local exception", "reject what cannot be pickled"])
def test_what_cannot_be_pickled_fails_as_it_does_on_a_real_worker(
    worker: WorkerArm, task: str, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    """billiard/pool.py, Worker.workloop: MaybeEncodingError."""
    with caplog.at_level(logging.CRITICAL):
        outcome = worker.run(task, how)
    assert (outcome.state, outcome.runs) == ("FAILURE", _ONCE)
    assert "Error sending result: " in outcome.result
