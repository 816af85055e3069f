"""A connection's requests and answers over a sound link, where the server acts at once.

The main names are :class:`Answer`, what the server says to one request, and :class:`DirectChannel`, a server's
channel to which nothing is in the way.  What lies further off is in :mod:`tqsim.broker.distance`.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from tqsim.broker.rabbitmq.refusals import Refusal, Refused

__all__ = ["PUBLISHING", "WITHOUT_ANSWER", "Answer", "DirectChannel"]

#: The requests of a channel that carry a message to the server.
PUBLISHING: Final = ("basic_publish", "publish_unreadable")
#: The requests of a channel that the server does not answer, or whose answer py-amqp does not wait for.
WITHOUT_ANSWER: Final = (*PUBLISHING, "basic_ack", "basic_reject", "basic_recover_unheard")
# A worker asks for it right after it began to consume, and then waits a tenth of a second for what it has read already
# (celery/worker/loops.py, ``_quick_drain``), before its hub hands tasks to its children.  The simulated pool does not
# wait for the hub, so its tasks would start before that, and be acknowledged after (docs/explanation/fidelity.md).
_UNREAD: Final = ("basic_qos",)


class Answer:
    """What the server says to one request; an event among others."""

    __slots__ = ("_error", "_value", "is_there")

    def __init__(self) -> None:
        self.is_there = False
        self._value: Any = None
        self._error: Exception | None = None

    def take_from(self, request: Callable[[], Any]) -> None:
        """Let the server act, and keep what comes of it."""
        try:
            self._value = request()
        except (Refusal, Refused) as error:
            self._error = error

    def result(self) -> Any:
        """Return the value, or raise the refusal."""
        if self._error is not None:
            raise self._error
        return self._value


class DirectChannel:
    """The requests of a server's channel: those with an answer go through ``ask``."""

    def __init__(self, channel: Any, ask: Callable[[Callable[[], Any]], Any]) -> None:
        self._channel = channel
        self._ask = ask
        # Attributes of its own, because a run publishes and acknowledges more often than anything else.
        self.basic_publish = channel.basic_publish
        self.basic_ack = channel.basic_ack

    def __getattr__(self, name: str) -> Any:
        request = getattr(self._channel, name)
        if name in WITHOUT_ANSWER or name in _UNREAD:
            return request
        return lambda *args, **kwargs: self._ask(partial(request, *args, **kwargs))
