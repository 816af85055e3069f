from __future__ import annotations

import gc

import celery.worker.state
import pytest

from tests.unit.kernel.kernels import kernel
from tqsim.kernel.patches import Patches
from tqsim.worker.cells import RequestSet, bind_late, celery_cells


class Request:
    """Something that can be weakly referred to."""


def test_requests_are_walked_in_the_order_of_arrival_and_forgotten_with_their_last_user() -> None:
    kept = [Request() for _ in range(200)]
    requests = RequestSet(kept)
    assert list(requests) == kept

    gone = kept.pop(100)
    assert gone in requests
    del gone
    gc.collect()

    assert list(requests) == kept


@pytest.mark.parametrize("name", ["requests", "reserved_requests", "active_requests", "revoked", "total_count"])
def test_every_process_has_collections_of_its_own_and_one_of_each(name: str) -> None:
    with kernel() as simulation:
        one, two = simulation.new_process("w1"), simulation.new_process("w2")
        cells = [cell for cell in celery_cells() if cell.namespace is vars(celery.worker.state) and cell.key == name]
        values = [cell.fresh(process) for cell in cells for process in (one, two, one)]

    assert len(values) == 3
    assert values[0] is values[2] is not values[1]
    assert type(values[0]).__name__ in ("RequestSet", "dict", "LimitedSet", "Counter")


def test_captured_collections_follow_the_present_one_until_they_are_put_back() -> None:
    state = celery.worker.state
    before = state.task_reserved.__defaults__
    reserved = state.reserved_requests
    patches = Patches()
    bind_late(patches)
    patches.set(state, "reserved_requests", RequestSet())
    patches.set(state, "requests", {})
    request = Request()
    request.id = "a"  # type: ignore[attr-defined]
    state.task_reserved(request)

    assert list(state.reserved_requests) == [request]
    assert state.requests == {"a": request}
    assert request not in reserved
    patches.undo()
    assert state.task_reserved.__defaults__ == before
