"""Tests: each asserts something, and none waits on the wall clock."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Final

from tests.repo.determinism_rules import dotted_name, imported_names
from tests.repo.sources import Finding, Source

__all__ = ["asserts_nothing", "sleeps"]

_ASSERTING_NAME: Final = re.compile(
    r"_*(assert|check|expect|verify|raises|warns|fail$|fnmatch_lines|no_fnmatch_line|re_match_lines)"
)
_SIMULATION_NAME: Final = re.compile(r"simulation|tqsim|\bsim\b", re.IGNORECASE)
_VIRTUAL: Final = re.compile(r"#.*\bvirtual\b")


def asserts_nothing(source: Source) -> list[Finding]:
    """Find test functions without an assertion, in the modules that pytest collects.

    An assertion is ``assert``, ``pytest.raises`` and ``warns``, and any call of a function whose
    name says so: ``assert_…``, ``check…``, ``expect…``, ``verify…``, or pytester's line matchers.
    """
    if not PurePosixPath(source.path).name.startswith("test_"):
        return []
    return [
        source.finding(node, f"{node.name} asserts nothing")
        for node in ast.walk(source.tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("test_")
        if not any(map(_asserts, ast.walk(node)))
    ]


def sleeps(source: Source) -> list[Finding]:
    """Find calls of ``time.sleep`` that may be real.

    Virtual ones are fine: in the body of a Celery task, inside a ``with`` over a simulation, and on
    a line whose comment says ``# virtual``.
    """
    names = imported_names(source.tree)
    return [
        source.finding(node, "time.sleep outside a simulation; if it is virtual, say so: # virtual")
        for node in _outside_simulations(source.tree)
        if isinstance(node, ast.Call) and dotted_name(node.func, names) == "time.sleep"
        if not _VIRTUAL.search(source.lines[node.lineno - 1])
    ]


def _asserts(node: ast.AST) -> bool:
    if isinstance(node, ast.Assert):
        return True
    if not isinstance(node, ast.Call):
        return False
    name = dotted_name(node.func, {}) or getattr(node.func, "attr", "")
    return bool(_ASSERTING_NAME.match(name.rpartition(".")[2]))


def _outside_simulations(node: ast.AST) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if not _is_simulated(child):
            yield child
            yield from _outside_simulations(child)


def _is_simulated(node: ast.AST) -> bool:
    if isinstance(node, (ast.With, ast.AsyncWith)):
        return any(_SIMULATION_NAME.search(ast.unparse(item)) for item in node.items)
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return any(_is_task(decorator) for decorator in node.decorator_list)
    return False


def _is_task(decorator: ast.expr) -> bool:
    function = decorator.func if isinstance(decorator, ast.Call) else decorator
    return dotted_name(function, {}).rpartition(".")[2] in {"task", "shared_task"}
