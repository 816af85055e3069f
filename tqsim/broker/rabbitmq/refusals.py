"""What the server says when it will not do something.

The main name is :class:`Refusal`, the close of a channel or connection with its code and text;
:class:`Refused` is a connection attempt that nobody answered.  The functions build the texts that
occur in more than one place, word for word as RabbitMQ 3.10.8 sends them (measured).  Which object
closes is not decided here but in :mod:`tqsim.broker.rabbitmq.channels`.
"""

from __future__ import annotations

from typing import Final, Literal

from tqsim.broker.rabbitmq.methods import NO_METHOD, Method
from tqsim.errors import TqsimError

__all__ = [
    "ACCESS_REFUSED",
    "CHANNEL_ERROR",
    "COMMAND_INVALID",
    "CONNECTION_FORCED",
    "INTERNAL_ERROR",
    "NOT_ALLOWED",
    "NOT_FOUND",
    "NOT_IMPLEMENTED",
    "NO_ROUTE",
    "PRECONDITION_FAILED",
    "RESOURCE_LOCKED",
    "Refusal",
    "Refused",
    "Scope",
    "default_exchange",
    "exclusive_use",
    "locked_queue",
    "no_exchange",
    "no_queue",
    "refuse",
    "reply_text",
    "unreadable",
]

Scope = Literal["channel", "connection"]

NO_ROUTE: Final = 312
CONNECTION_FORCED: Final = 320
ACCESS_REFUSED: Final = 403
NOT_FOUND: Final = 404
RESOURCE_LOCKED: Final = 405
PRECONDITION_FAILED: Final = 406
COMMAND_INVALID: Final = 503
CHANNEL_ERROR: Final = 504
NOT_ALLOWED: Final = 530
NOT_IMPLEMENTED: Final = 540
INTERNAL_ERROR: Final = 541

_NAMES: Final = {
    CONNECTION_FORCED: "CONNECTION_FORCED",
    ACCESS_REFUSED: "ACCESS_REFUSED",
    NOT_FOUND: "NOT_FOUND",
    RESOURCE_LOCKED: "RESOURCE_LOCKED",
    PRECONDITION_FAILED: "PRECONDITION_FAILED",
    COMMAND_INVALID: "COMMAND_INVALID",
    CHANNEL_ERROR: "CHANNEL_ERROR",
    NOT_ALLOWED: "NOT_ALLOWED",
    NOT_IMPLEMENTED: "NOT_IMPLEMENTED",
    INTERNAL_ERROR: "INTERNAL_ERROR",
}

# AMQP 0-9-1 calls these soft errors: they end one channel.  Every other code ends the connection.
_SOFT: Final = (ACCESS_REFUSED, NOT_FOUND, RESOURCE_LOCKED, PRECONDITION_FAILED)

_TEXT_BYTES_MAX: Final = 255


class Refused(TqsimError):
    """No server answered: it is stopped, or the connection is gone."""


class Refusal(TqsimError):
    """The server closed a channel or a connection because of one request.

    ``code`` and ``text`` are the reply code and reply text on the wire, ``method`` the class and
    method number of the request, ``scope`` what was closed: ``"channel"`` or ``"connection"``.
    """

    def __init__(self, code: int, text: str, method: Method = NO_METHOD) -> None:
        super().__init__(code, text, method)
        self.code = code
        self.text = text
        self.method = method
        self.scope: Scope = "channel" if code in _SOFT else "connection"

    def __str__(self) -> str:
        return f"({self.code}) {self.text}"

    def again(self) -> Refusal:
        """Return a fresh exception with the same content, to be raised to another caller."""
        return Refusal(self.code, self.text, self.method)


def refuse(code: int, explanation: str, method: Method = NO_METHOD) -> Refusal:
    """Return the refusal whose text is the name of ``code`` and the explanation."""
    return Refusal(code, reply_text(code, explanation), method)


def reply_text(code: int, explanation: str) -> str:
    """Return the reply text of ``code``, cut as RabbitMQ cuts it to the 255 bytes of a short string.

    Measured on RabbitMQ 3.10: 252 bytes and three dots, wherever that falls.
    """
    text = f"{_NAMES[code]} - {explanation}"
    encoded = text.encode()
    if len(encoded) <= _TEXT_BYTES_MAX:
        return text
    return encoded[: _TEXT_BYTES_MAX - 3].decode(errors="surrogateescape") + "..."


def unreadable() -> Refusal:
    """Return the 541 for what the server fails to take apart, which names neither method nor reason."""
    return Refusal(INTERNAL_ERROR, "INTERNAL_ERROR")


def no_queue(name: str, vhost: str) -> Refusal:
    """Return the 404 for a queue that does not exist."""
    return refuse(NOT_FOUND, f"no queue '{name}' in vhost '{vhost}'")


def no_exchange(name: str, vhost: str) -> Refusal:
    """Return the 404 for an exchange that does not exist."""
    return refuse(NOT_FOUND, f"no exchange '{name}' in vhost '{vhost}'")


def default_exchange() -> Refusal:
    """Return the 403 for declaring, deleting or binding to the default exchange."""
    return refuse(ACCESS_REFUSED, "operation not permitted on the default exchange")


def exclusive_use(queue: str, vhost: str) -> Refusal:
    """Return the 403 for a consumer next to an exclusive consumer."""
    return refuse(ACCESS_REFUSED, f"queue '{queue}' in vhost '{vhost}' in exclusive use")


def locked_queue(name: str, vhost: str) -> Refusal:
    """Return the 405 for an exclusive queue of another connection, or another exclusive flag."""
    return refuse(
        RESOURCE_LOCKED,
        f"cannot obtain exclusive access to locked queue '{name}' in vhost '{vhost}'. It could be "
        "originally declared on another connection or the exclusive property value does not match "
        "that of the original declaration.",
    )
