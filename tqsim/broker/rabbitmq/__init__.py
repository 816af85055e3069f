"""RabbitMQ as a pure state machine: no kombu, no kernel, no clock, no threads.

Bottom to top: :mod:`messages` and :mod:`ready` (what waits in a queue), :mod:`consumers` (whose
turn it is), :mod:`window` (what a channel has out), :mod:`deadletters` and :mod:`terms` (what a queue
gives up), :mod:`queues`, :mod:`quorum`, :mod:`exchanges` and
:mod:`vhosts` (the names), :mod:`topology` and :mod:`channels` (the requests), :mod:`connections`
and :mod:`server`.  Start with :class:`Server`.

Behaviour and texts were measured on RabbitMQ 3.10.8 and are held to it by
``tests/conformance/test_rabbitmq_machine.py``.
"""

from __future__ import annotations

from tqsim.broker.rabbitmq.channels import Channel
from tqsim.broker.rabbitmq.connections import Connection
from tqsim.broker.rabbitmq.events import (
    ChannelClosed,
    Confirm,
    ConnectionClosed,
    ConnectionLost,
    ConsumerCancelled,
    DeclareOk,
    Deliver,
    Event,
    Got,
    Return,
)
from tqsim.broker.rabbitmq.messages import Message
from tqsim.broker.rabbitmq.refusals import Refusal, Refused
from tqsim.broker.rabbitmq.server import Server
from tqsim.broker.rabbitmq.settings import Settings
from tqsim.broker.rabbitmq.views import QueueView

__all__ = [
    "Channel",
    "ChannelClosed",
    "Confirm",
    "Connection",
    "ConnectionClosed",
    "ConnectionLost",
    "ConsumerCancelled",
    "DeclareOk",
    "Deliver",
    "Event",
    "Got",
    "Message",
    "QueueView",
    "Refusal",
    "Refused",
    "Return",
    "Server",
    "Settings",
]
