"""Generated programs of kombu clients: a topology, and what clients do with it.

The main name is :func:`programs`.  Every program has one legal outcome, which the restrictions here see to:

- **One feeder.**  A dead-letter queue gets messages from one queue, and no exchange that a client publishes to
  leads there: AMQP promises no order between two ways to one queue (AMQP 0-9-1, section 4.7).
- **Sides.**  What dies and what it becomes are held by different connections, because a closing channel gives
  back to each queue by itself, and what one of them then gives up may reach the other before or after.
- **One channel of a connection** holds messages of a quorum queue or of one with a single active consumer: "the
  channels of a dying connection end one after the other, in no fixed order" (``tqsim/broker/rabbitmq/closing.py``).
- **One queue under a shared prefetch.**  Which of several queues is served first when a channel-wide limit has
  room again is drawn at random (``notify_queues`` in ``rabbit_limiter.erl``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from hypothesis import strategies as st

from tests.conformance.rabbitmq_programs import (
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
_LONG_MS: Final = 60_000
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
    "publish": 12,
    "consume": 5,
    "get": 4,
    "ack": 5,
    "reject": 5,
    "qos": 2,
    "recover": 1,
    "cancel": 2,
    "close channel": 1,
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
    """A queue as the plan knows it: who may hold messages of it, and how many one publish may send."""

    name: str
    holders: tuple[int, ...]
    copies_max: int = 3
    declaration: DeclareQueue | None = None


class _Plan:
    """The topology of one program while it is drawn."""

    def __init__(self, draw: Any, *, is_timed: bool) -> None:
        self._draw = draw
        self.is_timed = is_timed
        self.steps: list[Step] = []
        self.places: list[_Place] = []
        self.exchanges: list[DeclareExchange] = []
        self.bindings: list[BindQueue] = []
        self.tags = 0
        self.published = 0
        self.shared: dict[int, str] = {}
        self.consumed: dict[int, set[str]] = {}
        self.consumers: list[Consume] = []
        self.holders: list[int] = []

    def pick(self, *values: Any) -> Any:
        """Draw one of some values; the first is the simplest."""
        return self._draw(st.sampled_from(values))

    def chance(self, one_in: int) -> bool:
        """Draw whether something happens."""
        return bool(self._draw(st.integers(0, one_in - 1)) == one_in - 1)

    # --- topology ----------------------------------------------------------------------------------

    def draw_topology(self, with_quorum: bool) -> None:
        """Declare exchanges, queues with their dead-letter queues, and bindings."""
        for number in range(self.pick(0, 1, 2)):
            self._draw_exchange(f"x{number}")
        for number in range(self.pick(1, 2)):
            self._draw_queue(number, with_quorum)
        for place in self.places:
            for exchange in self.exchanges:
                if place.name.startswith("q") and not self.chance(4):
                    self._bind(place.name, exchange)
        if len(self.exchanges) > 1 and self.chance(2):
            source, destination = self.exchanges[0], self.exchanges[1]
            self.steps.append(BindExchange(0, destination.name, source.name, self._key_for(source)))

    def _draw_exchange(self, name: str) -> None:
        arguments: Table = ()
        if self.exchanges and self.chance(3):
            arguments = (("alternate-exchange", self.exchanges[0].name),)
        declared = DeclareExchange(
            0, name, self.pick(*_KINDS), self.chance(3), auto_delete=self.chance(6), arguments=arguments
        )
        self.exchanges.append(declared)
        self.steps.append(declared)

    def _key_for(self, exchange: DeclareExchange) -> str:
        return str(self.pick(*(_PATTERNS if exchange.kind == "topic" else _KEYS)))

    def _bind(self, queue: str, exchange: DeclareExchange) -> None:
        arguments = self.pick(*_MATCHES) if exchange.kind == "headers" else ()
        binding = BindQueue(0, queue, exchange.name, self._key_for(exchange), arguments)
        self.bindings.append(binding)
        self.steps.append(binding)

    def _draw_queue(self, number: int, with_quorum: bool) -> None:
        name, dead = f"q{number}", f"d{number}"
        is_quorum = with_quorum and not self.chance(3)
        arguments: dict[str, Any] = {"x-queue-type": "quorum"} if is_quorum else {}
        self._draw_limits(arguments, is_quorum)
        deaths = self._draw_deaths(name, dead, arguments)
        declared = self._declare(name, is_quorum, arguments)
        only = self.pick(0, 1) if is_quorum or "x-single-active-consumer" in arguments else None
        holders = tuple(
            client
            for client in _CLIENTS
            if (only is None or client % 2 == only) and (not deaths or client < 2)
        )  # fmt: skip
        is_soft = is_quorum and arguments.get("x-overflow") == "reject-publish"
        self.places.append(_Place(name, holders, 1 if is_soft else 3, declared))
        if deaths:
            self._draw_dead_letter_queue(name, dead, deaths, with_quorum)

    def _draw_limits(self, arguments: dict[str, Any], is_quorum: bool) -> None:
        if not is_quorum and self.chance(4):
            arguments["x-max-priority"] = self.pick(1, 5)
        if self.chance(3):
            arguments["x-max-length"] = self.pick(2, 1, 3, 0)
        elif self.chance(6):
            arguments["x-max-length-bytes"] = self.pick(6, 3)
        if "x-max-length" in arguments or "x-max-length-bytes" in arguments:
            overflow = self.pick(*_OVERFLOWS[: 3 if is_quorum else 4])
            if overflow is not None:
                arguments["x-overflow"] = overflow
        if self.chance(3):
            arguments["x-message-ttl"] = self.pick(*((SHORT_MS,) if self.is_timed else (_LONG_MS, 0)))
        if self.is_timed and self.chance(6):
            arguments["x-expires"] = SHORT_MS
        if self.chance(5):
            arguments["x-single-active-consumer"] = True
        if is_quorum and self.chance(3):
            arguments["x-delivery-limit"] = self.pick(1, 2)

    def _draw_deaths(self, name: str, dead: str, arguments: dict[str, Any]) -> str | None:
        """Give a queue somewhere for its dead letters; return the exchange that leads to a queue for them."""
        kind = self.pick("none", "queue", "exchange", "itself", "nowhere")
        if kind == "queue":
            arguments |= {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": dead}
            return ""
        if kind == "exchange":
            arguments["x-dead-letter-exchange"] = f"dx{dead}"
            if self.chance(2):
                arguments["x-dead-letter-routing-key"] = "died"
            return f"dx{dead}"
        if kind == "itself":
            arguments |= {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": name}
        if kind == "nowhere":
            arguments["x-dead-letter-exchange"] = "missing"
        return None

    def _declare(self, name: str, is_quorum: bool, arguments: dict[str, Any]) -> DeclareQueue:
        client = self.pick(0, 2)
        kind = "durable" if is_quorum else self.pick("transient", "durable", "durable", "auto-delete", "exclusive")
        declared = DeclareQueue(
            client,
            name,
            durable=kind == "durable",
            exclusive=kind == "exclusive",
            auto_delete=kind == "auto-delete",
            arguments=tuple(arguments.items()),
        )
        self.steps.append(declared)
        return declared

    def _draw_dead_letter_queue(self, name: str, dead: str, exchange: str, with_quorum: bool) -> None:
        is_quorum = with_quorum and self.chance(3)
        arguments: dict[str, Any] = {"x-queue-type": "quorum"} if is_quorum else {}
        if self.is_timed and self.chance(3):
            arguments["x-message-ttl"] = SHORT_MS
        if self.chance(4):
            arguments["x-max-length"] = self.pick(1, 2)
        declared = DeclareQueue(2, dead, durable=is_quorum or self.chance(2), arguments=tuple(arguments.items()))
        self.steps.append(declared)
        self.places.append(_Place(dead, (2,) if is_quorum else (2, 3), 3, declared))
        if exchange:
            kind = self.pick("fanout", "topic")
            self.steps.append(DeclareExchange(2, exchange, kind))
            self.steps.append(BindQueue(2, dead, exchange, "#" if kind == "topic" else ""))

    # --- acts --------------------------------------------------------------------------------------

    def act(self) -> Step:
        """Draw what a client does next."""
        kinds = [kind for kind, weight in _ACTS.items() for _ in range(weight)]
        kind = self._draw(st.sampled_from(kinds))
        client, place = self.pick(*_CLIENTS), self.pick(*self.places)
        if kind in ("ack", "reject", "recover", "cancel") and not self.holders:
            kind = "consume"
        acts: dict[str, Callable[[], Step]] = {
            "publish": lambda: self._publish(client, place),
            "consume": lambda: self._consume(place),
            "get": lambda: self._get(client, place),
            "qos": lambda: self._qos(client),
            "ack": lambda: Ack(self._holder(), self.pick(0, 1, 2, 3), self.chance(3)),
            "reject": lambda: Reject(self._holder(), self.pick(0, 1, 2, 3), self.chance(2)),
            "recover": lambda: Recover(self._holder()),
            "cancel": self._cancel,
            "close channel": lambda: CloseChannel(client),
            "close connection": lambda: CloseConnection(self.pick(0, 1)),
            "kill connection": lambda: KillConnection(self.pick(0, 1)),
            "purge": lambda: Purge(client, place.name),
            "delete queue": lambda: DeleteQueue(client, place.name, self.chance(3), self.chance(3)),
            "delete exchange": lambda: DeleteExchange(client, self._any_exchange(), self.chance(2)),
            "unbind": lambda: self._unbind(client),
            "redeclare": lambda: self._redeclare(client, place),
            "ack unknown": lambda: AckUnknown(client),
        }
        return acts[kind]()

    def _holder(self) -> int:
        return int(self.pick(*self.holders))

    def _cancel(self) -> Step:
        consumer = self.pick(*self.consumers) if self.consumers else Consume(0, "", "missing")
        return Cancel(consumer.client, consumer.tag)

    def _get(self, client: int, place: _Place) -> Step:
        no_ack = self.chance(3)
        if not no_ack:
            client = self.pick(*place.holders)
            self.holders.append(client)
        return Get(client, place.name, no_ack)

    def _any_exchange(self) -> str:
        return str(self.pick(*[exchange.name for exchange in self.exchanges], "missing"))

    def _publish(self, client: int, place: _Place) -> Step:
        body = f"m{self.published}"
        self.published += 1
        exchange, key = "", place.name
        if self.exchanges and self.chance(2):
            exchange, key = self._any_exchange(), self.pick(*_KEYS)
        elif self.chance(12):
            key = "missing"
        copies_max = 3 if exchange == "" else min(place.copies_max for place in self.places)
        expirations = (None, None, str(SHORT_MS)) if self.is_timed else (None, None, None, "0", str(_LONG_MS))
        return Publish(
            client,
            exchange,
            key,
            body,
            copies=self.pick(*range(1, min(copies_max, place.copies_max) + 1)),
            priority=self.pick(None, 0, 3, 9),
            expiration=self.pick(*expirations),
            persistent=self.chance(2),
            mandatory=self.chance(3),
            headers=self.pick(*_HEADERS),
        )

    def _consume(self, place: _Place) -> Step:
        no_ack = self.chance(4)
        client = self.pick(*place.holders)
        if self.shared.get(client, place.name) != place.name:
            place = next(other for other in self.places if other.name == self.shared[client])
        self.consumed.setdefault(client, set()).add(place.name)
        tag = f"c{self.tags}"
        self.tags += 1
        consumer = Consume(client, place.name, tag, no_ack, self.chance(8), self.pick(None, None, 5, -1))
        self.consumers.append(consumer)
        if not no_ack:
            self.holders.append(client)
        return consumer

    def _qos(self, client: int) -> Step:
        consumed = self.consumed.get(client, set())
        shared = self.chance(3) and len(consumed) <= 1
        if shared:
            names = [place.name for place in self.places if client in place.holders]
            if not names:
                shared = False
            else:
                self.shared.setdefault(client, next(iter(consumed), names[0]))
        return Qos(client, self.pick(1, 2, 3, 0), shared)

    def _unbind(self, client: int) -> Step:
        if not self.bindings:
            return UnbindQueue(client, self.places[0].name, "missing", "a")
        binding = self.pick(*self.bindings)
        return UnbindQueue(client, binding.queue, binding.exchange, binding.key, binding.arguments)

    def _redeclare(self, client: int, place: _Place) -> Step:
        if self.exchanges and self.chance(3):
            exchange = self.pick(*self.exchanges)
            return DeclareExchange(
                client, exchange.name, self.pick(*_KINDS, "bogus"), self.chance(2), arguments=exchange.arguments
            )
        declared = place.declaration
        assert declared is not None
        odd = self.pick(*_ODD_ARGUMENTS)
        arguments = {**dict(declared.arguments), **dict(odd)}
        return DeclareQueue(
            client,
            self.pick(place.name, f"{place.name}new"),
            self.pick(declared.durable, not declared.durable),
            self.pick(declared.exclusive, declared.exclusive, not declared.exclusive),
            declared.auto_delete,
            tuple(arguments.items()),
        )


@st.composite
def programs(draw: Any, *, restarts: bool = False) -> Program:
    """Programs; with ``restarts`` the server restarts somewhere in each."""
    is_timed = draw(st.integers(0, 5)) == 5
    plan = _Plan(draw, is_timed=is_timed)
    plan.draw_topology(with_quorum=draw(st.integers(0, 2)) == 2)
    acts = [plan.act() for _ in range(draw(st.integers(4, 8 if is_timed else 14)))]
    if is_timed:
        acts.insert(draw(st.integers(1, len(acts))), Wait())
    if restarts:
        acts.insert(draw(st.integers(1, len(acts))), Restart())
    confirming = draw(st.sampled_from([(), (0,), (1,), (0, 1)]))
    return Program((*plan.steps, *acts), confirming)
