from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from tests.unit.kernel.kernels import kernel
from tqsim.errors import UsageError
from tqsim.kernel.kernel import Kernel
from tqsim.kernel.patches import Patches

SOURCE = """
import time
from datetime import datetime as moment
from time import sleep as pause

def captured(now=time.time, *, later=time.monotonic):
    return now(), later()

def wraps(function):
    def inner():
        return function()
    inner.__wrapped__ = function
    return inner

@wraps
def wrapped(now=time.time):
    return now()

class Shop:
    def method(self, now=time.time):
        return now()

    @staticmethod
    def static(now=time.time):
        return now()

    @classmethod
    def of_class(cls, now=time.time):
        return now()

    @property
    def present(self, now=time.time):
        return now()
"""
EPOCH = 1_893_456_000.0


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The name of a module, which is forgotten afterwards."""
    yield "patched_shop"
    sys.modules.pop("patched_shop", None)


def load(name: str) -> Any:
    module = ModuleType(name)
    exec(SOURCE, module.__dict__)
    sys.modules[name] = module
    return module


def bindings(module: Any) -> list[Any]:
    shop = module.Shop
    return [
        *(module.pause, module.moment, module.captured.__defaults__, module.captured.__kwdefaults__),
        *(module.wrapped.__wrapped__.__defaults__, shop.method.__defaults__, shop.static.__defaults__),
        *(shop.of_class.__func__.__defaults__, shop.present.fget.__defaults__),
    ]


def read(module: Any) -> list[Any]:
    shop = module.Shop()
    return [
        *(*module.captured(), module.wrapped(), shop.method(), shop.static(), shop.of_class(), shop.present),
        module.moment.now().year,
    ]


def test_bindings_and_captured_defaults_are_replaced_and_put_back(names: str) -> None:
    module = load(names)
    before = bindings(module)
    with kernel():
        seen = read(module)

    assert seen == [EPOCH] * 7 + [2030]
    assert bindings(module) == before
    assert module.pause is time.sleep


def test_a_module_imported_in_a_simulation_is_put_back_too(names: str) -> None:
    with kernel():
        module = load(names)
        seen = read(module)
    real = bindings(load("patched_shop"))

    assert seen == [EPOCH] * 7 + [2030]
    assert bindings(module) == real


def test_another_module_of_the_same_name_is_searched_anew(names: str) -> None:
    for _ in range(5):
        module = load(names)
        with kernel():
            assert read(module) == [EPOCH] * 7 + [2030]
        del module, sys.modules[names]


def test_functions_that_no_module_binds_can_be_given() -> None:
    def task(now: Any = time.time) -> float:
        return float(now())

    simulation = kernel().open([task])
    try:
        seen = task()
    finally:
        simulation.close()

    assert (seen, task.__defaults__) == (EPOCH, (time.time,))


def test_a_second_simulation_at_the_same_time_is_refused() -> None:
    with kernel():
        with pytest.raises(UsageError) as caught:
            kernel().open()
        still_open = time.time()

    assert still_open == EPOCH
    assert str(caught.value) == (
        "A simulation is open already; two cannot share one interpreter's clock. Leave the first with-block before "
        "opening the next, or give the first one another worker: sim.worker(..., app=other_app)."
    )


@pytest.mark.parametrize("part", ["_threading", "random", "system", "network", "sqlite", "_garbage"])
def test_everything_is_put_back_when_opening_fails_half_way(part: str) -> None:
    def world() -> list[Any]:
        import datetime
        import os
        import random
        import threading

        parts = [time.sleep, time.time, datetime.datetime, threading.Thread.start, threading.Lock, random.getstate()]
        return [*parts, os.getpid, os.urandom, os.environ.get("TZ"), threading.active_count()]

    before = world()
    simulation: Kernel = kernel(time_zone="Europe/Paris", stall_s=60.0)

    def fail(*args: object) -> None:
        raise OSError("half way")

    setattr(simulation, part, SimpleNamespace(**{**_methods(getattr(simulation, part)), "install": fail}))
    with pytest.raises(OSError, match=r"^half way$"):
        simulation.open()

    assert world() == before
    with kernel() as other:
        other.run_until(10)


def _methods(item: Any) -> dict[str, Any]:
    return {name: getattr(item, name) for name in dir(item) if not name.startswith("__")}


def test_the_rest_is_put_back_when_one_restoration_fails() -> None:
    owner = SimpleNamespace(value=1)
    patches = Patches()
    patches.set(owner, "value", 2)

    def fail() -> None:
        raise OSError("not that one")

    patches.on_undo(fail)
    with pytest.raises(OSError, match=r"^not that one$"):
        patches.undo()

    assert owner.value == 1
    patches.undo()


def test_attributes_items_and_elements_are_put_back() -> None:
    owner, mapping, items = SimpleNamespace(a=1), {"a": 1}, [1, 2]
    patches = Patches()
    patches.set(owner, "a", 2)
    patches.set(owner, "b", 2)
    patches.set_item(mapping, "a", 2)
    patches.set_item(mapping, "b", 2)
    patches.set_element(items, 0, 5)
    changed = vars(owner).copy(), dict(mapping), list(items)
    patches.undo()

    assert changed == ({"a": 2, "b": 2}, {"a": 2, "b": 2}, [5, 2])
    assert (vars(owner), mapping, items) == ({"a": 1}, {"a": 1}, [1, 2])
