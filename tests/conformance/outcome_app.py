"""An application whose tasks end in every way there is; it runs in the simulation and in real workers.

A real worker is started with ``celery -A tests.conformance.outcome_app``, and learns from its environment
where its broker is and where results and notes go.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from celery import Celery
from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded

__all__ = ["LIMITS", "app", "make_app"]

#: Limits that go with a way to end.
LIMITS: Final[dict[str, dict[str, float]]] = {
    "hard limit": {"time_limit": 1.5},
    "soft limit": {"soft_time_limit": 1.5},
    "soft limit caught": {"soft_time_limit": 1.5},
}


class _Closed:
    def __reduce__(self) -> Any:
        raise TypeError("cannot pickle this")


def make_app(broker: str, folder: Path, queue: str) -> Any:
    """Return the application; results and notes of what ran go into ``folder``."""
    app = Celery("outcomes", broker=broker, backend=f"file://{folder}", set_as_current=False)
    app.conf.update(task_default_queue=queue, broker_connection_retry_on_startup=True)
    for name, options in (
        ("early", {}),
        ("late", {"acks_late": True}),
        ("requeued", {"acks_late": True, "reject_on_worker_lost": True}),
    ):

        def body(self: Any, how: str) -> str:
            redelivered = bool(self.request.delivery_info.get("redelivered"))
            _note(folder, "run", [redelivered, self.request.retries])
            return "again" if redelivered or self.request.retries else _end(self, how)

        app.task(body, name=name, bind=True, shared=False, **options)

    def following() -> None:
        _note(folder, "next", None)

    app.task(following, name="next", shared=False)
    return app


def _note(folder: Path, what: str, value: Any) -> None:
    with (folder / "notes").open("a") as file:
        file.write(json.dumps([what, value]) + "\n")


def _end(task: Any, how: str) -> str:
    time.sleep(0.3)  # virtual, or in a real worker
    if how in _ENDS:
        return _ENDS[how]()
    if how == "retry":
        raise task.retry(countdown=1, exc=ValueError("no"))
    try:
        time.sleep(30)  # virtual, or in a real worker
    except SoftTimeLimitExceeded:
        if how == "soft limit caught":
            return "caught"
        raise
    return "slept"


def _raise(error: BaseException) -> str:
    raise error


def _raise_local() -> str:
    class Local(BaseException):
        pass

    raise Local("here")


def _signal(number: int) -> str:
    os.kill(os.getpid(), number)
    time.sleep(30)  # virtual, or in a real worker
    return "survived"


_ENDS: Final[dict[str, Callable[[], str]]] = {
    "return": lambda: "done",
    "raise": lambda: _raise(ValueError("no")),
    "reject and requeue": lambda: _raise(Reject("no", requeue=True)),
    "reject": lambda: _raise(Reject("no", requeue=False)),
    "ignore": lambda: _raise(Ignore()),
    "sys.exit": lambda: sys.exit(3),
    "os._exit": lambda: os._exit(3),
    "SIGKILL": lambda: _signal(signal.SIGKILL),
    "SIGTERM": lambda: _signal(signal.SIGTERM),
    "SIGQUIT": lambda: _signal(signal.SIGQUIT),
    "local exception": _raise_local,
    "reject what cannot be pickled": lambda: _raise(Reject(_Closed(), requeue=True)),
}

if "OUTCOMES_FOLDER" in os.environ:
    app = make_app(os.environ["OUTCOMES_BROKER"], Path(os.environ["OUTCOMES_FOLDER"]), os.environ["OUTCOMES_QUEUE"])
