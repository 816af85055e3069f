"""The settings of a server, and the rules of its version.

The main name is :class:`Settings`.  ``version="3.10"`` is what everything was measured on; the rules of
later versions are from RabbitMQ's documentation and source, not measured, and say so one by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tqsim.errors import UsageError

__all__ = ["VERSIONS", "Settings"]

VERSIONS: Final = ("3.10", "3.12", "3.13", "4.0", "4.1", "4.3")
#: RabbitMQ also has direct_reply_to here, which is not simulated.
_CAPABILITIES: Final = (
    "publisher_confirms",
    "exchange_exchange_bindings",
    "basic.nack",
    "consumer_cancel_notify",
    "connection.blocked",
    "consumer_priorities",
    "authentication_failure_close",
    "per_consumer_qos",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What ``rabbitmq.conf`` says, in the server's own names and units.

    ``consumer_timeout_ms`` is how long a delivery may stay unacknowledged (None: for ever), and
    ``channel_tick_interval_ms`` how often a channel looks.
    """

    version: str = "3.10"
    consumer_timeout_ms: int | None = 1_800_000
    channel_tick_interval_ms: int = 60_000

    def __post_init__(self) -> None:
        if self.version not in VERSIONS:
            expected = ", ".join(VERSIONS)
            raise UsageError(f"version={self.version!r} is not simulated; expected one of {expected}.")

    @property
    def full_version(self) -> str:
        """What the server tells clients: with a patch level, 3.10.8 being the one that was measured."""
        return "3.10.8" if self.version == "3.10" else f"{self.version}.0"

    def told(self) -> dict[str, object]:
        """Return what the server says of itself to a client, without what no client reads."""
        return {"product": "RabbitMQ", "version": self.full_version, "capabilities": dict.fromkeys(_CAPABILITIES, True)}

    @property
    def denies_deprecated(self) -> bool:
        """Whether the deprecated features that tqsim knows are off: release notes of 4.3, not measured."""
        return self.number >= (4, 3)

    @property
    def number(self) -> tuple[int, ...]:
        """The version as numbers that compare."""
        return tuple(int(part) for part in self.version.split("."))
