"""The fixture of these tests: a server in a world of its own."""

from __future__ import annotations

import pytest

from tests.unit.broker.rabbitmq.worlds import World


@pytest.fixture
def world() -> World:
    """A running server at time zero."""
    return World()
