"""Applications and ways of reading a history that the tests of workers share.

The main names are :func:`make_app`, :func:`make_sleeping_app` and :func:`story`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from celery import Celery

import tqsim

__all__ = ["broker_story", "make_app", "make_sleeping_app", "starts", "story"]


class _Application(Celery):
    """An application whose tasks are its own.

    ``@app.task`` shares a task with every application of the interpreter unless told otherwise
    (celery/app/base.py, Celery.task: ``connect_on_app_finalize``).
    """

    def task(self, *args: Any, **options: Any) -> Any:
        return super().task(*args, **{"shared": False, **options})


def make_app(name: str = "shop", **settings: Any) -> Any:
    """Return a fresh Celery application for RabbitMQ, with results in memory."""
    app = _Application(name, broker="pyamqp://guest@localhost//", backend="cache+memory://", set_as_current=False)
    app.conf.update(settings)
    return app


def make_sleeping_app(**settings: Any) -> Any:
    """Return an application whose tasks ``early`` and ``late`` sleep; the names say when they are acknowledged."""
    app = make_app(**settings)
    for name, acks_late in (("early", False), ("late", True)):

        @app.task(name=name, acks_late=acks_late)
        def sleep(seconds: float = 10) -> str:
            time.sleep(seconds)  # virtual
            return "done"

    return app


def story(sim: tqsim.Simulation, task_id: str, *names: str) -> list[tuple[float, str]]:
    """Return when what happened to a task, in order: of all its moments, or only the named ones."""
    return [(moment.at, moment.name) for moment in sim.history.moments_of(task_id) if not names or moment.name in names]


def starts(sim: tqsim.Simulation, task_ids: Iterable[str]) -> list[float | None]:
    """Return when each task first started, in seconds."""
    return [sim.history.task(task_id).attempts[0].started for task_id in task_ids]


def broker_story(sim: tqsim.Simulation, task_id: str) -> list[str]:
    """Return the names of what happened to a task, without times."""
    return [moment.name for moment in sim.history.moments_of(task_id)]
