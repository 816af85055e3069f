"""The arms of the conformance tests: tqsim always, a real RabbitMQ when one answers, a real Redis of the tests' own."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest

from tests.conformance.rabbitmq_arms import Arm
from tests.conformance.rabbitmq_machine_arm import MachineArm
from tests.conformance.rabbitmq_server_arm import ServerArm, Site
from tests.conformance.redis_server_arm import RealRedis


@pytest.fixture(scope="session")
def rabbitmq_site() -> Iterator[Site]:
    """A vhost on the real server; skips, with the reason, where no server answers."""
    missing = Site.missing()
    if missing is not None:
        pytest.skip(missing)
    site = Site()
    yield site
    site.close()


@pytest.fixture(scope="session")
def real_redis() -> Iterator[RealRedis]:
    """A real Redis of the tests' own; skips, with the reason, where there is none."""
    missing = RealRedis.missing()
    if missing is not None:
        pytest.skip(missing)
    with RealRedis() as server:
        yield server


@pytest.fixture(scope="session")
def rabbitmq_test_numbers() -> Iterator[int]:
    """A source of numbers that make the names of each test its own."""
    return itertools.count(1)


@pytest.fixture(params=["machine", pytest.param("server", marks=pytest.mark.conformance)])
def arm(request: pytest.FixtureRequest) -> Iterator[Arm]:
    """One arm after the other."""
    opened: Arm
    if request.param == "machine":
        opened = MachineArm()
    else:
        site = request.getfixturevalue("rabbitmq_site")
        opened = ServerArm(site, next(request.getfixturevalue("rabbitmq_test_numbers")))
    yield opened
    opened.close()
