"""The class and method numbers of AMQP 0-9-1 that a refusal names.

The main name is :data:`Method`, a pair such as ``(50, 10)`` for ``queue.declare``; a client shows it
in its exception.  Only methods that this server can refuse are listed.  Source: the AMQP 0-9-1
specification, https://www.rabbitmq.com/amqp-0-9-1-reference.html.
"""

from __future__ import annotations

from typing import Final, TypeAlias

__all__ = [
    "BASIC_ACK",
    "BASIC_CANCEL",
    "BASIC_CONSUME",
    "BASIC_GET",
    "BASIC_NACK",
    "BASIC_PUBLISH",
    "BASIC_QOS",
    "BASIC_RECOVER",
    "BASIC_REJECT",
    "CHANNEL_OPEN",
    "CONFIRM_SELECT",
    "EXCHANGE_BIND",
    "EXCHANGE_DECLARE",
    "EXCHANGE_DELETE",
    "EXCHANGE_UNBIND",
    "NO_METHOD",
    "QUEUE_BIND",
    "QUEUE_DECLARE",
    "QUEUE_DELETE",
    "QUEUE_PURGE",
    "QUEUE_UNBIND",
    "TX_COMMIT",
    "TX_ROLLBACK",
    "TX_SELECT",
    "Method",
]

Method: TypeAlias = tuple[int, int]

NO_METHOD: Final[Method] = (0, 0)
CHANNEL_OPEN: Final[Method] = (20, 10)
EXCHANGE_DECLARE: Final[Method] = (40, 10)
EXCHANGE_DELETE: Final[Method] = (40, 20)
EXCHANGE_BIND: Final[Method] = (40, 30)
EXCHANGE_UNBIND: Final[Method] = (40, 40)
QUEUE_DECLARE: Final[Method] = (50, 10)
QUEUE_BIND: Final[Method] = (50, 20)
QUEUE_PURGE: Final[Method] = (50, 30)
QUEUE_DELETE: Final[Method] = (50, 40)
QUEUE_UNBIND: Final[Method] = (50, 50)
BASIC_QOS: Final[Method] = (60, 10)
BASIC_CONSUME: Final[Method] = (60, 20)
BASIC_CANCEL: Final[Method] = (60, 30)
BASIC_PUBLISH: Final[Method] = (60, 40)
BASIC_GET: Final[Method] = (60, 70)
BASIC_ACK: Final[Method] = (60, 80)
BASIC_REJECT: Final[Method] = (60, 90)
BASIC_RECOVER: Final[Method] = (60, 110)
BASIC_NACK: Final[Method] = (60, 120)
CONFIRM_SELECT: Final[Method] = (85, 10)
TX_SELECT: Final[Method] = (90, 10)
TX_COMMIT: Final[Method] = (90, 20)
TX_ROLLBACK: Final[Method] = (90, 30)
