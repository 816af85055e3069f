"""Coverage of code that runs in fibers.

coverage's tracer keeps one stack per thread unless it is told about greenlets, and then misses
lines of tests and tasks after a wait.  Under pytest-cov the setting is made here; whoever starts
coverage before pytest is warned.  The main name is :func:`warn_of_blind_coverage`.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest

__all__ = ["pytest_load_initial_conftests", "pytest_sessionstart", "warn_of_blind_coverage"]

_OPTION: Final = "run:concurrency"
_SEES_GREENLETS: Final = frozenset({"eventlet", "gevent", "greenlet"})


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, Any, Any]:
    """Let the coverage that pytest-cov starts here see fibers."""
    with _coverage_sees_greenlets(early_config):
        return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> Generator[None, Any, Any]:
    """Let the coverage that pytest-cov starts here, in a worker of pytest-xdist, see fibers."""
    with _coverage_sees_greenlets(session.config):
        return (yield)


@contextmanager
def _coverage_sees_greenlets(config: pytest.Config) -> Iterator[None]:
    """Make the setting in whatever is started meanwhile; coverage reads it once, at its start."""
    if not getattr(config.known_args_namespace, "cov_source", None):
        yield  # pytest-cov is not there or not asked for
        return
    import coverage

    start = coverage.Coverage.start

    def start_with_greenlets(instance: Any) -> None:
        if _is_blind(instance):
            instance.set_option(_OPTION, [*_concurrency(instance), "greenlet"])
        start(instance)

    coverage.Coverage.start = start_with_greenlets  # type: ignore[assignment,method-assign]
    try:
        yield
    finally:
        coverage.Coverage.start = start  # type: ignore[method-assign]


def warn_of_blind_coverage(item: pytest.Item) -> None:
    """Warn, for the sake of ``item``, if coverage runs in a way that misses what happens after a wait."""
    coverage = sys.modules.get("coverage")
    running = None if coverage is None else coverage.Coverage.current()
    if running is not None and _is_blind(running):
        item.warn(
            pytest.PytestWarning(
                'coverage was started without concurrency = ["greenlet", "thread"], so it misses lines of tests and '
                "tasks in a simulation. Add the setting to [tool.coverage.run], or measure with pytest --cov."
            )
        )


def _is_blind(running: Any) -> bool:
    if not _SEES_GREENLETS.isdisjoint(_concurrency(running)):
        return False
    # The core over sys.monitoring, the default since Python 3.14, counts by code and needs no setting.
    if sys.version_info < (3, 14) or running.get_option("run:timid") or running.get_option("run:dynamic_context"):
        return True
    return running.get_option("run:core") not in (None, "sysmon")


def _concurrency(running: Any) -> list[str]:
    value = running.get_option(_OPTION)
    return [value] if isinstance(value, str) else list(value or ())
