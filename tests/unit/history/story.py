"""Histories told by hand: :class:`Story`.

What happens may be told in any order; :meth:`Story.history` sorts it by time and keeps the order of telling
within one instant.  Times are in seconds.
"""

from __future__ import annotations

from tqsim.history import History, RunInfo

__all__ = ["INFO", "Story"]

INFO = RunInfo(seed=7, versions={"tqsim": "0.1.0"}, reproduction="pytest --tqsim-seed=7")


class Story:
    """A history in the making."""

    def __init__(self, *, info: RunInfo = INFO) -> None:
        self._info = info
        self._told: list[tuple[int, str, str, str | None, dict[str, object]]] = []
        self._deliveries = 0

    def tell(self, at: float, name: str, process: str = "", task_id: str | None = None, **fields: object) -> Story:
        """Tell one moment."""
        self._told.append((round(at * 1_000_000), name, process, task_id, fields))
        return self

    def worker(self, name: str = "w1", *, at: float = 0, concurrency: int = 1) -> Story:
        """Tell that a worker began."""
        return self.tell(at, "process.started", name, kind="worker", concurrency=concurrency)

    def publish(
        self,
        task_id: str,
        at: float = 0,
        *,
        task: str = "shop.charge",
        queue: str = "celery",
        retries: int = 0,
        **fields: object,
    ) -> Story:
        """Tell that a task's message left a client and reached its queue."""
        self.tell(at, "task.published", "client", task_id, task=task, queue=queue, retries=retries, **fields)
        self.tell(at, "message.published", "client", task_id, queue=queue)
        return self.tell(at, "message.queued", "", task_id, queue=queue)

    def receive(self, task_id: str, at: float, *, worker: str = "w1", queue: str = "celery", **fields: object) -> int:
        """Tell that a worker took a message; return the number of the delivery."""
        self._deliveries += 1
        delivery = self._deliveries
        self.tell(at, "message.delivered", worker, task_id, queue=queue, delivery=delivery)
        self.tell(at, "task.received", worker, task_id, delivery=delivery, **fields)
        return delivery

    def run(
        self,
        task_id: str,
        start: float,
        end: float | None = None,
        outcome: str = "succeeded",
        *,
        worker: str = "w1",
        child: int = 5_000_001,
        retries: int = 0,
        ack: bool = True,
        redelivered: bool = False,
        **fields: object,
    ) -> int:
        """Tell an attempt that starts as it is received and ends with an ack; without ``end`` it goes on."""
        delivery = self.receive(task_id, start, worker=worker, retries=retries, redelivered=redelivered)
        self.tell(start, "task.started", worker, task_id, delivery=delivery, child=child)
        if end is not None:
            self.tell(end, f"task.{outcome}", worker, task_id, delivery=delivery, **fields)
            if ack:
                self.tell(end, "message.acked", worker, task_id, queue="celery", delivery=delivery)
        return delivery

    def history(self) -> History:
        """Return everything told so far as a history."""
        history = History(self._info)
        for at_us, name, process, task_id, fields in sorted(self._told, key=lambda told: told[0]):
            history.record(name, at_us=at_us, process=process, task_id=task_id, **fields)
        return history
