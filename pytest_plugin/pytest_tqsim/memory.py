"""Seeds that failed are remembered in pytest's cache and tried first in the next run.

The main name is :class:`FailedSeeds`, a plugin of its own.  Under pytest-xdist every worker must
collect the same items, so workers are told by the controller what it read, and only the
controller, to which all reports come, writes.
"""

from __future__ import annotations

from typing import Any, Final

import pytest

__all__ = ["FAILED_SEEDS", "SEED_OF_REPORT", "FailedSeeds"]

_CACHE_KEY: Final = "tqsim/failed_seeds"
_WORKER_KEY: Final = "tqsim_failed_seeds"
#: Seeds kept per test; the latest ones.
_KEPT_MAX: Final = 10
#: The attribute of a report with the test's key and its seed; only parametrised tests have it.
SEED_OF_REPORT: Final = "tqsim_seed_of_test"


class FailedSeeds:
    """Remembers, by test function, the seeds that failed until they pass again."""

    def __init__(self, config: pytest.Config) -> None:
        self._cache = getattr(config, "cache", None)  # absent under -p no:cacheprovider
        worker_input = getattr(config, "workerinput", None)
        self._is_worker = worker_input is not None
        self._failed: dict[str, list[int]] = {}
        self._passed: dict[str, list[int]] = {}
        if worker_input is not None:
            self._known = _valid(worker_input.get(_WORKER_KEY))
        else:
            self._known = _valid(None if self._cache is None else self._cache.get(_CACHE_KEY, None))

    def of(self, key: str) -> tuple[int, ...]:
        """Return the seeds with which the test failed in earlier runs, the latest first."""
        return tuple(self._known.get(key, ()))

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker of pytest-xdist which seeds failed."""
        node.workerinput[_WORKER_KEY] = self._known

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note how a test went with its seed."""
        key, seed = getattr(report, SEED_OF_REPORT, (None, 0))
        if key is None:
            return
        if report.failed:
            self._failed.setdefault(key, []).append(seed)
        elif report.passed and report.when == "call":
            self._passed.setdefault(key, []).append(seed)

    def pytest_sessionfinish(self) -> None:
        """Write what is to be tried first in the next run."""
        if self._cache is None or self._is_worker:
            return
        known = dict(self._known)
        for key in {**self._failed, **self._passed}:
            failed, passed = self._failed.get(key, []), self._passed.get(key, [])
            left = [seed for seed in self._known.get(key, []) if seed not in passed]
            known[key] = list(dict.fromkeys([*failed, *left]))[:_KEPT_MAX]
            if not known[key]:
                del known[key]
        if known != self._known:
            self._cache.set(_CACHE_KEY, known)


#: Where the run's :class:`FailedSeeds` is found.
FAILED_SEEDS: Final = pytest.StashKey[FailedSeeds]()


def _valid(data: object) -> dict[str, list[int]]:
    """Return what the cache held, without what nobody can have written: it is a file of the user's."""
    if not isinstance(data, dict):
        return {}
    return {
        key: [seed for seed in seeds if type(seed) is int]
        for key, seeds in data.items()
        if isinstance(key, str) and isinstance(seeds, list)
    }
