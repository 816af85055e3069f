"""Programs of kombu clients on Redis, as data: :class:`KombuProgram` and its steps.

A client, message or consumer is named by a number modulo how many there are, and a step that finds none does
nothing: whatever part of a program is taken away, the rest still means something.  ``repr`` of a program is Python
that can be pasted into a test.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

__all__ = [
    "EXCHANGES", "QUEUES", "Ack", "Age", "Cancel", "ClientOptions", "CloseChannel", "CloseConnection", "Consume",
    "Declare", "Delete", "Drain", "DropExchange", "Get", "Kill", "KombuProgram", "KombuStep", "Prefetch", "Publish",
    "Purge", "Raw", "Recover", "Refused", "Reject", "Reset", "Size", "Start", "Stop", "Sweep", "Unbind", "Wait",
]  # fmt: skip

#: Only ``n`` is bound to a fanout exchange in most programs: a client that knows of that listens, and pops no more.
QUEUES: Final = ("a", "b", "c", "n")
#: By name, their types.
EXCHANGES: Final = {"d": "direct", "t": "topic", "f": "fanout"}


@dataclass(frozen=True)
class ClientOptions:
    """The transport options of one client."""

    order: str = "round_robin"
    ack_emulation: bool = True
    visibility_s: int = 3600
    throttle: int = 10
    pop_s: int = 30


@dataclass(frozen=True)
class Declare:
    """Declare exchange and queue, and bind them."""

    client: int
    queue: str
    exchange: str = "d"
    key: str = ""
    expires_s: int | None = None
    auto_delete: bool = False


@dataclass(frozen=True)
class Publish:
    """Publish the next message, to a queue where ``exchange`` is empty."""

    client: int
    exchange: str
    key: str
    priority: int | None = None
    header: str | None = None


@dataclass(frozen=True)
class Consume:
    """Begin to consume."""

    client: int
    queue: str
    no_ack: bool = False


@dataclass(frozen=True)
class Cancel:
    """Cancel one of the client's consumers."""

    client: int
    consumer: int


@dataclass(frozen=True)
class Prefetch:
    """Set the client's prefetch count."""

    client: int
    count: int


@dataclass(frozen=True)
class Drain:
    """Take in events until none is left."""

    client: int


@dataclass(frozen=True)
class Get:
    """``basic_get``."""

    client: int
    queue: str
    no_ack: bool = False


@dataclass(frozen=True)
class Ack:
    """Acknowledge one of the messages that the client has ever seen."""

    client: int
    message: int


@dataclass(frozen=True)
class Reject:
    """Reject one of them."""

    client: int
    message: int
    requeue: bool


@dataclass(frozen=True)
class Recover:
    """``basic_recover``."""

    client: int
    requeue: bool


@dataclass(frozen=True)
class Purge:
    """Purge a queue."""

    client: int
    queue: str


@dataclass(frozen=True)
class Delete:
    """Delete a queue."""

    client: int
    queue: str
    if_empty: bool = False


@dataclass(frozen=True)
class Unbind:
    """Take a binding away."""

    client: int
    queue: str
    exchange: str
    key: str


@dataclass(frozen=True)
class DropExchange:
    """Delete an exchange."""

    client: int
    exchange: str


@dataclass(frozen=True)
class Size:
    """Declare a queue passively."""

    client: int
    queue: str


@dataclass(frozen=True)
class Age:
    """Let every unacknowledged message be older than it is: as if the seconds had passed."""

    seconds: int


@dataclass(frozen=True)
class Sweep:
    """Look for messages that are overdue, at once."""

    client: int


@dataclass(frozen=True)
class Wait:
    """Let time pass."""

    seconds: float


@dataclass(frozen=True)
class CloseChannel:
    """Close the client's channel; with ``is_waiting`` its outstanding pop has not ended yet."""

    client: int


@dataclass(frozen=True)
class CloseConnection:
    """Close the client's connection."""

    client: int


@dataclass(frozen=True)
class Kill:
    """End the client as SIGKILL would: its sockets close, and nothing else."""

    client: int


@dataclass(frozen=True)
class Reset:
    """Let the server end the client's connections."""

    client: int


@dataclass(frozen=True)
class Stop:
    """Shut the server down in order."""


@dataclass(frozen=True)
class Start:
    """Start it again."""


@dataclass(frozen=True)
class Refused:
    """Ask for what is refused: a key of ``redis_program_runner.REFUSED``."""

    client: int
    what: str


@dataclass(frozen=True)
class Raw:
    """A command of the application's own client; ``@`` stands for the prefix of keys."""

    words: tuple[str, ...]


KombuStep: TypeAlias = (
    Declare | Publish | Consume | Cancel | Prefetch | Drain | Get | Ack | Reject | Recover | Purge | Delete | Unbind
    | DropExchange | Size | Age | Sweep | Wait | CloseChannel | CloseConnection | Kill | Reset | Stop | Start
    | Refused | Raw
)  # fmt: skip


@dataclass(frozen=True)
class KombuProgram:
    """Steps of several clients on one database of an empty server."""

    steps: tuple[KombuStep, ...]
    clients: tuple[ClientOptions, ...] = (ClientOptions(), ClientOptions())
    prefix: str = ""
    priority_steps: tuple[int, ...] = (0, 3, 6, 9)
    persistence: str = "none"
