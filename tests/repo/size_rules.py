"""Size: one noun per module, and functions that fit on a screen."""

from __future__ import annotations

import ast
from typing import Final

from tests.repo.sources import Finding, Source

__all__ = ["FUNCTION_LINES_MAX", "MODULE_LINES_MAX", "long_functions", "long_module"]

MODULE_LINES_MAX: Final = 400
FUNCTION_LINES_MAX: Final = 70


def long_module(source: Source) -> list[Finding]:
    """Find a module of more than 400 lines."""
    count = len(source.lines)
    if count <= MODULE_LINES_MAX:
        return []
    return [Finding(source.path, 1, f"{count} lines; at most {MODULE_LINES_MAX}")]


def long_functions(source: Source) -> list[Finding]:
    """Find functions of more than 70 lines, decorators not counted."""
    findings = []
    for node in ast.walk(source.tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            count = (node.end_lineno or node.lineno) - node.lineno + 1
            if count > FUNCTION_LINES_MAX:
                findings.append(source.finding(node, f"{node.name} has {count} lines; at most {FUNCTION_LINES_MAX}"))
    return findings
