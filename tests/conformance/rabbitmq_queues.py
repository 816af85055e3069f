"""Queues that bodies of conformance begin with: :func:`classic_queue` and :func:`quorum_queue`."""

from __future__ import annotations

from typing import Any

from tests.conformance.rabbitmq_arms import Arm, Lane

__all__ = ["classic_queue", "quorum_queue"]


def classic_queue(arm: Arm, lane: Lane, *bodies: object, stem: str = "q") -> str:
    """Declare a plain queue and send it messages; return its name."""
    name = lane.queue(arm.name(stem))
    lane.send(name, *bodies)
    return name


def quorum_queue(arm: Arm, lane: Lane, stem: str = "q", **more: Any) -> str:
    """Declare a quorum queue, with arguments such as ``x_max_length``; return its name."""
    arguments = {"x-queue-type": "quorum", **{name.replace("_", "-"): value for name, value in more.items()}}
    return lane.queue(arm.name(stem), durable=True, arguments=arguments)
