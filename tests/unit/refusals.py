"""What a wrong argument is told: :func:`refusal`."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tqsim.errors import UsageError

__all__ = ["refusal"]


def refusal(work: Callable[[], object]) -> str:
    """Return the message of the :class:`~tqsim.UsageError` that ``work()`` raises."""
    with pytest.raises(UsageError) as caught:
        work()
    return str(caught.value)
