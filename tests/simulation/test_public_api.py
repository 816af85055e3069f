"""The code block of the design's public API, as written, and what each line of it promises."""

from __future__ import annotations

import sys

import pytest

from tests.apps import shop
from tests.apps.shop import tasks


def test_the_public_api_runs_as_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """The block of the design, with the shop of ``tests/apps``."""
    monkeypatch.setitem(sys.modules, "shop", shop)
    monkeypatch.setitem(sys.modules, "shop.tasks", tasks)
    # fmt: off
    from shop.tasks import app, charge  # type: ignore[import-not-found]

    import tqsim

    with tqsim.Simulation(app, seed=7, broker=tqsim.RabbitMQ()) as sim:   # start="2030-01-01T00:00:00Z", timezone="UTC" unless given  # noqa: E501
        worker = sim.worker("w1", concurrency=4, queues=["celery"])       # any celery worker option; app=other for a second code base  # noqa: E501
        sim.beat()
        result = charge.delay(42)
        sim.run(for_="10m")                 # or until=<datetime | predicate, tried after every event>
        assert result.get(timeout=60) == "paid"       # blocks in virtual time only
        worker.kill();  sim.run(for_="30s");  worker.restart()  # noqa: E702
        sim.run_until_idle(limit="1d")      # idle: no ready, unacked or ETA message, no running task or client; beat, heartbeats, sweeps do not count  # noqa: E501
        attempts = sim.history.tasks("shop.charge")[0].attempts           # each with received/started/ended times, worker, outcome  # noqa: E501
        sim.check(tqsim.checks.nothing_lost(), tqsim.checks.no_overlap())
    # fmt: on
    assert [(item.received, item.started, item.ended, item.worker, item.outcome) for item in attempts] == [
        (0.0, 0.0, 2.0, "w1", "succeeded")
    ]
    assert sim.elapsed == 630.0
    assert len(sim.history.digest) == 16
    # Beat sent a task a minute; those of the half minute without a worker ran after the restart.
    assert [life.state for life in sim.history.tasks("shop.tidy")] == ["succeeded"] * 10
