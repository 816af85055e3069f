"""kombu's own Redis transport in a simulation: what is pinned and led to simulated sockets.

The main name is :func:`install`.  ``kombu.transport.redis`` and ``kombu.transport.virtual`` run as they are.
Replaced are ``poll()``, the sets that would be walked in the order of memory addresses, the finalizer that
a real process runs at its exit, and the class of messages, which learns the number of its delivery.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import kombu.transport.redis
import kombu.transport.virtual.base

from tqsim.broker import transport
from tqsim.broker.redis.polling import poller_class
from tqsim.kernel.kernel import Kernel
from tqsim.kernel.steady import OrderedSet

__all__ = ["install"]


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
    patches.set(module.Channel, "Message", _message_class(module.Channel.Message, delivery_number))


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
