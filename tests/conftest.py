"""What every test of this repository runs under; fixtures live beside the tests that use them."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

# A slow machine must not fail a property: no deadline, no complaint about slow data.
settings.register_profile(
    "tqsim",
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("tqsim")


def pytest_addoption(parser: pytest.Parser) -> None:
    """How much of the generated conformance programs runs; ``make conformance`` asks for all of it."""
    group = parser.getgroup("conformance")
    for name, default, what in (
        ("--broker-programs", 20, "clients alone"),
        ("--celery-programs", 3, "whole workers"),
    ):
        group.addoption(
            name,
            type=int,
            default=default,
            metavar="N",
            help=f"generated programs of {what} for each broker ({default})",
        )
    group.addoption("--celery-seed", type=int, default=1, metavar="N", help="seed of the programs of whole workers (1)")
    group.addoption(
        "--celery-shrink", action="store_true", help="shrink a program of whole workers that fails (minutes)"
    )
