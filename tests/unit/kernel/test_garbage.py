from __future__ import annotations

import gc
import time
import weakref

import pytest

from tests.unit.kernel.kernels import kernel


class Node:
    """Something that refers to itself."""

    def __init__(self) -> None:
        self.me = self


@pytest.mark.parametrize("is_enabled", [True, False])
def test_the_collector_is_as_it_was_after_a_simulation(is_enabled: bool) -> None:
    was_enabled = gc.isenabled()
    if not is_enabled:
        gc.disable()
    try:
        gc.unfreeze()  # Python 3.12 itself begins with some hundred frozen objects
        before = gc.isenabled(), gc.get_freeze_count()
        with kernel():
            inside = gc.isenabled(), gc.get_freeze_count() > 0
        after = gc.isenabled(), gc.get_freeze_count()
    finally:
        if was_enabled:
            gc.enable()

    assert (before, inside, after) == ((is_enabled, 0), (False, True), (is_enabled, 0))


def test_a_heap_that_was_frozen_stays_frozen() -> None:
    gc.freeze()
    try:
        with kernel():
            pass
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()


def test_garbage_is_collected_at_the_same_moment_in_every_run() -> None:
    def moments() -> list[float]:
        freed: list[float] = []
        with kernel() as simulation:
            for _ in range(20):
                weakref.finalize(Node(), lambda: freed.append(simulation.now_s))
            for _ in range(10_000):
                time.sleep(0.001)  # virtual
        return freed

    first = moments()

    assert first == moments()
    assert len(first) == 20
    assert 0 < first[0] < 10


def test_a_finalizer_may_wait() -> None:
    log: list[float] = []
    with kernel() as simulation:

        def wait() -> None:
            time.sleep(0.5)  # virtual
            log.append(simulation.now_s)

        weakref.finalize(Node(), wait)
        for _ in range(10_000):
            time.sleep(0.001)  # virtual

    assert len(log) == 1


def test_what_closed_simulations_leave_is_collected_now_and_then() -> None:
    nodes = []
    for _ in range(60):
        with kernel():
            nodes.append(weakref.ref(Node()))

    assert sum(node() is not None for node in nodes) <= 26
