"""Backends that cannot run in a simulation, and results that are asked for after its end."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from celery import group
from celery.backends.base import BaseBackend
from celery.backends.redis import RedisBackend
from celery.exceptions import ImproperlyConfigured

import tqsim
from tests.simulation.results_stories import BACKENDS, make_shop, place

REMEDY = (
    "; it is not simulated, and a simulation has no network. Set app.conf.result_backend for the test to "
    '"redis://", "rpc://", "cache+memory://", "db+sqlite:///results.sqlite", "file:///tmp/results" or "disabled://".'
)
ENDED = (
    "The simulation has ended; its results went with it. Ask for a result inside the with-block of the "
    "simulation: get(), state and join() read the simulated backend."
)


class HouseBackend(BaseBackend):
    """A backend that somebody wrote; nobody knows what it talks to."""


class LoudRedisBackend(RedisBackend):
    """Celery's backend with a change of one's own."""


@pytest.mark.parametrize(
    ("backend", "message"),
    [
        ("mongodb://localhost/results", "result_backend='mongodb://localhost/results' needs a server of its own"),
        ("elasticsearch://localhost/x/y", "result_backend='elasticsearch://localhost/x/y' needs a server of its own"),
        ("django-db", "result_backend='django-db' needs a server of its own"),
        (
            "cache+memcached://127.0.0.1:11211/",
            "result_backend='cache+memcached://127.0.0.1:11211/' needs a memcached server",
        ),
        ("cache", "result_backend='cache' needs a memcached server"),
        # A password is nobody's business.
        ("db+postgresql://u:secret@db/x", "result_backend='db+postgresql://u:**@db/x' needs a database server"),
        ("database", "result_backend='database' needs a database server"),
        (
            "db+sqlite://",
            (
                "result_backend='db+sqlite://' keeps an SQLite database in the memory of each connection, so no "
                "process finds results"
            ),
        ),
        (
            "house.results.Backend",
            "result_backend='house.results.Backend' is a class of its own that tqsim does not know",
        ),
        (
            f"{__name__}:HouseBackend",
            f"result_backend='{__name__}:HouseBackend' is a class of its own that tqsim does not know",
        ),
    ],
)
def test_backend_that_needs_a_server_is_refused(backend: str, message: str) -> None:
    app = make_shop(backend)
    with pytest.raises(tqsim.UnsupportedError, match=f"^{re.escape(message + REMEDY)}$"):
        tqsim.Simulation(app)


def test_backend_class_given_to_the_application_is_refused() -> None:
    app = make_shop(None)
    app.backend_cls = HouseBackend
    message = "result_backend='HouseBackend' is a class of its own that tqsim does not know"
    with pytest.raises(tqsim.UnsupportedError, match=f"^{re.escape(message + REMEDY)}$"):
        tqsim.Simulation(app)


def test_second_application_is_refused_too() -> None:
    other = make_shop("mongodb://localhost/results")
    with tqsim.Simulation(make_shop("redis://")) as sim:
        with pytest.raises(tqsim.UnsupportedError, match=r"^result_backend='mongodb://localhost/results' needs "):
            sim.worker("w1", app=other)


def test_class_made_from_a_known_backend_runs() -> None:
    app = make_shop(f"{__name__}:LoudRedisBackend")
    with tqsim.Simulation(app) as sim:
        sim.worker("w1")
        assert type(app.backend).__name__ == "LoudRedisBackend"
        assert app.tasks["add"].delay(1, 2).get(timeout=10) == 3


def test_cache_named_by_its_own_setting_runs() -> None:
    app = make_shop("cache", cache_backend="memory://")
    with tqsim.Simulation(app) as sim:
        sim.worker("w1")
        assert app.tasks["add"].delay(1, 2).get(timeout=10) == 3


@pytest.mark.parametrize("backend", [*BACKENDS, "disabled://"])
def test_result_cannot_be_asked_for_after_the_end(backend: str, tmp_path: Path) -> None:
    app = make_shop(place(backend, tmp_path))
    with tqsim.Simulation(app) as sim:
        sim.worker("w1")
        result = app.tasks["add"].delay(1, 2)
        many = group(app.tasks["add"].s(1, 2), app.tasks["add"].s(3, 4)).apply_async()
        sim.run_until_idle()
    for ask in (result.get, result.ready, result.forget, lambda: result.state, many.get, many.join, many.ready):
        with pytest.raises(tqsim.ClosedError, match=f"^{re.escape(ENDED)}$"):
            ask()


@pytest.mark.parametrize("backend", BACKENDS)
def test_result_that_was_read_inside_is_known_after_the_end(backend: str, tmp_path: Path) -> None:
    app = make_shop(place(backend, tmp_path))
    with tqsim.Simulation(app) as sim:
        sim.worker("w1")
        result = app.tasks["add"].delay(1, 2)
        assert result.get() == 3
    assert result.get() == 3
    assert result.state == "SUCCESS"


@pytest.mark.parametrize("backend", BACKENDS)
def test_next_simulation_does_not_find_the_results_of_the_last(backend: str, tmp_path: Path) -> None:
    """Ids come from the seed, so both runs give their tasks the same ids."""
    app = make_shop(place(backend, tmp_path))
    ids = []
    for _ in range(2):
        with tqsim.Simulation(app, seed=3) as sim:
            sim.worker("w1")
            result = app.tasks["add"].delay(1, 2)
            ids.append(result.id)
            assert result.state == "PENDING"
            assert result.get() == 3
            assert sim.elapsed == 1.0
    assert ids[0] == ids[1]
    assert list(tmp_path.iterdir()) == []


def test_missing_directory_is_celerys_error(tmp_path: Path) -> None:
    app = make_shop(f"file://{tmp_path}/nowhere")
    with tqsim.Simulation(app):
        with pytest.raises(
            ImproperlyConfigured, match=r"^The configured path for the file-system backend does not\nwork"
        ):
            app.tasks["add"].delay(1, 2)
