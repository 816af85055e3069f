"""A run over bad links, on whichever broker: :func:`run_link_story`."""

from __future__ import annotations

import tqsim
from tests.determinism.story_app import ROUTED_QUEUES, add, app, pay
from tqsim import faults

__all__ = ["run_link_story"]


def run_link_story(
    seed: int = 7, policy: str = "fifo", broker: tqsim.RabbitMQ | tqsim.Redis | None = None
) -> tqsim.History:
    """Run two workers over slow links, one of them cut off, reset and forgotten; return the history."""
    with tqsim.Simulation(app, seed=seed, policy=policy, broker=broker) as sim:
        for name in ("w1", "w2"):
            sim.worker(name, concurrency=2, queues=list(ROUTED_QUEUES))
        sim.faults.add(faults.latency(delay="3ms", jitter="30ms"))
        sim.faults.add(faults.partition("w1", at="9s", for_="4s"))
        sim.faults.add(faults.connection_reset("w2", at="15s"))
        sim.faults.add(faults.half_open("w1", at="20s", lost_by="server"))
        sim.load(tqsim.load.poisson(2, for_="25s"), pay.s, "customers")
        sim.run(for_="5s")
        results = [add.delay(number, number) for number in range(3)]
        sim.run(for_="2m")
        told = [result.state for result in results]
        add.apply_async((0, 0), headers={"told": repr(told)}, argsrepr=repr(told))
        sim.run(for_="5s")
    return sim.history
