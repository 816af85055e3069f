"""kombu's own Redis transport in a simulation: what is pinned and led to simulated sockets.

The main name is :func:`install`.  ``kombu.transport.redis`` and ``kombu.transport.virtual`` run as they are.
Replaced are ``poll()``, the sets that would be walked in the order of memory addresses, what the class of channels
keeps for a process, the finalizer that a real process runs at its exit, and the class of messages, which learns
the number of its delivery.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import kombu.transport.redis
import kombu.transport.virtual.base

from tqsim.broker import transport
from tqsim.broker.redis.polling import poller_class
from tqsim.broker.redis.sockets import SimulatedSocket
from tqsim.kernel.kernel import Kernel
from tqsim.kernel.patches import Patches
from tqsim.kernel.steady import OrderedSet

__all__ = ["install"]

#: Before, a channel listed its queues in a set, in whatever order that had.
_QUEUES_IN_ORDER: Final = (5, 7)


def install(kernel: Kernel, delivery_number: Callable[[str], int]) -> None:
    """Let every broker URL use kombu's Redis transport until the kernel closes.

    ``delivery_number(tag)`` is that of the last delivery of a message.
    """
    patches = kernel.patches
    module: Any = kombu.transport.redis
    transport.install(kernel, module.Transport, sentinel=module.SentinelTransport)
    patches.set(module, "poll", poller_class(kernel))
    patches.set(module, "set", OrderedSet)
    patches.set(kombu.transport.virtual.base, "set", OrderedSet)
    patches.set(kombu.transport.virtual.base, "Finalize", _NoFinalizer)
    patches.set(module.Channel, "_fanout_queues", property(_by_process(kernel)))
    if kombu.VERSION < _QUEUES_IN_ORDER:
        patches.set(module.Channel, "active_queues", property(_active_queues))
    _let_it_doze(patches, module)
    patches.set(module.Channel, "Message", _message_class(module.Channel.Message, delivery_number))


def _by_process(kernel: Kernel) -> Callable[[Any], dict[str, Any]]:
    """What kombu keeps at the class for all channels of a process: which queues are bound to fanout exchanges."""
    known: dict[Any, dict[str, Any]] = {}

    def fanout_queues(channel: Any) -> dict[str, Any]:
        fiber = kernel.loop.current or kernel.loop.main
        return known.setdefault(fiber.process, {})

    return fanout_queues


def _active_queues(channel: Any) -> list[str]:
    """``Channel.active_queues`` as of kombu 5.7."""
    return [queue for queue in dict.fromkeys(channel._active_queues) if queue not in channel.active_fanout_queues]


def _let_it_doze(patches: Patches, module: Any) -> None:
    """Say which of a worker's ticks do nothing, so that it may sleep over them.

    The tick of one second refreshes the bindings of expiring queues and sweeps overdue ones, each after a
    while (``Channel.maybe_refresh_binding_expiry``); a BRPOP that the server renews counts as sent again.
    """
    channel: Any = module.Channel
    if hasattr(channel, "_brpop_sent_at"):
        patches.set(channel, "_brpop_sent_at", property(_sent_at, _set_sent_at))
    if not hasattr(channel, "maybe_refresh_binding_expiry"):
        return  # before kombu 5.7
    real = module.Transport.register_with_event_loop

    def register_with_event_loop(transport: Any, connection: Any, loop: Any) -> None:
        real(transport, connection, loop)
        tick = transport.cycle._binding_expiry_tref
        tick.period = 1.0
        tick.idle_until = lambda: min(map(_binding_due, transport.cycle._channels), default=math.inf)

    def _binding_due(channel: Any) -> float:
        queues = [queue for queue in channel._active_queues if queue in channel._expires]
        if not queues:
            return math.inf
        refresh_every = min(channel._binding_ttl(queue) for queue in queues) / 1000 / 3
        return float(
            min(
                channel._binding_expiry_refreshed_at + refresh_every,
                channel._bindings_swept_at + module.BINDING_SWEEP_INTERVAL,
            )
        )

    patches.set(module.Transport, "register_with_event_loop", register_with_event_loop)


def _sent_at(channel: Any) -> float | None:
    sent: float | None = channel.__dict__.get("_sent_at")
    sock = getattr(channel._in_poll or None, "_sock", None)
    return sent + sock.renewed_s if sent is not None and isinstance(sock, SimulatedSocket) else sent


def _set_sent_at(channel: Any, moment: float | None) -> None:
    channel.__dict__["_sent_at"] = moment


class _NoFinalizer:
    """In the place of ``multiprocessing.util.Finalize``, which would act at the exit of the interpreter."""

    def __init__(self, owner: Any, callback: Any, args: Any = (), kwargs: Any = None, exitpriority: Any = None) -> None:
        """Remember nothing."""

    def cancel(self) -> None:
        """There is nothing to cancel."""


def _message_class(real: Any, delivery_number: Callable[[str], int]) -> type:
    class Message(real):
        """kombu's message, which knows the number of its delivery."""

        def __init__(self, payload: Any, channel: Any = None, **kwargs: Any) -> None:
            super().__init__(payload, channel=channel, **kwargs)
            self.delivery_number = delivery_number(self.delivery_tag)

    return Message
