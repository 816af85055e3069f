"""The arms of the conformance tests: tqsim always, a real RabbitMQ when one answers, a real Redis of the tests' own."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from typing import Final

import pytest

from tests.conformance.program_chances import BY_CHANCE
from tests.conformance.rabbitmq_arms import Arm
from tests.conformance.rabbitmq_machine_arm import MachineArm
from tests.conformance.rabbitmq_server_arm import ServerArm
from tests.conformance.rabbitmq_site import Site
from tests.conformance.redis_server_arm import RealRedis

_PATIENCE_S: Final = 600


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Say which servers the real arms get, in runs that ask for them."""
    if "not conformance" in config.option.markexpr:
        return []
    redis = RealRedis.missing()
    return [
        f"rabbitmq: {Site.described()}",
        "redis: servers of our own" if redis is None else f"redis: skipped, because {redis}",
    ]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show what came out otherwise once on a real server, and not when it was tried again."""
    for report in terminalreporter.getreports("passed"):
        for name, text in report.user_properties:
            if name == BY_CHANCE:
                terminalreporter.section(f"once otherwise: {report.nodeid}")
                terminalreporter.write_line(text)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give time to tests on real servers: one that changes a setting waits until the others have come to an end."""
    for item in items:
        if item.get_closest_marker("conformance") is not None and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(_PATIENCE_S))


@pytest.fixture(scope="session")
def rabbitmq_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A vhost on the real server; skips, with the reason, where there is none and none can be started."""
    missing = Site.missing()
    if missing is not None:
        pytest.skip(missing)
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # whose folder is one below that of the session
        folder = folder.parent
    site = Site(folder / "rabbitmq")
    yield site
    site.close()


@pytest.fixture(scope="session")
def rabbitmq_rules() -> str:
    """The version whose rules the simulated server follows."""
    return Site.rules()


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
        opened = MachineArm(request.getfixturevalue("rabbitmq_rules"))
    else:
        site = request.getfixturevalue("rabbitmq_site")
        opened = ServerArm(site, next(request.getfixturevalue("rabbitmq_test_numbers")))
    yield opened
    opened.close()
