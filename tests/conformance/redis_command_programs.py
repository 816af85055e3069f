"""Programs of an application's own redis-py clients, as data: :class:`CommandProgram` and its steps.

Clients and scripts are named by a number modulo how many there are.  A client that waits in a blocking command takes no
other step until it has received its answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

__all__ = [
    "Call", "CommandProgram", "CommandStep", "Expire", "Listen", "Lock", "Pipeline", "Receive", "Scan", "Script",
    "Send", "Subscribe", "Unsubscribe", "Words",
]  # fmt: skip

Words: TypeAlias = tuple[str, ...]


@dataclass(frozen=True)
class Call:
    """A command and its reply."""

    client: int
    words: Words


@dataclass(frozen=True)
class Pipeline:
    """Several commands at once; before they are sent, another client may touch what is watched."""

    client: int
    commands: tuple[Words, ...]
    transaction: bool = True
    watched: Words = ()
    meanwhile: Words | None = None
    raises: bool = True


@dataclass(frozen=True)
class Send:
    """Send a command that may block; its answer is received later."""

    client: int
    words: Words


@dataclass(frozen=True)
class Receive:
    """Receive the answer; where there is none, the wait is ended from outside, with an error or without."""

    client: int
    with_error: bool = False


@dataclass(frozen=True)
class Subscribe:
    """Subscribe to channels, or to patterns."""

    client: int
    names: Words
    patterns: bool = False


@dataclass(frozen=True)
class Unsubscribe:
    """Unsubscribe from these, or from all."""

    client: int
    names: Words
    patterns: bool = False


@dataclass(frozen=True)
class Listen:
    """Take in every message that has come."""

    client: int


@dataclass(frozen=True)
class Lock:
    """A call of ``redis.lock.Lock``: acquire, release, extend, reacquire, owned or locked."""

    client: int
    name: str
    call: str


@dataclass(frozen=True)
class Script:
    """Run one of ``redis_command_runner.SCRIPTS`` by its digest."""

    client: int
    script: int
    keys: Words
    arguments: Words


@dataclass(frozen=True)
class Scan:
    """Walk through keys, or the members of one: ``scan``, ``sscan``, ``hscan`` or ``zscan``, to the end."""

    client: int
    kind: str
    key: str
    match: str | None = None


@dataclass(frozen=True)
class Expire:
    """Let a key expire, and wait until it has."""

    client: int
    key: str


CommandStep: TypeAlias = (
    Call | Pipeline | Send | Receive | Subscribe | Unsubscribe | Listen | Lock | Script | Scan | Expire
)  # fmt: skip


@dataclass(frozen=True)
class CommandProgram:
    """Steps of several clients on one database; ``clients`` has the version of the protocol of each."""

    steps: tuple[CommandStep, ...]
    clients: tuple[int, ...] = (2, 3)
