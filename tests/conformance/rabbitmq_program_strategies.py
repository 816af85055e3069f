"""Generated programs of kombu clients: a topology, and what clients do with it.

The main name is :func:`programs`.  Hypothesis draws the seed of a program and no more: programs that differ in
one draw would show little and cost as much, and a program is made smaller by leaving out steps
(``rabbitmq_program_differences.py``).  Every program has one legal outcome, which the restrictions here see to:

- **One feeder.**  A dead-letter queue gets messages from one queue, and no exchange that a client publishes to
  leads there: AMQP promises no order between two ways to one queue (AMQP 0-9-1, section 4.7).  What several
  queues feed is a sink, which nobody uses and whose contents are compared after each step, by where they died.
- **Sides.**  What dies and what it becomes are held by different connections, because a closing channel gives
  back to each queue by itself, and what one of them then gives up may reach the other before or after.
- **One channel of a connection** holds messages of a quorum queue or of one with a single active consumer, and
  none consumes without acknowledgement what another one holds: "the channels of a dying connection end one after
  the other, in no fixed order" (``tqsim/broker/rabbitmq/closing.py``), so that one may get what another gives back.
- **No quorum queue rejects publishes.**  The real one tells each publisher by itself, so that a new one may publish
  where others are turned away; the simulated one tells all (``docs/explanation/fidelity.md``).  What one publisher
  sees is in ``test_rabbitmq_quorum.py``.
- **One queue under a shared prefetch.**  Which of several queues is served first when a channel-wide limit has
  room again is drawn at random (``notify_queues`` in ``rabbit_limiter.erl``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from hypothesis import strategies as st

from tests.conformance.rabbitmq_programs import (
    CLIENTS_PER_CONNECTION,
    SHORT_MS,
    Ack,
    AckUnknown,
    BindExchange,
    BindQueue,
    Cancel,
    CloseChannel,
    CloseConnection,
    Consume,
    DeclareExchange,
    DeclareQueue,
    DeleteExchange,
    DeleteQueue,
    Get,
    KillConnection,
    Program,
    Publish,
    Purge,
    Qos,
    Recover,
    Reject,
    Restart,
    Step,
    Table,
    UnbindQueue,
    Wait,
)

__all__ = ["programs"]

_CLIENTS: Final = (0, 1, 2, 3)
_KEYS: Final = ("a", "b", "a.b", "a.b.c")
_PATTERNS: Final = ("a", "a.*", "#", "*.b", "a.#", "b")
_SINK: Final = "sink"
_LONG_MS: Final = 60_000
#: Why a message that comes back may die.
_CAUSES: Final = ("x-max-length", "x-max-length-bytes", "x-delivery-limit")
_KINDS: Final = ("direct", "topic", "fanout", "headers")
_HEADERS: Final[tuple[Table, ...]] = ((), (("k", 1),), (("k", 1), ("l", "v")), (("k", 2),))
_MATCHES: Final[tuple[Table, ...]] = (
    (("k", 1), ("x-match", "all")),
    (("k", 1), ("l", "v"), ("x-match", "any")),
    (("k", 1), ("l", "v")),
)
_OVERFLOWS: Final = (None, "drop-head", "reject-publish", "reject-publish-dlx")
#: Arguments that a server refuses or finds different from what is there.
_ODD_ARGUMENTS: Final[tuple[Table, ...]] = (
    (("x-max-length", -1),),
    (("x-max-length", "3"),),
    (("x-message-ttl", "soon"),),
    (("x-message-ttl", -1),),
    (("x-expires", 0),),
    (("x-max-priority", 256),),
    (("x-overflow", "bogus"),),
    (("x-queue-type", "bogus"),),
    (("x-dead-letter-exchange", 5),),
    (("x-dead-letter-routing-key", "k"),),
    (("x-single-active-consumer", "yes"),),
    (("x-queue-mode", "bogus"),),
    (("x-max-length", 7),),
    (("x-message-ttl", 1_234_567),),
    (),
)
_ACTS: Final = {
    "publish": 16,
    "consume": 6,
    "get": 5,
    "ack": 7,
    "reject": 8,
    "qos": 2,
    "recover": 2,
    "cancel": 2,
    "close channel": 2,
    "close connection": 1,
    "kill connection": 1,
    "purge": 1,
    "delete queue": 1,
    "delete exchange": 1,
    "unbind": 1,
    "redeclare": 1,
    "ack unknown": 1,
}


@dataclass(frozen=True)
class _Place:
    """A queue as the plan knows it: who may use it and hold messages of it, and how many one publish may send."""

    declaration: DeclareQueue
    users: tuple[int, ...]
    holders: tuple[int, ...]
    copies_max: int

    @property
    def name(self) -> str:
        """The name of the queue."""
        return self.declaration.name

    @property
    def takers(self) -> tuple[int, ...]:
        """Who may consume without acknowledgement: whose neighbours on the connection hold nothing."""
        return tuple(
            client
            for client in self.users
            if all(_pair(client) != _pair(other) for other in self.holders if other != client)
        )


def _copies_max(arguments: dict[str, Any]) -> int:
    """How many messages one publish may send to a queue.

    A quorum queue lets a message expire a moment late, so that of several one may be dropped for length before; and
    what is dropped goes to its dead letters before what expires with it (``docs/explanation/fidelity.md``).  So a
    quorum queue with a limit gets one message at a time, and none that expires.
    """
    is_limited = "x-max-length" in arguments or "x-max-length-bytes" in arguments
    return 1 if is_limited and arguments.get("x-queue-type") == "quorum" else 4


def _pair(client: int) -> tuple[int, ...]:
    """The clients of the same connection."""
    first = client - client % CLIENTS_PER_CONNECTION
    return tuple(range(first, first + CLIENTS_PER_CONNECTION))


class _Plan:
    """One program while it is made up."""

    def __init__(self, random: Random, *, is_timed: bool, with_quorum: bool, with_restart: bool) -> None:
        self._random = random
        self._is_timed = is_timed
        self._with_quorum = with_quorum
        self._with_restart = with_restart
        self.steps: list[Step] = []
        self.sinks: tuple[str, ...] = ()
        self._places: list[_Place] = []
        self._exchanges: list[DeclareExchange] = []
        self._bindings: list[BindQueue] = []
        self._published = 0
        self._shared: dict[int, str] = {}
        self._consumers: list[Consume] = []
        self._holders: list[int] = []

    def _pick(self, *values: Any) -> Any:
        return self._random.choice(values)

    def _chance(self, one_in: int) -> bool:
        return self._random.randrange(one_in) == 0

    # --- topology ----------------------------------------------------------------------------------

    def lay_out(self) -> None:
        """Declare exchanges, queues with their dead-letter queues, and bindings."""
        for number in range(self._pick(0, 1, 1, 2)):
            self._add_exchange(f"x{number}")
        for number in range(self._pick(1, 1, 2)):
            self._add_queue(f"q{number}", f"d{number}")
        if len(self._exchanges) > 1 and self._chance(2):
            source, destination = self._exchanges
            self.steps.append(BindExchange(0, destination.name, source.name, self._key_for(source)))

    def _add_exchange(self, name: str) -> None:
        arguments: Table = ()
        if self._exchanges and self._chance(3):
            arguments = (("alternate-exchange", self._exchanges[0].name),)
        kind, durable, auto_delete = self._pick(*_KINDS), self._chance(3), self._chance(8)
        declared = DeclareExchange(0, name, kind, durable, auto_delete, arguments)
        self._exchanges.append(declared)
        self.steps.append(declared)

    def _key_for(self, exchange: DeclareExchange) -> str:
        return str(self._pick(*(_PATTERNS if exchange.kind == "topic" else _KEYS)))

    def _bind(self, client: int, queue: str, exchange: DeclareExchange) -> None:
        arguments = self._pick(*_MATCHES) if exchange.kind == "headers" else ()
        binding = BindQueue(client, queue, exchange.name, self._key_for(exchange), arguments)
        self._bindings.append(binding)
        self.steps.append(binding)

    def _add_queue(self, name: str, dead: str) -> None:
        is_quorum = self._with_quorum and not self._chance(3)
        arguments: dict[str, Any] = {"x-queue-type": "quorum"} if is_quorum else {}
        self._add_limits(arguments, is_quorum)
        deaths = self._add_deaths(name, dead, arguments)
        declared = self._declare(name, is_quorum, arguments)
        is_single = is_quorum or "x-single-active-consumer" in arguments or self._chance(2)
        only = self._pick(0, 1) if is_single else None
        users = _pair(declared.client) if declared.exclusive else _CLIENTS
        holders = tuple(
            client for client in users if (only is None or client % 2 == only) and (deaths is None or client < 2)
        )
        self._places.append(_Place(declared, users, holders, _copies_max(arguments)))
        for exchange in self._exchanges:
            if not self._chance(4):
                self._bind(declared.client, name, exchange)
        if deaths is not None:
            self._add_dead_letter_queue(dead, deaths)

    def _add_limits(self, arguments: dict[str, Any], is_quorum: bool) -> None:
        if not is_quorum and self._chance(4):
            arguments["x-max-priority"] = self._pick(1, 5)
        if self._chance(3):
            arguments["x-max-length"] = self._pick(0, 1, 2, 2, 3, 3)
        elif self._chance(6):
            arguments["x-max-length-bytes"] = self._pick(5, 10)
        if "x-max-length" in arguments or "x-max-length-bytes" in arguments:
            overflow = self._pick(*_OVERFLOWS[: 2 if is_quorum else 4])
            if overflow is not None:
                arguments["x-overflow"] = overflow
        if self._chance(4) and _copies_max(arguments) > 1:
            arguments["x-message-ttl"] = SHORT_MS if self._is_timed else self._pick(_LONG_MS, self._nothing_ms())
        # A quorum queue expires at a tick of five seconds (``test_rabbitmq_quorum_found.py``).
        if self._is_timed and not is_quorum and self._chance(5):
            arguments["x-expires"] = SHORT_MS
        if self._chance(6):
            arguments["x-single-active-consumer"] = True
        if is_quorum and self._chance(3):
            arguments["x-delivery-limit"] = self._pick(0, 1, 2)

    def _nothing_ms(self) -> int:
        """The shortest life: none, or a long one where the server restarts (see :meth:`_add_deaths`)."""
        return _LONG_MS if self._with_restart else 0

    def _add_deaths(self, name: str, dead: str, arguments: dict[str, Any]) -> str | None:
        """Give a queue somewhere for its dead letters; return the exchange that leads to a queue for them."""
        kind = self._pick("none", "queue", "queue", "exchange", "sink", "itself", "nowhere")
        if self._with_restart and any(name in arguments for name in _CAUSES):
            # What a stopping server gives back may die, and finds its way to another queue or does not.
            return None
        if kind == "queue":
            arguments |= {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead}
            return ""
        if kind == "exchange":
            arguments["x-dead-letter-exchange"] = f"dx{dead}"
            if self._chance(2):
                arguments["x-dead-letter-routing-key"] = "died"
            return f"dx{dead}"
        if kind == "sink":
            arguments |= {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": _SINK}
            self._add_sink()
        if kind == "itself":
            arguments |= {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": name}
        if kind == "nowhere":
            arguments["x-dead-letter-exchange"] = "missing"
        return None

    def _add_sink(self) -> None:
        if not self.sinks:
            self.sinks = (_SINK,)
            kind = (("x-queue-type", "quorum"),) if self._with_quorum and self._chance(2) else ()
            self.steps.append(DeclareQueue(0, _SINK, durable=True, arguments=kind))

    def _declare(self, name: str, is_quorum: bool, arguments: dict[str, Any]) -> DeclareQueue:
        kind = "durable" if is_quorum else self._pick("transient", "durable", "durable", "auto-delete", "exclusive")
        # What dies is held by connection 0.
        client = 0 if kind == "exclusive" else self._pick(0, 2)
        flags = (kind == "durable", kind == "exclusive", kind == "auto-delete")
        declared = DeclareQueue(client, name, *flags, tuple(arguments.items()))
        self.steps.append(declared)
        return declared

    def _add_dead_letter_queue(self, dead: str, exchange: str) -> None:
        is_quorum = self._with_quorum and self._chance(3)
        arguments: dict[str, Any] = {"x-queue-type": "quorum"} if is_quorum else {}
        if self._is_timed and self._chance(3):
            arguments["x-message-ttl"] = SHORT_MS
        elif self._chance(4):
            arguments["x-max-length"] = self._pick(1, 2)
        declared = DeclareQueue(2, dead, durable=is_quorum or self._chance(2), arguments=tuple(arguments.items()))
        self.steps.append(declared)
        self._places.append(_Place(declared, (2, 3), (2,) if is_quorum else (2, 3), _copies_max(arguments)))
        if exchange:
            kind = self._pick("fanout", "topic")
            self.steps.append(DeclareExchange(2, exchange, kind))
            self.steps.append(BindQueue(2, dead, exchange, "#" if kind == "topic" else ""))

    # --- acts --------------------------------------------------------------------------------------

    def act(self) -> Step:
        """Return what a client does next."""
        kind = self._random.choices(list(_ACTS), list(_ACTS.values()))[0]
        place = self._pick(self._places[0], *self._places)
        client = self._pick(*_CLIENTS)
        if kind in ("ack", "reject", "recover", "cancel") and not (self._holders and self._published):
            kind = self._pick("consume", "publish")
        acts: dict[str, Callable[[], Step]] = {
            "publish": lambda: self._publish(client, place),
            "consume": lambda: self._consume(place),
            "get": lambda: self._get(client, place),
            "qos": lambda: self._qos(client),
            "ack": lambda: Ack(*self._message(), self._chance(3)),
            "reject": lambda: Reject(*self._message(), self._chance(2)),
            "recover": lambda: Recover(self._pick(*self._holders)),
            "cancel": self._cancel,
            "close channel": lambda: CloseChannel(client),
            "close connection": lambda: CloseConnection(self._pick(0, 1)),
            "kill connection": lambda: KillConnection(self._pick(0, 1)),
            "purge": lambda: Purge(client, place.name),
            "delete queue": lambda: DeleteQueue(client, place.name, self._chance(3), self._chance(3)),
            "delete exchange": lambda: DeleteExchange(client, self._an_exchange(), self._chance(2)),
            "unbind": lambda: self._unbind(client),
            "redeclare": lambda: self._redeclare(client, place),
            "ack unknown": lambda: AckUnknown(client),
        }
        return acts[kind]()

    def _message(self) -> tuple[int, int]:
        return self._random.randrange(4), self._random.randrange(4)

    def _cancel(self) -> Step:
        consumer = self._pick(*self._consumers, Consume(0, "", "missing"))
        return Cancel(consumer.client, consumer.tag)

    def _get(self, client: int, place: _Place) -> Step:
        no_ack = self._chance(3)
        if not no_ack:
            client = self._pick(*place.holders)
            self._holders.append(client)
        return Get(client, place.name, no_ack)

    def _an_exchange(self) -> str:
        missing = self._chance(12) or not self._exchanges
        return "missing" if missing else str(self._pick(*self._exchanges).name)

    def _publish(self, client: int, place: _Place) -> Step:
        body = f"m{self._published}"
        self._published += 1
        exchange, key, copies_max = "", place.name, place.copies_max
        if self._exchanges and self._chance(2):
            exchange = self._an_exchange()
            key = self._pick(*_KEYS, *(binding.key for binding in self._bindings))
            copies_max = min(other.copies_max for other in self._places)
        elif self._chance(12):
            key = "missing"
        expirations: tuple[str | None, ...] = (
            (None, None, str(SHORT_MS)) if self._is_timed else (None,) * 4 + (str(self._nothing_ms()), str(_LONG_MS))
        )
        if any(other.copies_max == 1 for other in self._places):
            expirations = (None,)
        return Publish(
            client,
            exchange,
            key,
            body,
            copies=self._random.randint(1, copies_max),
            priority=self._pick(None, 0, 3, 9),
            expiration=self._pick(*expirations),
            persistent=self._chance(2),
            mandatory=self._chance(3),
            headers=self._pick(*_HEADERS),
        )

    def _consume(self, place: _Place) -> Step:
        # All connections end with a restart, as the channels of one connection do.
        no_ack = bool(place.takers) and not self._with_restart and self._chance(4)
        client = self._pick(*(place.takers if no_ack else place.holders))
        name = self._shared.get(client, place.name)
        tag = f"c{len(self._consumers)}"
        consumer = Consume(client, name, tag, no_ack, self._chance(10), self._pick(None, None, None, 5, -1))
        self._consumers.append(consumer)
        if not no_ack:
            self._holders.append(client)
        return consumer

    def _qos(self, client: int) -> Step:
        """Limit what a client may hold; a shared limit only for what it consumes from one queue."""
        consumed = {consumer.queue for consumer in self._consumers if consumer.client == client}
        possible = [place.name for place in self._places if client in place.holders]
        shared = self._chance(3) and len(consumed) <= 1 and bool(possible)
        if shared:
            self._shared.setdefault(client, next(iter(consumed), possible[0]))
        return Qos(client, self._pick(0, 1, 1, 2, 3), shared)

    def _unbind(self, client: int) -> Step:
        if not self._bindings:
            return UnbindQueue(client, self._places[0].name, "missing", "a")
        binding = self._pick(*self._bindings)
        return UnbindQueue(client, binding.queue, binding.exchange, binding.key, binding.arguments)

    def _redeclare(self, client: int, place: _Place) -> Step:
        if self._exchanges and self._chance(3):
            exchange = self._pick(*self._exchanges)
            kind = self._pick(*_KINDS, "bogus")
            return DeclareExchange(client, exchange.name, kind, self._chance(2), arguments=exchange.arguments)
        declared = place.declaration
        arguments = {**dict(declared.arguments), **dict(self._pick(*_ODD_ARGUMENTS))}
        name = self._pick(place.name, f"{place.name}new")
        durable = self._pick(declared.durable, declared.durable, not declared.durable)
        exclusive = self._pick(declared.exclusive, declared.exclusive, not declared.exclusive)
        return DeclareQueue(client, name, durable, exclusive, declared.auto_delete, tuple(arguments.items()))


@st.composite
def programs(draw: Any, *, restarts: bool = False) -> Program:
    """Programs; with ``restarts`` the server restarts somewhere in each."""
    random = draw(st.randoms(use_true_random=True))
    # A real restart takes longer than anything short lives.
    is_timed = random.randrange(6) == 0 and not restarts
    plan = _Plan(random, is_timed=is_timed, with_quorum=random.randrange(3) == 0, with_restart=restarts)
    plan.lay_out()
    acts = [plan.act() for _ in range(random.randint(5, 8 if is_timed else 16))]
    if is_timed:
        acts.insert(random.randint(2, len(acts)), Wait())
    if restarts:
        acts.insert(random.randint(2, len(acts)), Restart())
    return Program((*plan.steps, *acts), random.choice([(), (0,), (1,), (0, 1)]), plan.sinks)
