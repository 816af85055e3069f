"""Sending a load: one publish per arrival, at the time that was drawn for it.

The main name is :func:`send_load`.
"""

from __future__ import annotations

from typing import Any

from tqsim.errors import UsageError
from tqsim.kernel import Kernel
from tqsim.load import Arrivals

__all__ = ["send_load"]


def send_load(kernel: Kernel, arrivals: Arrivals, signature: Any) -> int:
    """Publish at every arrival from the running fiber; return how many there were.

    Raises :class:`~tqsim.UsageError` when ``signature`` is neither a signature nor a function
    that returns one.
    """
    loop = kernel.loop
    begin_us = loop.now_us
    generator = kernel.chance.stream(loop.require_current().process.name, "arrivals")
    count = 0
    for due_us in arrivals.times(generator):
        delay_us = begin_us + due_us - loop.now_us
        if delay_us > 0:
            loop.sleep(delay_us)
        wanted = signature if hasattr(signature, "apply_async") else _call(signature, count)
        wanted.apply_async()
        count += 1
    return count


def _call(factory: Any, number: int) -> Any:
    if not callable(factory):
        raise UsageError(f"load(..., {factory!r}): expected a Celery signature or a function that returns one.")
    signature = factory(number)
    if not hasattr(signature, "apply_async"):
        raise UsageError(f"load(...): the function returned {signature!r}; expected a Celery signature.")
    return signature
