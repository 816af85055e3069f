"""Coverage of code that runs in fibers.

coverage's tracer keeps one stack per thread unless it is told about greenlets, and then loses the
lines of a task after its first wait.  Under pytest-cov the setting is made here; whoever starts
coverage before pytest is warned.  The main name is :func:`warn_of_blind_coverage`.
"""

from __future__ import annotations

import sys
import warnings
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

    coverage.Coverage.start = start_with_greenlets  # type: ignore[method-assign]
    try:
        yield
    finally:
        coverage.Coverage.start = start  # type: ignore[method-assign]


def warn_of_blind_coverage() -> None:
    """Warn if coverage runs in a way that does not count what tasks do after a wait."""
    coverage = sys.modules.get("coverage")
    running = None if coverage is None else coverage.Coverage.current()
    if running is not None and _is_blind(running):
        warnings.warn(
            pytest.PytestWarning(
                'coverage was started without concurrency = ["greenlet", "thread"], so it misses lines of tasks '
                "in a simulation. Add the setting to [tool.coverage.run], or measure with pytest --cov."
            ),
            stacklevel=2,
        )


def _is_blind(running: Any) -> bool:
    if not _SEES_GREENLETS.isdisjoint(_concurrency(running)):
        return False
    core = running.get_option("run:core")
    # The core over sys.monitoring, the default since Python 3.14, counts by code and needs no setting.
    uses_monitoring = core == "sysmon" if core else sys.version_info >= (3, 14)
    return not uses_monitoring


def _concurrency(running: Any) -> list[str]:
    value = running.get_option(_OPTION)
    return [value] if isinstance(value, str) else list(value or ())
