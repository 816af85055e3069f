"""What a simulated system meets: the load that comes in, and the services that it calls.

``arrivals`` says when something is sent, ``distributions`` how long something takes, and
``services`` simulates a dependency of the task code, such as a payment API.
"""

from __future__ import annotations

from tqsim.load.arrivals import Arrivals, constant, poisson
from tqsim.load.distributions import Distribution, exponential, lognormal, uniform
from tqsim.load.services import Service, ServiceError

__all__ = [
    "Arrivals",
    "Distribution",
    "Service",
    "ServiceError",
    "constant",
    "exponential",
    "lognormal",
    "poisson",
    "uniform",
]
