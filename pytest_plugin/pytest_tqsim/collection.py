"""From tests to test items: one for each seed, those that failed last time first.

The main names are the hooks.
"""

from __future__ import annotations

from typing import Final

import pytest

from pytest_tqsim.marks import MARKER, MarkerError, read_marks
from pytest_tqsim.memory import FAILED_SEEDS, FailedSeeds
from pytest_tqsim.options import Options, read_options
from pytest_tqsim.seeds import plan_seeds

__all__ = [
    "OPTIONS",
    "SEED_ARGUMENT",
    "pytest_collection_modifyitems",
    "pytest_configure",
    "pytest_generate_tests",
    "seed_of_item",
]

SEED_ARGUMENT: Final = "tqsim_seed"
#: Where the run's options are found.
OPTIONS: Final = pytest.StashKey[Options]()


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker and read the options and the seeds that failed."""
    config.addinivalue_line("markers", MARKER)
    config.stash[OPTIONS] = read_options(config)
    config.stash[FAILED_SEEDS] = failed_seeds = FailedSeeds(config)
    config.pluginmanager.register(failed_seeds, "tqsim-failed-seeds")


@pytest.hookimpl(trylast=True)  # so that the seed stands last in the name, after the test's own parameters
def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test item for each seed of a test that uses one."""
    definition = metafunc.definition
    try:
        marks = read_marks(definition)
    except MarkerError as error:
        pytest.fail(f"{definition.nodeid}: {error}", pytrace=False)
    if SEED_ARGUMENT not in metafunc.fixturenames or _is_parametrised_by_user(definition):
        return
    config = metafunc.config
    plan = plan_seeds(config.stash[OPTIONS], marks, config.stash[FAILED_SEEDS].of(definition.nodeid))
    if plan.is_parametrised:
        ids = [f"seed={seed}" for seed in plan.seeds]
        metafunc.parametrize(SEED_ARGUMENT, plan.seeds, ids=ids, indirect=True)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put seeds that failed before the other seeds of their test, also in a shuffled order.

    The items of a test keep the places that they have among all items.
    """
    if config.stash[OPTIONS].seed is not None:
        return
    for key, places in _places_by_test(items).items():
        failed = config.stash[FAILED_SEEDS].of(key)
        if not failed:
            continue
        ranks = {seed: rank for rank, seed in enumerate(failed)}
        ordered = sorted((items[place] for place in places), key=lambda item: _rank(item, ranks))
        for place, item in zip(places, ordered, strict=True):
            items[place] = item


def seed_of_item(item: pytest.Item) -> tuple[str, int] | None:
    """Return the key of the item's test function and its seed, or None for an item without its own."""
    if not isinstance(item, pytest.Function) or item.parent is None:
        return None
    params = getattr(getattr(item, "callspec", None), "params", {})
    if type(params.get(SEED_ARGUMENT)) is not int or _is_parametrised_by_user(item):
        return None
    return f"{item.parent.nodeid}::{item.originalname}", params[SEED_ARGUMENT]


def _places_by_test(items: list[pytest.Item]) -> dict[str, list[int]]:
    places: dict[str, list[int]] = {}
    for place, item in enumerate(items):
        found = seed_of_item(item)
        if found is not None:
            places.setdefault(found[0], []).append(place)
    return places


def _rank(item: pytest.Item, ranks: dict[int, int]) -> int:
    found = seed_of_item(item)
    return len(ranks) if found is None else ranks.get(found[1], len(ranks))


def _is_parametrised_by_user(node: pytest.Item) -> bool:
    """Whether the test itself says ``@pytest.mark.parametrize("tqsim_seed", ...)``."""
    for mark in node.iter_markers("parametrize"):
        names = mark.args[0] if mark.args else mark.kwargs.get("argnames", ())
        if isinstance(names, str):
            names = names.split(",")
        if SEED_ARGUMENT in [name.strip() for name in names]:
            return True
    return False
