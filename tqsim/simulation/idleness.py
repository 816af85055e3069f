"""When a simulation has nothing left to do, and what is left when it has.

The main name is :class:`Idleness`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from tqsim.broker.views import Broker
from tqsim.simulation.handles import ClientHandle
from tqsim.worker.program import WorkerProgram

__all__ = ["Idleness"]


class Idleness:
    """Looks at broker, workers and clients; the mappings are the simulation's own."""

    def __init__(
        self,
        broker: Broker,
        workers: Mapping[str, WorkerProgram],
        clients: Mapping[str, ClientHandle],
    ) -> None:
        self._broker = broker
        self._workers = workers
        self._clients = clients

    def is_idle(self, ignored: Collection[str] = ()) -> bool:
        """Whether no message is ready or unacknowledged, and no task or client is running.

        Messages in the queues called ``ignored`` do not count.
        """
        for client in self._clients.values():
            if not client.is_done and not client.is_background:
                return False
        for worker in self._workers.values():
            if worker.is_busy:
                return False
        return not self._broker.has_work(ignored)

    def advice(self, ignored: Collection[str] = ()) -> str:
        """What to do about the queues that nobody consumes, in a sentence with a space before it; empty without one."""
        names = [
            view.name
            for view in self._broker.work()
            if view.name not in ignored and view.ready_count and not view.consumer_count
        ]
        if not names:
            return ""
        queues = ", ".join(f'"{name}"' for name in (*ignored, *names))
        it = "it" if len(names) == 1 else "them"
        return f" If nobody is meant to consume {it}, as a queue of dead letters, give ignore_queues=[{queues}]."

    def describe(self, ignored: Collection[str] = ()) -> str:
        """What keeps the simulation from being idle, in words."""
        parts = []
        for view in self._broker.work():
            if view.name in ignored:
                continue
            if view.ready_count:
                count = view.consumer_count
                consumers = f"{count} consumer{'s' if count > 1 else ''}" if count else "nobody consumes it"
                parts.append(f"{view.ready_count} ready in queue {view.name!r} ({consumers})")
            if view.unacked_count:
                parts.append(f"{view.unacked_count} unacknowledged of queue {view.name!r}")
        for worker in self._workers.values():
            if worker.is_busy and worker.runtime is not None:
                ids = [task_id for _, task_id, _ in worker.runtime.active.values()]
                parts.append(f"worker {worker.name!r} runs {', '.join(ids) or 'a task'}")
        parts += [str(worker.end) for worker in self._workers.values() if worker.end is not None]
        parts += [f"{client!r}" for client in self._clients.values() if not client.is_done and not client.is_background]
        return "; ".join(parts) or "nothing"
