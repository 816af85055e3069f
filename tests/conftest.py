"""What every test of this repository runs under; fixtures live beside the tests that use them."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

# A slow machine must not fail a property: no deadline, no complaint about slow data.
settings.register_profile(
    "tqsim",
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("tqsim")
