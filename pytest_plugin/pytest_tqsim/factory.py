"""What the fixture ``tqsim_simulation`` gives: it opens simulations, one after another.

The main name is :class:`SimulationFactory`.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Self

from pytest_tqsim.summaries import Summary, summarise

if TYPE_CHECKING:
    from tqsim import Simulation

__all__ = ["SimulationFactory"]

_SUMMARIES_MAX: Final = 10


class SimulationFactory:
    """Opens simulations for one test, with the test's seed and the options of its marker.

    Only one can be open at a time: opening the next closes the one before.  Each is closed at the
    end of the test at the latest, or of the ``with`` block that it is used in.
    """

    def __init__(self, seed: int, options: Mapping[str, Any], reproduction: str) -> None:
        self._defaults = {"seed": seed, "reproduction": reproduction, **options}
        self._open: Simulation | None = None
        self._closed: deque[Summary] = deque(maxlen=_SUMMARIES_MAX)
        self._closed_count = 0
        self.reproduction = reproduction

    def __call__(self, app: Any, **options: Any) -> Simulation:
        """Return an open :class:`tqsim.Simulation` of ``app``; ``options`` beat those of the marker."""
        self.close()
        simulation: Simulation = _opened_class()(app, **{**self._defaults, **options})
        simulation.__enter__()
        self._open = simulation
        return simulation

    def close(self, error: BaseException | None = None) -> None:
        """Close what is open; ``error`` is the test's own, which nothing may hide."""
        simulation, self._open = self._open, None
        if simulation is None:
            return
        try:
            simulation.__exit__(None if error is None else type(error), error, None)
        finally:
            self._closed.append(summarise(simulation))
            self._closed_count += 1

    def summaries(self) -> list[Summary]:
        """Return what is known of the latest simulations, oldest first."""
        latest = [] if self._open is None else [summarise(self._open)]
        return [*self._closed, *latest][-_SUMMARIES_MAX:]

    def __repr__(self) -> str:
        return f"<tqsim_simulation with seed {self._defaults['seed']}, {self.count} opened>"

    @property
    def count(self) -> int:
        """How many simulations were opened."""
        return self._closed_count + (self._open is not None)


@functools.cache
def _opened_class() -> Any:
    """Return the class of what the factory gives: its ``with`` statement finds it open."""
    from tqsim import Simulation

    class OpenedSimulation(Simulation):
        """A simulation that is open already, so that ``with`` has only to close it."""

        _is_entered = False

        def __enter__(self) -> Self:
            if not self._is_entered:
                super().__enter__()
                self._is_entered = True
            return self

    return OpenedSimulation
