"""Chance from one seed, through streams that are keyed by who draws.

The main names are :class:`Chance`, which makes streams, and :class:`Draws`, one drawer's own
source.  A stream depends on the seed and its key alone, never on what others drew before, so
that removing one task shifts no draw of another: shrinking and common random numbers need it.
How ``random``, ``uuid`` and ``os.urandom`` reach a stream is :mod:`tqsim.kernel.randomness`.
"""

from __future__ import annotations

import hashlib
import random
import uuid
from typing import Final

__all__ = ["Chance", "Draws"]

_VERSION_4: Final = 4


class Chance:
    """The seed of a simulation and the streams made of it."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self._turns: dict[str, int] = {}
        self._secret = hashlib.blake2b(f"tqsim:{seed}".encode(), digest_size=32).digest()

    def digest(self, key: str, size: int) -> bytes:
        """Return ``size`` bytes (at most 64) that depend on the seed and ``key`` only."""
        return hashlib.blake2b(key.encode(), digest_size=size, key=self._secret).digest()

    def stream(self, *key: object) -> random.Random:
        """Return a new generator for ``key``; the same key always gives the same numbers."""
        return random.Random(int.from_bytes(self.digest("/".join(map(str, key)), 16), "big"))

    def draws(self, *key: object) -> Draws:
        """Return the source of one drawer, such as a process or one attempt of a task."""
        return Draws(self, "/".join(map(str, key)))

    def draws_anew(self, *key: object) -> Draws:
        """Return the source of the next turn of one drawer, another one at each call."""
        text = "/".join(map(str, key))
        turn = self._turns[text] = self._turns.get(text, -1) + 1
        return Draws(self, f"{text}/{turn}")


class Draws:
    """Everything one drawer takes from chance; made by :meth:`Chance.draws`.

    The generator behind :attr:`generator` is only made when it is asked for: most tasks draw
    nothing but the ids of the tasks they publish.
    """

    __slots__ = ("_apart", "_chance", "_count", "_generator", "key")

    def __init__(self, chance: Chance, key: str) -> None:
        self._apart: dict[str, int] | None = None
        self._chance = chance
        self._count = 0
        self._generator: random.Random | None = None
        self.key = key

    @property
    def generator(self) -> random.Random:
        """The drawer's pseudo-random generator."""
        if self._generator is None:
            self._generator = self._chance.stream(self.key, "random")
        return self._generator

    def bytes_apart(self, purpose: str, size: int) -> bytes:
        """Return the next ``size`` bytes (at most 64) for one purpose; no other draw is shifted."""
        if self._apart is None:
            self._apart = {}
        count = self._apart[purpose] = self._apart.get(purpose, 0) + 1
        return self._chance.digest(f"{self.key}#{purpose}#{count}", size)

    def bytes(self, size: int) -> bytes:
        """Return the next ``size`` bytes."""
        parts: list[bytes] = []
        while size > 0:
            self._count += 1
            part = self._chance.digest(f"{self.key}#{self._count}", min(size, 64))
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def uuid4(self) -> uuid.UUID:
        """Return the drawer's next random UUID."""
        return uuid.UUID(bytes=self.bytes(16), version=_VERSION_4)
