"""The public surface: what ``__all__`` must list, and what must have a docstring."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final, TypeAlias

from tests.repo.sources import Finding, Source

__all__ = [
    "exported_names",
    "inexact_all",
    "missing_docstrings",
    "missing_module_docstring",
    "package_leaves_out",
    "unsorted_all",
]

_Definition: TypeAlias = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
_DEFINITIONS: Final = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_TINY_MODULE_LINES: Final = 5
# A setter or an overload is described where the property or the function is.
_DESCRIBED_ELSEWHERE: Final = frozenset({"setter", "deleter", "overload", "override"})


def missing_module_docstring(source: Source) -> list[Finding]:
    """Find a module of more than five lines that does not say what it is."""
    if len(source.lines) <= _TINY_MODULE_LINES or ast.get_docstring(source.tree):
        return []
    return [Finding(source.path, 1, "no module docstring")]


def exported_names(source: Source) -> list[str] | None:
    """Return the names in ``__all__``, or None when the module has none."""
    for node in source.tree.body:
        if "__all__" in _bound_by(node) and isinstance(node, (ast.Assign, ast.AnnAssign)):
            return [] if node.value is None else list(ast.literal_eval(node.value))
    return None


def missing_docstrings(source: Source) -> list[Finding]:
    """Find public classes and functions, and public methods of such classes, without docstring.

    A module with ``__all__`` says itself what is public; in another, what has no underscore is.
    """
    exported = exported_names(source)
    return [
        source.finding(node, f"{name} has no docstring")
        for top in source.tree.body
        if isinstance(top, _DEFINITIONS)
        if (not top.name.startswith("_") if exported is None else top.name in exported)
        for name, node in _described(top, top.name)
        if not ast.get_docstring(node)
    ]


def inexact_all(source: Source) -> list[Finding]:
    """Find public definitions that a module's ``__all__`` leaves out, and names in it that are not there."""
    exported = exported_names(source)
    if exported is None:
        return []
    findings = [
        source.finding(node, f"{node.name} is public but not in __all__")
        for node in source.tree.body
        if isinstance(node, _DEFINITIONS) and not node.name.startswith("_") and node.name not in exported
    ]
    bound = {name for node in _module_statements(source.tree) for name in _bound_by(node)}
    if "__getattr__" not in bound:  # which may bind any name later
        absent = [name for name in exported if name not in bound]
        findings += [Finding(source.path, 1, f"__all__ lists {name}, which is not there") for name in absent]
    return findings


def package_leaves_out(source: Source) -> list[Finding]:
    """Find public names that a package's ``__init__`` takes from tqsim, or defines, but does not list."""
    exported = exported_names(source) or []
    findings = []
    for node in source.tree.body:
        foreign = isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] != "tqsim"
        names = [] if foreign or isinstance(node, ast.Import) else _bound_by(node)
        findings += [
            source.finding(node, f"{name} is public but not in __all__")
            for name in names
            if not name.startswith("_") and name not in exported
        ]
    return findings


def unsorted_all(source: Source) -> list[Finding]:
    """Find an ``__all__`` that is not in order: constants, then classes, then the rest (as ruff sorts)."""
    exported = exported_names(source) or []
    if exported == sorted(exported, key=_sort_key):
        return []
    return [Finding(source.path, 1, "__all__ is not sorted")]


def _sort_key(name: str) -> tuple[int, str]:
    if name.isupper() and len(name) > 1:
        return 0, name
    return (1 if name[:1].isupper() else 2), name


def _described(node: _Definition, name: str) -> Iterator[tuple[str, _Definition]]:
    if not _decorator_names(node) & _DESCRIBED_ELSEWHERE:
        yield name, node
    if isinstance(node, ast.ClassDef):
        for child in node.body:
            if isinstance(child, _DEFINITIONS) and not child.name.startswith("_"):
                yield from _described(child, f"{name}.{child.name}")


def _decorator_names(node: _Definition) -> set[str]:
    names = set()
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Attribute):
            names.add(decorator.attr)
        elif isinstance(decorator, ast.Name):
            names.add(decorator.id)
    return names


def _module_statements(tree: ast.Module) -> Iterator[ast.stmt]:
    """Yield the statements that run at import, those under if, try and with included."""
    waiting: list[ast.stmt] = list(tree.body)
    while waiting:
        node = waiting.pop(0)
        yield node
        if not isinstance(node, _DEFINITIONS):
            waiting.extend(child for child in _children(node) if isinstance(child, ast.stmt))


def _children(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the parts of a statement, the statements of its handlers and cases included."""
    for child in ast.iter_child_nodes(node):
        yield child
        if isinstance(child, (ast.ExceptHandler, ast.match_case)):
            yield from ast.iter_child_nodes(child)


def _bound_by(node: ast.stmt) -> list[str]:
    if isinstance(node, _DEFINITIONS):
        return [node.name]
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return [alias.asname or alias.name.split(".")[0] for alias in node.names]
    targets: list[ast.expr] = []
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AnnAssign):
        targets = [node.target]
    return [name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name)]
