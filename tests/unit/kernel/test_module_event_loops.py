from __future__ import annotations

import asyncio
import copy
from typing import Any

from tests.unit.kernel.kernels import kernel
from tqsim.kernel.module_event_loops import ModuleEventLoop


def test_a_loop_made_at_import_is_its_own_in_each_process() -> None:
    real = asyncio.new_event_loop()
    real.slow_callback_duration = 7.0
    found: dict[str, Any] = {}
    with kernel() as simulation:
        stand_in: Any = ModuleEventLoop(simulation.loop, real)

        def work(name: str) -> None:
            stand_in.run_until_complete(asyncio.sleep(3))
            found[name] = stand_in.slow_callback_duration, stand_in.get_debug(), repr(stand_in)
            stand_in.set_debug(True)
            stand_in.slow_callback_duration = 8.0

        for name in "ab":
            process = simulation.new_process(name)
            simulation.loop.spawn(lambda name=name: work(name), name, process)  # type: ignore[misc]
        simulation.run_until(10**7)
        in_test = stand_in.slow_callback_duration, stand_in.get_debug()
        is_loop = isinstance(stand_in, asyncio.AbstractEventLoop), copy.deepcopy(stand_in) is stand_in
    real.close()

    text = "<of each process: <_UnixSelectorEventLoop running=False closed=False debug=False>>"
    assert found == dict.fromkeys("ab", (7.0, False, text))
    assert (in_test, is_loop) == ((7.0, False), (True, True))
    assert stand_in.is_closed() is True
