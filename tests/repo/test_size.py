"""Modules and functions of the product stay short; there is no list of exceptions."""

from __future__ import annotations

from tests.repo.size_rules import FUNCTION_LINES_MAX, MODULE_LINES_MAX, long_functions, long_module
from tests.repo.sources import Source, report, sources_of_product


def test_modules_are_short() -> None:
    findings = [finding for source in sources_of_product() for finding in long_module(source)]
    assert not findings, report(findings)


def test_functions_are_short() -> None:
    findings = [finding for source in sources_of_product() for finding in long_functions(source)]
    assert not findings, report(findings)


def test_the_module_rule_finds_the_first_line_too_many() -> None:
    assert long_module(Source("m.py", "x = 1\n" * MODULE_LINES_MAX)) == []
    assert len(long_module(Source("m.py", "x = 1\n" * (MODULE_LINES_MAX + 1)))) == 1


def test_the_function_rule_finds_the_first_line_too_many() -> None:
    body = "    x = 1\n"
    assert long_functions(Source("m.py", "def f():\n" + body * (FUNCTION_LINES_MAX - 1))) == []
    nested = "class C:\n    async def f(self):\n" + ("    " + body) * FUNCTION_LINES_MAX
    assert [finding.line for finding in long_functions(Source("m.py", nested))] == [2]
