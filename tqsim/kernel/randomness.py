"""``random``, ``uuid``, ``secrets`` and ``os.urandom`` from the seed.

The main name is :class:`Randomness`.  The global generator of ``random`` is one object that
everybody shares; while a simulation is open its functions draw from the stream of whoever calls,
so that what one task draws never depends on another.  Bindings made by ``from random import x``
are found and replaced; what nobody can find draws from the global generator, which is seeded.
A generator that the application makes is its own business (``random.Random(7)``), but for the seed
when it has none: that is drawn by whoever makes it.  What test tools do meanwhile to the global
generator (pytest-randomly seeds it before every phase of a test) happens to the outer world's, which
returns at the end.
"""

from __future__ import annotations

import os
import random
import sys
import uuid
from collections.abc import Callable
from typing import Any, Final

from tqsim.kernel.chance import Draws
from tqsim.kernel.loop import Loop
from tqsim.kernel.patches import Patches, asking_module, is_exempt, named

__all__ = ["Randomness"]

_GLOBAL: Final = random._inst
_FUNCTIONS: Final = (
    "betavariate", "choice", "choices", "expovariate", "gammavariate", "gauss", "getrandbits",
    "lognormvariate", "normalvariate", "paretovariate", "randbytes", "randint", "random",
    "randrange", "sample", "shuffle", "triangular", "uniform", "vonmisesvariate", "weibullvariate",
    "getstate", "setstate", "seed",
)  # fmt: skip
_STEERING: Final = ("getstate", "setstate", "seed")
_REAL_SEED: Final = random.Random.seed
_SEED_SIZE: Final = 16
#: It makes a generator when it first looks for a folder, once in an interpreter, which must shift no
#: draw; its other names come from :mod:`tqsim.kernel.temporary_names`.
_SEEDED_BY_SYSTEM: Final = "tempfile"
_REAL_URANDOM: Final = os.urandom
_REAL_UUID1: Final = uuid.uuid1
_REAL_UUID4: Final = uuid.uuid4
_REAL_GETNODE: Final = uuid.getnode
_ORIGINALS: Final = {name: getattr(random, name) for name in _FUNCTIONS}
# uuid1's clock counts 100 ns since 1582-10-15 (RFC 4122, 4.1.4).
_GREGORIAN_US: Final = 12_219_292_800_000_000
_LOCALLY_ADMINISTERED: Final = 0x0200_0000_0000


class Randomness:
    """Makes chance a matter of the seed, for one loop."""

    def __init__(self, loop: Loop, epoch_us: Callable[[], int]) -> None:
        self._loop = loop
        self._epoch_us = epoch_us
        self._node = _LOCALLY_ADMINISTERED | 1
        self._outside = random.Random(0)

    def draws(self) -> Draws | None:
        """The source of the running fiber, or ``None`` outside the simulation."""
        loop = self._loop
        if loop.is_closed or not loop.in_loop_thread():
            return None
        fiber = loop.current or loop.main
        return fiber.draws

    def replacements(self) -> dict[Any, Any]:
        """The functions of ``random``, ``uuid`` and ``os``, with their stand-ins."""

        def urandom(size: int) -> bytes:
            draws = self.draws()
            return _REAL_URANDOM(size) if draws is None else draws.bytes(size)

        def uuid4() -> uuid.UUID:
            draws = self.draws()
            return _REAL_UUID4() if draws is None else draws.uuid4()

        def uuid1(node: int | None = None, clock_seq: int | None = None) -> uuid.UUID:
            draws = self.draws()
            if draws is None:
                return _REAL_UUID1(node, clock_seq)
            return self._uuid1(draws, node, clock_seq)

        def getnode() -> int:
            return _REAL_GETNODE() if self.draws() is None else self._node

        result: dict[Any, Any] = {
            _REAL_URANDOM: urandom,
            _REAL_UUID4: uuid4,
            _REAL_UUID1: uuid1,
            _REAL_GETNODE: getnode,
        }
        for name, original in _ORIGINALS.items():
            result[original] = self._drawing(name, original)
        return result

    def install(self, patches: Patches, seed: int) -> None:
        """Seed the global generator and put its state back afterwards; numpy's likewise.

        Generators that are seeded with nothing get a seed from their drawer meanwhile.
        """
        patches.set(random.Random, "seed", self._seeding())
        self._outside.setstate(_GLOBAL.getstate())
        _GLOBAL.seed(seed)
        patches.on_undo(lambda: _GLOBAL.setstate(self._outside.getstate()))
        numpy_random = sys.modules.get("numpy.random")
        if numpy_random is not None:
            numpy_state = numpy_random.get_state()
            numpy_random.seed(seed % (1 << 32))
            patches.on_undo(lambda: numpy_random.set_state(numpy_state))

    def _seeding(self) -> Callable[..., None]:
        def seed(generator: Any, a: Any = None, version: int = 2) -> None:
            if a is None and generator is not self._outside:
                draws, module = self.draws(), asking_module("random", __name__)
                if draws is not None and module != _SEEDED_BY_SYSTEM and not is_exempt(module):
                    a = draws.bytes_apart("generator", _SEED_SIZE)
            _REAL_SEED(generator, a, version)

        return named(seed, _REAL_SEED)

    def _drawing(self, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        is_steering = name in _STEERING

        def draw(*args: Any, **kwargs: Any) -> Any:
            draws = self.draws()
            if draws is None:
                return original(*args, **kwargs)
            generator = draws.generator
            if is_steering and is_exempt(sys._getframe(1).f_globals.get("__name__", "")):
                generator = self._outside
            return getattr(generator, name)(*args, **kwargs)

        return named(draw, original)

    def _uuid1(self, draws: Draws, node: int | None, clock_seq: int | None) -> uuid.UUID:
        ticks = (self._epoch_us() + _GREGORIAN_US) * 10 + draws.generator.randrange(10)
        sequence = draws.generator.getrandbits(14) if clock_seq is None else clock_seq
        fields = (
            ticks & 0xFFFFFFFF,
            (ticks >> 32) & 0xFFFF,
            (ticks >> 48) & 0x0FFF,
            (sequence >> 8) & 0x3F,
            sequence & 0xFF,
            self._node if node is None else node,
        )
        return uuid.UUID(fields=fields, version=1)
