"""The house stands: each package of the design is there, and each rule had something to look at."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from tests.repo.sources import ROOT, sources_of_product, sources_of_tests

HOUSE = (
    "pytest_plugin/pytest_tqsim",
    "scenarios",
    "scenarios/shop",
    "tqsim",
    "tqsim/broker",
    "tqsim/checks",
    "tqsim/cli",
    "tqsim/durations",
    "tqsim/errors",
    "tqsim/faults",
    "tqsim/history",
    "tqsim/kernel",
    "tqsim/load",
    "tqsim/report",
    "tqsim/scenario",
    "tqsim/simulation",
    "tqsim/worker",
)


@pytest.mark.parametrize("package", HOUSE)
def test_the_house_has(package: str) -> None:
    assert (ROOT / package / "__init__.py").is_file() or (ROOT / f"{package}.py").is_file()


@pytest.mark.parametrize("folder", ["pytest_plugin/pytest_tqsim", "scenarios", "tqsim"])
def test_each_import_name_is_typed(folder: str) -> None:
    assert (ROOT / folder / "py.typed").is_file()


def test_every_folder_with_product_modules_is_a_package() -> None:
    # setuptools finds only packages with __init__.py; a folder without would be missing in a wheel.
    folders = {source.path.rpartition("/")[0] for source in sources_of_product()} - {"pytest_plugin"}
    assert [folder for folder in sorted(folders) if not (ROOT / folder / "__init__.py").is_file()] == []


def test_the_contract_has_a_floor_for_every_package() -> None:
    floors = {
        name.strip("() ")
        for contract in _project()["tool"]["importlinter"]["contracts"]
        for layer in contract.get("layers", [])
        for name in layer.split("|")
    }
    packages = {package.removeprefix("tqsim/") for package in HOUSE if package.startswith("tqsim/")}
    assert packages - floors == set()


def test_the_rules_see_the_product_and_the_tests() -> None:
    # A walk that finds nothing would make every other rule pass.
    assert {source.path.split("/")[0] for source in sources_of_product()} == {
        "tqsim",
        "pytest_plugin",
        "scenarios",
    }
    assert "tests/repo/test_house.py" in {source.path for source in sources_of_tests()}


def test_every_dependency_has_its_reason() -> None:
    lines = (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
    start = lines.index("dependencies = [") + 1
    listed = lines[start : lines.index("]", start)]
    assert len(listed) == len(_project()["project"]["dependencies"])
    assert [line for line in listed if "  # " not in line] == []


def _project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
