"""Sending a load: one publish per arrival, at the time that was drawn for it.

The main name is :func:`send_load`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from tqsim.errors import UsageError
from tqsim.history import stable_text
from tqsim.kernel import Kernel
from tqsim.kernel.fibers import Fiber
from tqsim.load import Arrivals

__all__ = ["send_load"]


def send_load(
    kernel: Kernel,
    arrivals: Arrivals,
    signature: Any,
    note: Callable[..., None] | None,
    begin: Callable[[], None],
) -> int:
    """Publish at every arrival, from a process of its own; return how many were published.

    Each arrival stands alone, in a fiber of its own: one that has to wait for the broker holds up
    no other, and one that cannot be published is recorded and the others go on.  ``begin()`` is
    called in every one of these fibers.  Raises
    :class:`~tqsim.UsageError` when ``signature`` is neither a signature nor a function that
    returns one.
    """
    loop = kernel.loop
    process = loop.require_current().process
    begin_us = loop.now_us
    fibers: list[Fiber] = []
    published = 0

    def publish(wanted: Any) -> None:
        nonlocal published
        begin()
        try:
            wanted.apply_async()
        except Exception as error:  # noqa: BLE001 - a client in production goes on too
            if note is not None:
                note("task.unpublished", process.name, None, task=wanted.task, error=stable_text(error))
        else:
            published += 1

    times = arrivals.times(kernel.chance.stream(process.name, "arrivals"))
    for number, due_us in enumerate(times):
        delay_us = begin_us + due_us - loop.now_us
        if delay_us > 0:
            loop.sleep(delay_us)
        wanted = signature if hasattr(signature, "apply_async") else _call(signature, number)
        draws = kernel.chance.draws(process.name, "arrival", number)
        fibers.append(loop.spawn(partial(publish, wanted), f"arrival {number}", process, draws))
        fibers = [fiber for fiber in fibers if not fiber.is_done]
    for fiber in fibers:
        loop.join(fiber)
    return published


def _call(factory: Any, number: int) -> Any:
    if not callable(factory):
        raise UsageError(f"load(..., {factory!r}): expected a Celery signature or a function that returns one.")
    signature = factory(number)
    if not hasattr(signature, "apply_async"):
        raise UsageError(f"load(...): the function returned {signature!r}; expected a Celery signature.")
    return signature
