"""An application on a Redis broker, for the tests of that profile: :func:`make_app`."""

from __future__ import annotations

import time
from typing import Any

from tests.simulation.worker_stories import make_app as make_any_app

__all__ = ["make_app"]


def make_app(url: Any = "redis://", *, results: str = "cache+memory://", options: Any = None, **settings: Any) -> Any:
    """Return an application with ``work`` and ``late`` (acknowledged late), which take seconds, and ``say``."""
    app = make_any_app(broker_url=url, result_backend=results, broker_transport_options=options or {}, **settings)

    @app.task(name="work")
    def work(seconds: float = 0) -> float:
        time.sleep(seconds)
        return seconds

    @app.task(name="late", acks_late=True)
    def late(seconds: float = 0) -> float:
        time.sleep(seconds)
        return seconds

    @app.task(name="say")
    def say(word: str) -> str:
        return word

    return app
