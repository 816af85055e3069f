"""The links between simulated processes and servers: latency, cuts, resets.

The main name is :class:`Links`.  ``ways`` is one direction of a connection, ``cables`` both of them with the
ways in which their ends find out that they are lost (``options``), ``trips`` the way to a new one, and ``links``
knows what ails whose connections.  Left out: bandwidth, and the loss of single packets, of which TCP makes latency.
"""

from __future__ import annotations

from tqsim.broker.links.cables import Cable, End
from tqsim.broker.links.links import Links
from tqsim.broker.links.options import REDIS_SERVER, SocketOptions, amqp_client, rabbitmq_server, redis_client
from tqsim.broker.links.trips import pauses

__all__ = [
    "REDIS_SERVER",
    "Cable",
    "End",
    "Links",
    "SocketOptions",
    "amqp_client",
    "pauses",
    "rabbitmq_server",
    "redis_client",
]
