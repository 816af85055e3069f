"""A simulated dependency of the task code, such as a payment API: latency, capacity, outages.

The main name is :class:`Service`.  The task code goes on calling the function that it always
called; the simulation puts the service in its place, and what it answers is up to the test.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tqsim import durations
from tqsim.durations import Duration
from tqsim.errors import UsageError
from tqsim.kernel import Kernel
from tqsim.load.capacity import Capacity
from tqsim.load.distributions import Distribution, sampler

if TYPE_CHECKING:
    import random

__all__ = ["Service", "ServiceError"]


class ServiceError(ConnectionError):
    """What a call to a simulated service that is down, or fails, raises unless told otherwise."""


class Service:
    """One simulated dependency.

    ``latency`` passes for each call (a duration or a distribution).  At most ``capacity`` calls
    are served at once, the others wait their turn in order.  A call fails with probability
    ``error_rate``, and at once during an outage, by raising ``error(text)``.  ``reply`` is the answer
    of a call that succeeds, or a function of the call's arguments that gives it.
    """

    def __init__(
        self,
        kernel: Kernel,
        name: str,
        *,
        latency: Duration | Distribution = 0,
        capacity: int | None = None,
        error_rate: float = 0.0,
        error: Callable[[str], BaseException] = ServiceError,
        reply: Any = None,
        note: Callable[..., None] | None = None,
    ) -> None:
        if capacity is not None and (isinstance(capacity, bool) or not isinstance(capacity, int) or capacity < 1):
            raise UsageError(f"service {name!r}: capacity={capacity!r}; expected a whole number >= 1, or None.")
        if not callable(error):
            raise UsageError(
                f"service {name!r}: error={error!r}; expected a class of exceptions, or a function from text to one."
            )
        self.name = name
        self.calls = 0
        self.failures = 0
        self.error_rate = _rate(name, error_rate)
        self._kernel = kernel
        self._latency = sampler(latency, "latency")
        self._error = error
        self._reply = reply
        self._note = note
        self._capacity = Capacity(kernel, capacity, name)
        self._down = 0

    @property
    def is_down(self) -> bool:
        """Whether an outage lasts."""
        return self._down > 0

    @property
    def capacity(self) -> int | None:
        """How many calls are served at once, or ``None`` for any number."""
        return self._capacity.limit

    @property
    def in_service(self) -> int:
        """How many calls are served now."""
        return self._capacity.served

    @property
    def waiting(self) -> int:
        """How many calls wait for capacity."""
        return self._capacity.waiting

    def fail(self) -> None:
        """Begin an outage; it lasts until :meth:`recover` was called as often."""
        self._down += 1

    def recover(self) -> None:
        """End an outage."""
        self._down = max(0, self._down - 1)

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Call the service from task code: takes virtual time, and returns the reply or raises."""
        generator = self._generator()
        self.calls += 1
        self._tell("service.called")
        if self._down:
            return self._refuse(f"{self.name} is down")
        with self._capacity.place():
            self._kernel.loop.sleep(self._latency(generator))
        if self._down:
            return self._refuse(f"{self.name} went down during the call")
        if self.error_rate and generator.random() < self.error_rate:
            return self._refuse(f"{self.name} failed")
        self._tell("service.answered")
        return self._reply(*args, **kwargs) if callable(self._reply) else self._reply

    __call__ = call

    def _refuse(self, text: str) -> None:
        self.failures += 1
        self._tell("service.failed", error=text)
        error = self._error(f"{text} (at {durations.text(self._kernel.loop.now_us)})")
        if not isinstance(error, BaseException):
            raise UsageError(f"service {self.name!r}: error={self._error!r} gave {error!r}; expected an exception.")
        raise error

    def _generator(self) -> random.Random:
        fiber = self._kernel.loop.current or self._kernel.loop.main
        return fiber.draws.generator

    def _tell(self, moment: str, **fields: Any) -> None:
        if self._note is not None:
            process = self._kernel.loop.loaded
            owner = process if process.parent is None else process.parent
            self._note(moment, owner.name, None, service=self.name, **fields)


def _rate(name: str, value: float) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        raise UsageError(f"service {name!r}: error_rate={value!r}; expected a probability from 0 to 1.")
    return float(value)
