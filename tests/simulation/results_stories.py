"""A shop whose tasks return something, for the tests of result backends.

The main names are :func:`make_shop` and :data:`BACKENDS`.
"""

from __future__ import annotations

import time
from typing import Any, Final

from tests.simulation.worker_stories import make_app

__all__ = ["BACKENDS", "MESSAGE_BACKENDS", "POLLED_BACKENDS", "make_shop", "place"]

#: Backends that are told of a result the instant it is stored.
MESSAGE_BACKENDS: Final = (
    "redis://",
    "rediss://redis.example:6380/3?ssl_cert_reqs=required",
    "sentinel://sentinel.example:26379",
    "redis+socket:///run/redis.sock",
    "rpc://",
)
#: Backends that Celery asks again every half second.
POLLED_BACKENDS: Final = ("cache+memory://", "db+sqlite:///{place}/results.sqlite", "file://{place}")
BACKENDS: Final = (*MESSAGE_BACKENDS, *POLLED_BACKENDS)


def place(backend: str, directory: Any) -> str:
    """Return a backend's URL with its files in ``directory``."""
    return backend.replace("{place}", str(directory))


def make_shop(backend: str | None, **settings: Any) -> Any:
    """Return an application with tasks that take a second each, and store their results in ``backend``."""
    app = make_app(
        result_backend=backend,
        result_backend_transport_options={"master_name": "shop"} if str(backend).startswith("sentinel") else {},
        **settings,
    )

    @app.task(name="add")
    def add(x: int, y: int) -> int:
        time.sleep(1)
        return x + y

    @app.task(name="total")
    def total(numbers: list[int]) -> int:
        return sum(numbers)

    @app.task(name="fail")
    def fail() -> None:
        time.sleep(1)
        raise ValueError("no such article")

    @app.task(name="flaky", bind=True, max_retries=3)
    def flaky(self: Any) -> str:
        time.sleep(1)
        if not self.request.retries:
            raise self.retry(countdown=2)
        return "at last"

    @app.task(name="wait_inside")
    def wait_inside() -> int:
        return int(add.delay(1, 2).get())

    @app.task(name="fan_out")
    def fan_out() -> str:
        add.delay(1, 2)
        return "sent"

    return app
