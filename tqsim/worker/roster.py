"""The children of one prefork pool, in the two orders in which Celery walks them.

The main name is :class:`Roster`.  It starts children and knows who can be given a job; when they are
taken out, and what becomes of their jobs, is for the pool to say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

from celery.concurrency.asynpool import SCHED_STRATEGIES, AsynPool

from tqsim.kernel import Kernel
from tqsim.worker.children import Child
from tqsim.worker.jobs import Job
from tqsim.worker.runtime import WorkerRuntime

__all__ = ["Roster"]


class Roster:
    """The children that a pool knows of, whether they live or not; walked as they were started.

    ``report`` and ``on_exit`` are for the children, see :class:`~tqsim.worker.children.Child`.
    """

    def __init__(
        self,
        kernel: Kernel,
        runtime: WorkerRuntime,
        tasks_max: int | None,
        report: Callable[[str, Child, Job | None, Any], None],
        on_exit: Callable[[Child], None],
    ) -> None:
        self._kernel = kernel
        self._runtime = runtime
        self._tasks_max = tasks_max
        self._report = report
        self._on_exit = on_exit
        self._children: list[Child] = []
        self._by_index: list[Child] = []
        self._started = 0
        self._writes: Counter[int] = Counter()

    def __iter__(self) -> Iterator[Child]:
        return iter(self._children)

    def __reversed__(self) -> Iterator[Child]:
        return reversed(self._children)

    def __len__(self) -> int:
        return len(self._children)

    def start(self, size: int) -> None:
        """Start a child with the lowest index below ``size`` that is free (``Pool._avail_index``)."""
        taken = {child.index for child in self._children}
        index = next(number for number in range(size) if number not in taken)
        self._started += 1
        parent = self._runtime.process
        process = self._kernel.new_process(f"{parent.name}.{self._started}", parent)
        child = Child(
            self._kernel, process, index,
            tasks_max=self._tasks_max,
            initialise=self._runtime.initialise_child,
            report=self._report,
            on_exit=self._on_exit,
            hostname=self._runtime.hostname,
        )  # fmt: skip
        self._children.append(child)
        self._by_index = sorted(self._children, key=lambda child: child.index)
        self._runtime.note("child.started", pid=child.pid, index=index)

    def remove(self, child: Child) -> None:
        """Forget a child."""
        self._children.remove(child)
        self._by_index.remove(child)

    def give(self, job: Job) -> bool:
        """Write a job to the first child that seems idle; ``False`` when there is none.

        In production it is always the same one too: the first in the order of a set of file
        descriptors (celery/concurrency/asynpool.py, ``schedule_writes``; measured with 2 and 4).
        """
        child = next((child for child in self._by_index if child.job is None), None)
        if child is None:
            return False
        job.written_to = child
        self._writes[child.index] += 1
        child.give(job)
        return True

    def write_stats(self, strategy: str | None) -> dict[str, Any]:
        """Return how many jobs were written to which child, as ``inspect().stats()`` says it.

        Writing takes no virtual time, so that no write is ever under way.
        """
        pool = SimpleNamespace(
            write_stats=self._writes,
            sched_strategy=SCHED_STRATEGIES.get(strategy, strategy),
            _all_inqueues=self._children,
            _active_writes=(),
        )
        stats: dict[str, Any] = AsynPool.human_write_stats(pool)
        return stats
