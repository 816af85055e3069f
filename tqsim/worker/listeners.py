"""The moments that Celery's own signals tell: a task received, a task revoked, a worker ready.

The main name is :func:`listen`.
"""

from __future__ import annotations

from typing import Any

from celery import signals

from tqsim.kernel import Kernel
from tqsim.worker.runtime import Note

__all__ = ["listen"]


def listen(kernel: Kernel, note: Note) -> None:
    """Connect to Celery's signals until the kernel closes."""
    loop = kernel.loop

    def on_received(sender: Any, request: Any, **kwargs: Any) -> None:
        note(
            "task.received",
            loop.loaded.name,
            request.id,
            task=request.name,
            retries=request.request_dict.get("retries") or 0,
            delivery=getattr(request.message, "delivery_number", 0),
            redelivered=bool(request.delivery_info.get("redelivered")),
        )

    def on_revoked(sender: Any, request: Any, terminated: Any, signum: Any, expired: Any, **kwargs: Any) -> None:
        note("task.revoked", loop.loaded.name, request.id, expired=bool(expired), terminated=bool(terminated))

    def on_unknown(sender: Any, name: str, id: str, **kwargs: Any) -> None:  # noqa: A002 - Celery's name
        note("task.unknown", loop.loaded.name, id, task=name)

    def on_ready(sender: Any, **kwargs: Any) -> None:
        note("worker.ready", loop.loaded.name, None)

    for signal, receiver in (
        (signals.task_received, on_received),
        (signals.task_revoked, on_revoked),
        (signals.task_unknown, on_unknown),
        (signals.worker_ready, on_ready),
    ):
        signal.connect(receiver, weak=False)
        kernel.patches.on_undo(lambda signal=signal, receiver=receiver: signal.disconnect(receiver))  # type: ignore[misc]
