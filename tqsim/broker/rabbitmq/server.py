"""The RabbitMQ server as a pure state machine.

The main name is :class:`Server`.  Clients call its connections and channels; what it has to say
unasked goes into their outboxes.  It never blocks, never reads a real clock, draws nothing at
random and calls out only to ``now``, ``names``, ``observe`` and each connection's ``notify``.
"""

from __future__ import annotations

from collections.abc import Callable

from tqsim.broker.rabbitmq.closing import retire
from tqsim.broker.rabbitmq.connections import Connection
from tqsim.broker.rabbitmq.context import Context, Observe
from tqsim.broker.rabbitmq.messages import Message
from tqsim.broker.rabbitmq.refusals import CONNECTION_FORCED, Refusal, Refused, refuse
from tqsim.broker.rabbitmq.settings import Settings
from tqsim.broker.rabbitmq.vhosts import VirtualHost
from tqsim.broker.rabbitmq.views import QueueView
from tqsim.errors import UsageError

__all__ = ["Server"]


class Server:
    """One server (a node, a cluster of one) with its vhosts, running from the start.

    ``now()`` is virtual time in microseconds.  ``names(prefix)`` returns a name that is new and
    starts with ``prefix`` (``"amq.gen-"`` for queues, ``"amq.ctag-"`` for consumers).
    ``observe(name, **fields)`` is told of each moment:

    - ``message.published``, ``.unroutable``, ``.returned``, ``.queued``, ``.delivered``, ``.acked``,
      ``.rejected``, ``.requeued``, ``.dropped``, ``.expired``, ``.dead_lettered``: with ``message``,
      ``vhost`` and what applies of ``queue``, ``connection``, ``channel``, ``consumer_tag``,
      ``delivery_tag``, ``delivery_number``, ``redelivered``, ``no_ack``, ``reason``;
    - ``queue.declared``, ``queue.deleted``, ``exchange.declared``, ``exchange.deleted``,
      ``binding.created``, ``binding.removed``, ``consumer.added``, ``consumer.cancelled``,
      ``channel.opened``, ``channel.closed``, ``connection.opened``, ``connection.closed``,
      ``server.stopped``, ``server.started``.

    ``epoch_us`` is the moment at which ``now()`` is 0, counted from 1970; the deaths of messages are
    dated by it.  ``is_work(message)`` says which messages are somebody's work (see :attr:`QueueView.carries_work`).
    """

    def __init__(
        self,
        *,
        settings: Settings | None = None,
        now: Callable[[], int],
        names: Callable[[str], str],
        observe: Observe | None = None,
        is_work: Callable[[Message], bool] = lambda message: True,
        epoch_us: int = 0,
    ) -> None:
        self.settings = settings or Settings()
        self.is_running = True
        self._context = Context(now, names, observe, is_work, self.settings, epoch_us)
        self._vhosts: dict[str, VirtualHost] = {}
        self._connections: dict[Connection, None] = {}

    def observe_with(self, observe: Observe | None) -> None:
        """Tell ``observe`` of each moment from now on, instead of whoever was told so far."""
        self._context.observe = observe

    # --- clients ---------------------------------------------------------------------------------

    def connect(
        self,
        *,
        name: str,
        vhost: str = "/",
        user: str = "guest",
        notify: Callable[[], None],
        consumer_cancel_notify: bool = True,
        heartbeat_s: float = 0,
    ) -> Connection:
        """Open a connection, or raise :class:`Refused` while the server is stopped.

        ``notify()`` is called whenever the server has put something into the connection's outbox.
        ``heartbeat_s`` is what client and server agreed on, 0 for none (:meth:`Connection.fall_silent`).
        A vhost is created when it is first named.  (The real server would refuse an unknown one,
        530 NOT_ALLOWED; tqsim takes the application's URL on trust.)
        """
        if not self.is_running:
            raise Refused(f"Connection '{name}' refused: the server is stopped.")
        connection = Connection(
            self._context,
            name,
            self._vhost(vhost),
            user,
            notify,
            consumer_cancel_notify,
            heartbeat_s,
            self._on_connection_closed,
        )
        self._connections[connection] = None
        self._observe("connection.opened", vhost=vhost, connection=name)
        return connection

    def connections(self) -> list[Connection]:
        """Return the open connections in the order in which they were opened."""
        return list(self._connections)

    # --- time ------------------------------------------------------------------------------------

    def next_deadline(self) -> int | None:
        """Return the microsecond at which :meth:`expire` next has something to do, or None.

        To be asked before time moves on.
        """
        context = self._context
        context.moment += 1
        context.disk.mark(context.published, context.now())
        moments = (
            context.deadlines.next_us(),
            context.expiries.next_us(),
            context.ticks.next_us(),
            context.silences.next_us(),
        )
        return min((moment for moment in moments if moment is not None), default=None)

    def expire(self) -> None:
        """Do what is due at ``now()``: messages expire, deliveries time out, unused queues go."""
        self._context.moment += 1
        now_us = self._context.now()
        while (terms := self._context.expiries.pop_due(now_us)) is not None:
            terms.expire()
        while (channel := self._context.ticks.pop_due(now_us)) is not None:
            channel.tick()
        while (connection := self._context.silences.pop_due(now_us)) is not None:
            connection.give_up()
        while (queue := self._context.deadlines.pop_due(self._context.now())) is not None:
            self._vhosts[queue.vhost].delete_queue(queue, "expired")

    # --- memory ----------------------------------------------------------------------------------

    def alarm(self, is_raised: bool) -> None:
        """Raise the memory alarm, or end it.

        While it lasts, a connection that publishes is told that it is blocked, and nothing more is read
        from it, not even its acknowledgements, until the alarm is over; what it sent is then read in its
        order.  Others go on, and consumers are served (measured on a node of 3.10).  A request that
        wants an answer from a blocked connection must wait (:attr:`Connection.is_blocked`).
        """
        if self._context.is_alarmed == is_raised:
            return
        self._context.is_alarmed = is_raised
        for connection in self.connections():
            for channel in connection.channels.values():
                channel.is_careful = is_raised or channel.is_confirming
        if not is_raised:
            for connection in self.connections():
                connection.unblock()

    @property
    def is_holding(self) -> bool:
        """Whether a client has sent something that is not read because of the alarm."""
        return self._context.is_alarmed and any(connection.is_holding for connection in self._connections)

    # --- life of the server ----------------------------------------------------------------------

    def stop(self) -> None:
        """Shut down in good order; until :meth:`start`, connecting is refused.

        Every client is told 320 CONNECTION_FORCED.  What survives: durable queues and exchanges,
        bindings between them, and persistent messages (``delivery_mode`` 2) in durable queues;
        those that were delivered and not acknowledged are back at their place, marked redelivered.
        An ``auto_delete`` queue that has consumers goes even if it is durable.  (Measured on a node
        of 3.10 that was stopped and started.  py-amqp reports the end as a ConnectionResetError:
        it answers the close before it reads the reason, and the server does not wait.)
        """
        refusal = refuse(CONNECTION_FORCED, "broker forced connection closure with reason 'shutdown'")
        self._go_down(refusal)

    def crash(self) -> None:
        """Die without a word; until :meth:`start`, connecting is refused.

        Clients see a dead socket.  The same survives as after :meth:`stop`, with two differences
        (measured on a node of 3.10 that was killed): every surviving message is marked redelivered,
        and a durable ``auto_delete`` queue stays although its consumers are gone.  And persistent
        messages of the last 200 ms that nobody waited to be confirmed are lost (:class:`Disk`).
        """
        self._go_down(None)

    def start(self) -> None:
        """Come up again after :meth:`stop` or :meth:`crash`; nothing happens if it is running.

        The ``x-expires`` period of every surviving queue starts again.
        """
        if self.is_running:
            return
        self.is_running = True
        for vhost in self._vhosts.values():
            for queue in vhost.queues.values():
                queue.start()
        self._observe("server.started")

    def restart(self) -> None:
        """Stop and start in one instant."""
        self.stop()
        self.start()

    # --- looking inside --------------------------------------------------------------------------

    def queue(self, name: str, vhost: str = "/") -> QueueView:
        """Return a view of one queue; raise :class:`UsageError` if there is none of that name."""
        found = self._vhosts.get(vhost)
        if found is None or name not in found.queues:
            known = ", ".join(found.queues) if found is not None else ""
            raise UsageError(f"There is no queue '{name}' in vhost '{vhost}'; expected one of: {known}.")
        return QueueView(found.queues[name])

    def queues(self, vhost: str = "/") -> list[QueueView]:
        """Return a view of every queue of a vhost, in the order of declaration."""
        found = self._vhosts.get(vhost)
        return [] if found is None else [QueueView(queue) for queue in found.queues.values()]

    def vhosts(self) -> list[str]:
        """Return the names of the vhosts that were ever connected to."""
        return list(self._vhosts)

    def _vhost(self, name: str) -> VirtualHost:
        found = self._vhosts.get(name)
        if found is None:
            found = self._vhosts[name] = VirtualHost(self._context, name)
        return found

    def _go_down(self, refusal: Refusal | None) -> None:
        if not self.is_running:
            return
        self.is_running = False
        crashed = refusal is None
        context = self._context
        lost = context.disk.lost(context.published, context.now()) if crashed else set()
        reason = "server crashed" if crashed else "server stopped"
        connections = list(self._connections)
        for connection in connections:
            connection.shut_down(refusal)
        channels = [channel for connection in connections for channel in connection.channels.values()]
        retire(channels, auto_delete=not crashed)
        for connection in connections:
            connection.forget(reason)
        for vhost in self._vhosts.values():
            vhost.forget_transient(crashed=crashed, lost=lost)
            for queue in vhost.queues.values():
                self._context.deadlines.drop(queue)
                if queue.terms is not None:
                    self._context.expiries.drop(queue.terms)
        self._context.is_alarmed = False
        self._observe("server.stopped", reason=reason)

    def _on_connection_closed(self, connection: Connection) -> None:
        del self._connections[connection]

    def _observe(self, name: str, **fields: object) -> None:
        if self._context.observe is not None:
            self._context.observe(name, **fields)
