"""Finds the packages; everything else is in pyproject.toml.

The gallery's package ``tqsim_scenarios`` lives in the folder ``scenarios``.  A new sub-package
must not need a line in a list, and the declarative ``find`` knows no renamed folder.
"""

from __future__ import annotations

from setuptools import find_packages, setup

setup(
    packages=[
        *find_packages(include=["tqsim", "tqsim.*"]),
        *find_packages("pytest_plugin"),
        "tqsim_scenarios",
        *(f"tqsim_scenarios.{name}" for name in find_packages("scenarios")),
    ]
)
