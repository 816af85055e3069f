"""Kernels for tests: :func:`kernel`, :func:`refusal` and :func:`as_tool`."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import pytest

from tqsim.errors import TqsimError
from tqsim.kernel import Kernel, KernelOptions
from tqsim.kernel.clock import parse_start

__all__ = ["as_tool", "kernel", "refusal"]


def kernel(**options: Any) -> Kernel:
    """Return a kernel with the given options, and plain ones otherwise."""
    plain: dict[str, Any] = {
        "seed": 7,
        "policy": "fifo",
        "start": parse_start("2030-01-01T00:00:00Z"),
        "time_zone": "UTC",
        "preemption_us": 0,
        "still_events_max": 100_000,
        "stall_s": 0.0,
        "allow_network": (),
    }
    if isinstance(options.get("start"), str):
        options["start"] = parse_start(options["start"])
    return Kernel(KernelOptions(**(plain | options)))


def refusal(kind: type[TqsimError], action: Callable[[], object]) -> str:
    """Return the message with which ``action()`` is refused."""
    with pytest.raises(kind) as caught:
        action()
    return str(caught.value)


def as_tool(function: Callable[[], list[Any]]) -> Callable[[], list[Any]]:
    """Return ``function``, which must be no closure, as if it were one of pytest-timeout's."""
    assert isinstance(function, types.FunctionType)
    return types.FunctionType(function.__code__, {**function.__globals__, "__name__": "pytest_timeout"})
