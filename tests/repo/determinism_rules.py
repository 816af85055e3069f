"""Chance, time and state: what would make two runs of one seed differ.

The rules read imports and resolve aliases, so that ``from time import sleep as wait`` is found too.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from tests.repo.sources import Finding, Source

__all__ = ["dotted_name", "imported_names", "module_state", "real_time_and_chance"]

_FORBIDDEN_IMPORTS: Final = frozenset({"random", "secrets"})
_FORBIDDEN_CALLS: Final = frozenset(
    {
        "datetime.date.today",
        "datetime.datetime.now",
        "datetime.datetime.today",
        "datetime.datetime.utcnow",
        "os.urandom",
        "time.sleep",
        "uuid.uuid1",
        "uuid.uuid4",
    }
)
_CONTAINERS: Final = frozenset(
    {
        "collections.Counter",
        "collections.OrderedDict",
        "collections.defaultdict",
        "collections.deque",
        "dict",
        "itertools.count",
        "list",
        "set",
        "threading.local",
        "weakref.WeakKeyDictionary",
        "weakref.WeakSet",
        "weakref.WeakValueDictionary",
    }
)
_FUNCTIONS: Final = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_LITERALS: Final = (ast.List, ast.Dict, ast.Set, ast.ListComp, ast.DictComp, ast.SetComp)
_MUTATORS: Final = frozenset(
    {
        "add",
        "append",
        "appendleft",
        "clear",
        "discard",
        "extend",
        "insert",
        "pop",
        "popitem",
        "remove",
        "setdefault",
        "sort",
        "update",
    }
)


def real_time_and_chance(source: Source) -> list[Finding]:
    """Find imports of ``random`` and uses of the wall clock; imports for type checkers are fine."""
    names = imported_names(source.tree)
    findings: list[Finding] = []
    for node in _without_type_checking(source.tree):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names if alias.name in _FORBIDDEN_IMPORTS]
        elif isinstance(node, ast.ImportFrom):
            found = [str(node.module)] if node.module in _FORBIDDEN_IMPORTS else []
        elif isinstance(node, (ast.Attribute, ast.Name)):
            name = dotted_name(node, names)
            found = [name] if name in _FORBIDDEN_CALLS else []
        else:
            found = []
        findings.extend(source.finding(node, f"{name} is for tqsim.kernel alone") for name in found)
    return findings


def module_state(source: Source) -> list[Finding]:
    """Find state that outlives a simulation.

    That is: a container bound to a module or class without being a constant (upper case or Final),
    a constant container that a function changes, and ``global``.  A table may be filled while the
    module is imported, by a private function that nothing calls later.
    """
    names = imported_names(source.tree)
    findings = []
    containers = set()
    for node in _bindings_at_import(source.tree):
        for target in _targets_of_container(node, names):
            containers.add(target)
            if not _is_constant(node, target):
                findings.append(source.finding(node, f"{target} is mutable and not Final"))
    for changing in _run_after_import(source.tree):
        if isinstance(changing, ast.Global):
            findings.append(source.finding(changing, f"global {', '.join(changing.names)}"))
        changed = _changed_name(changing)
        if changed in containers:
            findings.append(source.finding(changing, f"{changed} belongs to the module and is changed"))
    return findings


def imported_names(tree: ast.Module) -> dict[str, str]:
    """Return what each imported name stands for: ``{"wait": "time.sleep"}``."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.split(".")[0]
                names[alias.asname or top] = alias.name if alias.asname else top
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names


def dotted_name(node: ast.expr, names: dict[str, str]) -> str:
    """Return the full name that an expression such as ``dt.now`` stands for, or an empty text."""
    if isinstance(node, ast.Name):
        return names.get(node.id, node.id)
    if isinstance(node, ast.Attribute):
        owner = dotted_name(node.value, names)
        return f"{owner}.{node.attr}" if owner else ""
    return ""


def _without_type_checking(tree: ast.Module) -> Iterator[ast.AST]:
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        yield node
        children = list(ast.iter_child_nodes(node))
        if isinstance(node, ast.If) and dotted_name(node.test, {}).endswith("TYPE_CHECKING"):
            children = list(node.orelse)
        waiting.extend(children)


def _bindings_at_import(tree: ast.Module) -> Iterator[ast.stmt]:
    """Yield the assignments that run when the module is imported, those in class bodies included."""
    waiting: list[tuple[ast.AST, bool]] = [(child, False) for child in tree.body]
    while waiting:
        node, in_class = waiting.pop(0)
        if isinstance(node, _FUNCTIONS):
            continue
        # An annotated name in a class is a field of a dataclass or a Struct: a default per instance.
        if isinstance(node, ast.Assign) or (isinstance(node, ast.AnnAssign) and not in_class):
            yield node
        in_class = in_class or isinstance(node, ast.ClassDef)
        waiting.extend((child, in_class) for child in ast.iter_child_nodes(node))


def _run_after_import(tree: ast.Module) -> Iterator[ast.AST]:
    """Yield the nodes in function bodies, but not in those that only the module itself calls."""
    fillers = _table_fillers(tree)
    waiting: list[tuple[ast.AST, bool]] = [(tree, False)]
    while waiting:
        node, in_function = waiting.pop()
        if node in fillers:
            continue
        if in_function:
            yield node
        in_function = in_function or isinstance(node, _FUNCTIONS)
        waiting.extend((child, in_function) for child in ast.iter_child_nodes(node))


def _table_fillers(tree: ast.Module) -> list[ast.stmt]:
    """Return the private functions that the module calls while it is imported, and nobody later."""
    functions = [node for node in ast.walk(tree) if isinstance(node, _FUNCTIONS)]
    later = {node.id for function in functions for node in ast.walk(function) if isinstance(node, ast.Name)}
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return [
        node
        for node in tree.body
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.name.startswith("_")
        and node.name in used - later
    ]


def _targets_of_container(node: ast.stmt, names: dict[str, str]) -> list[str]:
    if not isinstance(node, (ast.Assign, ast.AnnAssign)) or node.value is None:
        return []
    if not _makes_container(node.value, names):
        return []
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _makes_container(value: ast.expr, names: dict[str, str]) -> bool:
    if isinstance(value, _LITERALS):
        return True
    return isinstance(value, ast.Call) and dotted_name(value.func, names) in _CONTAINERS


def _is_constant(node: ast.stmt, name: str) -> bool:
    if name.startswith("__") and name.endswith("__"):
        return True
    if isinstance(node, ast.AnnAssign):
        annotation = node.annotation.value if isinstance(node.annotation, ast.Subscript) else node.annotation
        if dotted_name(annotation, {}).split(".")[-1] == "Final":
            return True
    return name.isupper()


def _changed_name(node: ast.AST) -> str:
    """Return the plain name whose contents this node changes, or an empty text."""
    owner: ast.expr | None = None
    if isinstance(node, ast.Subscript) and isinstance(node.ctx, (ast.Store, ast.Del)):
        owner = node.value
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _MUTATORS:
        owner = node.func.value
    return owner.id if isinstance(owner, ast.Name) else ""
