"""The applications that are measured: an ordinary Celery app with a task that does next to nothing."""

from __future__ import annotations

from typing import Any

from celery import Celery

__all__ = ["RESULTS_IN_MEMORY", "make_app"]

RESULTS_IN_MEMORY = "cache+memory://"


def make_app(*, stores_results: bool = False, **settings: Any) -> Any:
    """Return an application with the task ``bench.noop``, on the in-memory broker."""
    app = Celery(
        "bench",
        broker="memory://",
        backend=RESULTS_IN_MEMORY if stores_results else None,
        set_as_current=False,
    )
    app.conf.task_ignore_result = not stores_results
    app.conf.update(settings)

    @app.task(name="bench.noop")
    def noop(number: int) -> int:
        return number

    app.finalize()
    return app
