"""The simulated Redis answers as a real Redis 7.0 did, byte by byte; the real one still does."""

from __future__ import annotations

from typing import Any, Final

import pytest
import redis
from celery import Celery

import tqsim
from tests.conformance.redis_differences import DIFFERENCES
from tests.conformance.redis_server_arm import RealRedis
from tests.conformance.redis_traces import PROTOCOLS, Body, bodies, converse, recorded

_BODIES: Final = {body.name: body for body in bodies()}
_REPLIES: Final = recorded()


def key_of(body: Body, protocol: int) -> str:
    """The name under which the answers are recorded."""
    return f"{body.name} (RESP{protocol})"


def test_every_body_is_recorded() -> None:
    assert set(_REPLIES) == {key_of(body, protocol) for body in _BODIES.values() for protocol in PROTOCOLS}


def test_every_difference_is_one() -> None:
    """A line that is listed as different must be there, and say something else than the real server."""
    for key, lines in DIFFERENCES.items():
        said = dict(line.split(": ", 1) for line in _REPLIES[key])
        for line, answer in lines.items():
            assert said[line] != answer


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", _BODIES)
def test_simulated_server_answers_as_recorded(name: str, protocol: int) -> None:
    body = _BODIES[name]
    app = Celery("conformance", broker="memory://", set_as_current=False)

    def connect() -> Any:
        return redis.Connection(host="conformance", socket_timeout=None)._connect()

    with tqsim.Simulation(app):
        answers = converse(body, protocol, connect)
    expected = list(_REPLIES[key_of(body, protocol)])
    for index, line in enumerate(expected):
        asked = line.split(": ", 1)[0]
        different = DIFFERENCES.get(key_of(body, protocol), {}).get(asked)
        if different is not None:
            expected[index] = f"{asked}: {different}"
    assert answers == expected


@pytest.mark.conformance
@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("name", _BODIES)
def test_real_server_answers_as_recorded(name: str, protocol: int, real_redis: RealRedis) -> None:
    body = _BODIES[name]
    real_redis.flush()
    assert converse(body, protocol, real_redis.connect) == _REPLIES[key_of(body, protocol)]
