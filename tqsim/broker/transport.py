"""kombu's AMQP transport, led to the simulated server.

The main name is :func:`transport_class`.  It is kombu's own ``pyamqp`` transport; only the
connection it establishes is another.  :func:`install` makes every broker URL of the application
use it while a simulation is open.
"""

from __future__ import annotations

from typing import Any, Final

import kombu.transport
from celery import current_app
from kombu.transport import pyamqp

from tqsim.broker.connection import SimulatedConnection
from tqsim.broker.links import Links
from tqsim.broker.rabbitmq.server import Server
from tqsim.kernel.kernel import Kernel

__all__ = ["install", "transport_class"]

_DEFAULT_VHOST: Final = "/"


def transport_class(kernel: Kernel, server: Server, links: Links) -> type:
    """Return a kombu transport class whose connections lead over ``links`` to ``server``."""

    class Transport(pyamqp.Transport):
        """kombu's pyamqp transport over the simulated RabbitMQ."""

        Connection: Any = SimulatedConnection
        # Celery's event loop would tick twice per heartbeat; see SimulatedConnection.attend.
        implements = pyamqp.Transport.implements.extend(heartbeats=False)

        def driver_version(self) -> str:
            return "simulated"

        def get_heartbeat_interval(self, connection: SimulatedConnection) -> float:
            """An event loop asks, before it begins to tick (celery/worker/loops.py)."""
            return connection.attend(current_app.conf.broker_heartbeat_checkrate)

        def establish_connection(self) -> Any:
            client: Any = self.client
            for name, value in self.default_connection_params.items():
                if not getattr(client, name, None):
                    setattr(client, name, value)
            options = client.transport_options or {}
            connection = SimulatedConnection(
                kernel,
                server,
                links,
                client.virtual_host or _DEFAULT_VHOST,
                user=client.userid,
                connect_timeout=client.connect_timeout,
                socket_settings=options.get("socket_settings"),
                heartbeat=options.get("heartbeat", client.heartbeat) or 0,
                confirm_publish=bool(options.get("confirm_publish")),
                on_blocked=options.get("on_blocked"),
                on_unblocked=options.get("on_unblocked"),
            )
            connection.client = client
            return connection

    return Transport


def install(kernel: Kernel, transport: type, **others: type) -> None:
    """Make every transport name that kombu knows lead to ``transport`` while the kernel is open.

    ``others`` are names that lead elsewhere.

    Nothing is left to chance: whatever URL the application, a read or write URL or a failover
    list has, no connection leaves the interpreter.
    """
    cache = kombu.transport._transport_cache
    aliases = kombu.transport.TRANSPORT_ALIASES
    before = dict(cache)
    names = [*aliases, "amqp", None, *before]
    for name in names:
        cache[name] = others.get(str(name), transport)

    def restore() -> None:
        cache.clear()
        cache.update(before)

    kernel.patches.on_undo(restore)
