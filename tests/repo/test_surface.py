"""What is public is listed, sorted and described."""

from __future__ import annotations

import importlib

import pytest

from tests.repo.sources import Source, report, sources_of_product
from tests.repo.surface_rules import (
    exported_names,
    inexact_all,
    missing_docstrings,
    missing_module_docstring,
    package_leaves_out,
    unsorted_all,
)


def test_modules_say_what_they_are() -> None:
    findings = [finding for source in sources_of_product() for finding in missing_module_docstring(source)]
    assert not findings, report(findings)


def test_public_names_have_docstrings() -> None:
    findings = [finding for source in sources_of_product() for finding in missing_docstrings(source)]
    assert not findings, report(findings)


def test_every_all_is_sorted() -> None:
    findings = [finding for source in sources_of_product() for finding in unsorted_all(source)]
    assert not findings, report(findings)


def test_every_all_in_tqsim_is_exact() -> None:
    # Only tqsim: the plugin's hooks and the shop's tasks are public without being an interface.
    ours = [source for source in sources_of_product() if source.path.startswith("tqsim/")]
    findings = [finding for source in ours for finding in inexact_all(source)]
    assert not findings, report(findings)


def test_the_package_lists_every_name_that_it_offers() -> None:
    findings = [finding for source in _package() for finding in package_leaves_out(source)]
    assert not findings, report(findings)


def test_every_name_of_the_package_can_be_imported() -> None:
    names = [name for source in _package() for name in exported_names(source) or []]
    missing = [name for name in names if not hasattr(importlib.import_module("tqsim"), name)]
    assert not missing


def _package() -> list[Source]:
    """Return the package's ``__init__``; test_house says that there must be one."""
    return [source for source in sources_of_product() if source.path == "tqsim/__init__.py"]


def test_the_module_docstring_rule_spares_tiny_modules() -> None:
    assert missing_module_docstring(Source("m.py", "x = 1\n" * 5)) == []
    assert len(missing_module_docstring(Source("m.py", "x = 1\n" * 6))) == 1


def test_the_docstring_rule_finds_functions_classes_and_methods() -> None:
    source = Source(
        "m.py",
        "__all__ = ['A', 'f']\n"
        "class A:\n"
        "    def method(self): ...\n"
        "    @property\n"
        "    def value(self): 'Return it.'\n"
        "    @value.setter\n"
        "    def value(self, new): ...\n"
        "    def _private(self): ...\n"
        "    def __len__(self): ...\n"
        "def f(): ...\n"
        "def not_exported(): ...\n",
    )
    assert [finding.message for finding in missing_docstrings(source)] == [
        "A has no docstring",
        "A.method has no docstring",
        "f has no docstring",
    ]


def test_the_docstring_rule_takes_names_without_underscore_where_nothing_is_listed() -> None:
    source = Source("m.py", "def f(): ...\ndef _g(): ...\n")
    assert [finding.message for finding in missing_docstrings(source)] == ["f has no docstring"]


def test_the_export_rule_finds_names_left_out_and_names_not_there() -> None:
    source = Source("m.py", "__all__ = ['f', 'gone']\ndef f(): ...\ndef g(): ...\ndef _h(): ...\n")
    assert [finding.message for finding in inexact_all(source)] == [
        "g is public but not in __all__",
        "__all__ lists gone, which is not there",
    ]


def test_the_export_rule_sees_names_bound_under_conditions() -> None:
    source = Source(
        "m.py",
        "__all__ = ['A', 'B', 'C']\n"
        "try:\n    from x import A\nexcept ImportError:\n    A = None\n"
        "if A:\n    B = 1\n"
        "def _f():\n    C = 1\n",
    )
    assert [finding.message for finding in inexact_all(source)] == ["__all__ lists C, which is not there"]


def test_the_package_rule_finds_an_import_that_is_not_listed() -> None:
    source = Source(
        "tqsim/__init__.py",
        "from __future__ import annotations\n"
        "from typing import TYPE_CHECKING\n"
        "from tqsim import checks\n"
        "from tqsim.errors import TqsimError, UsageError as Wrong\n"
        "__all__ = ['TqsimError']\n",
    )
    assert [finding.message for finding in package_leaves_out(source)] == [
        "checks is public but not in __all__",
        "Wrong is public but not in __all__",
    ]


@pytest.mark.parametrize(
    ("names", "sorted_"),
    [
        (["LIMIT", "Simulation", "check"], True),
        ([], True),
        (["check", "Simulation"], False),
        (["b", "a"], False),
    ],
)
def test_the_order_rule_wants_constants_classes_functions(names: list[str], sorted_: bool) -> None:
    assert (unsorted_all(Source("m.py", f"__all__ = {names!r}\n")) == []) is sorted_
