"""How a request that waits for an answer is refused.

The main name is :func:`answered`, the decorator of such requests of a channel.  Requests without an
answer do not use it; their refusal is an event.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from tqsim.broker.rabbitmq.methods import Method
from tqsim.broker.rabbitmq.refusals import Refusal

__all__ = ["Requestee", "answered"]


class Requestee(Protocol):
    """What :func:`answered` needs of a channel."""

    is_open: bool

    def not_open(self, method: Method) -> Exception:
        """Return the exception for a request on a channel that is closed."""

    def fail(self, refusal: Refusal, *, tell: bool) -> None:
        """Close what ``refusal`` closes; with ``tell``, push the event."""


Target = TypeVar("Target", bound=Requestee)
Given = ParamSpec("Given")
Result = TypeVar("Result")
Request = Callable[Concatenate[Target, Given], Result]


def answered(method: Method) -> Callable[[Request[Target, Given, Result]], Request[Target, Given, Result]]:
    """Make a function the request ``method``: its refusal closes and is raised, with that number."""

    def decorate(request: Request[Target, Given, Result]) -> Request[Target, Given, Result]:
        @wraps(request)
        def perform(target: Target, /, *args: Given.args, **kwargs: Given.kwargs) -> Result:
            if not target.is_open:
                raise target.not_open(method)
            try:
                return request(target, *args, **kwargs)
            except Refusal as refusal:
                refusal.method = method
                target.fail(refusal, tell=False)
                raise

        return perform

    return decorate
