"""Replacing functions everywhere they are already bound, and putting all of it back.

The main name is :class:`Patches`.  ``from time import sleep`` and ``def f(now=time.monotonic)``
keep the real function wherever they were written, so patching the defining module is not enough:
every loaded module is searched for bindings of the originals, in its globals and in the default
arguments of its functions and methods.  The search is remembered per module
(:class:`BindingIndex`), as opening a simulation must take milliseconds.

Left out: bindings inside closures, partial objects and C code.
"""

from __future__ import annotations

import functools
import sys
import types
import weakref
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Final

__all__ = ["BindingIndex", "Patches", "asking_module", "binding_index", "is_exempt", "is_tool", "named"]

_MISSING: Final = object()
#: Packages that must go on seeing real time and real threads while a simulation is open.
_EXEMPT: Final = frozenset((
    "_pytest", "pytest", "pluggy", "hypothesis", "_hypothesis_pytestplugin", "xdist", "execnet",
    "pytest_timeout", "pytest_randomly", "pytest_asyncio", "pytest_cov", "coverage", "pdb", "bdb",
    "faulthandler", "freezegun", "greenlet", "simpy", "tqsim", "pytest_tqsim", "debugpy",
    "_pydevd_bundle", "pydevd", "gc", "importlib", "_frozen_importlib", "_frozen_importlib_external",
    "_thread", "_weakref", "signal", "_signal",
))  # fmt: skip


class _ModuleBindings:
    """Where one module binds originals: global names, and functions with such defaults."""

    __slots__ = ("functions", "module", "names", "size")

    def __init__(self, module: types.ModuleType, names: tuple[str, ...], functions: tuple[Any, ...]) -> None:
        # Not its id: another module may come to lie at the same address.
        self.module = weakref.ref(module)
        self.size = len(module.__dict__)
        self.names = names
        self.functions = functions


class BindingIndex:
    """Remembers for each loaded module where it binds one of ``originals``.

    A module is searched again when it is another object or has gained or lost names.
    """

    def __init__(self, originals: tuple[Any, ...]) -> None:
        self._originals = originals  # keeps the ids below valid
        self.ids = frozenset(id(original) for original in originals)
        self._modules: dict[str, _ModuleBindings] = {}

    def bindings(self) -> list[tuple[dict[str, Any], _ModuleBindings]]:
        """Return the namespaces of all modules that bind an original, with where they do."""
        known = self._modules
        for name in known.keys() - sys.modules.keys():
            del known[name]
        found = []
        for name, module in list(sys.modules.items()):
            if not isinstance(module, types.ModuleType):
                continue
            namespace = module.__dict__
            entry = known.get(name)
            if entry is None or entry.module() is not module or entry.size != len(namespace):
                entry = known[name] = self._search(name, module, namespace)
            if entry.names or entry.functions:
                found.append((namespace, entry))
        return found

    def _search(self, name: str, module: types.ModuleType, namespace: dict[str, Any]) -> _ModuleBindings:
        if is_exempt(name):
            return _ModuleBindings(module, (), ())
        ids = self.ids
        names = tuple(key for key, value in namespace.items() if id(value) in ids)
        functions: list[Any] = []
        for value in list(namespace.values()):
            kind = type(value)  # isinstance() would evaluate the proxies that Celery's decorator returns
            if kind is types.FunctionType:
                if value.__module__ == name:
                    self.collect_functions(value, functions)
            elif issubclass(kind, type) and value.__module__ == name:
                for member in list(value.__dict__.values()):
                    self.collect_functions(_function_of(member), functions)
        return _ModuleBindings(module, names, tuple(functions))

    def collect_functions(self, function: Any, found: list[Any]) -> None:
        """Add ``function``, and what it wraps, to ``found`` where a default is an original."""
        while type(function) is types.FunctionType:
            defaults = (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values())
            if any(id(value) in self.ids for value in defaults) and function not in found:
                found.append(function)
            function = function.__dict__.get("__wrapped__")


@functools.cache
def is_exempt(module_name: str) -> bool:
    """Whether a module keeps the real functions while a simulation is open."""
    return module_name.split(".", 1)[0] in _EXEMPT


@functools.cache
def is_tool(module_name: str) -> bool:
    """Whether a module is a tool's, such as pytest-timeout's, and not tqsim's own."""
    return is_exempt(module_name) and not module_name.startswith("tqsim.")


def asking_module(*between: str) -> str:
    """The name of the module that asks a stand-in: the first caller's outside the modules ``between``."""
    frame = sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__") in between:
        frame = frame.f_back
    return frame.f_globals.get("__name__") or ""


@functools.cache
def binding_index(originals: tuple[Any, ...]) -> BindingIndex:
    """Return the one index of this interpreter for ``originals``.

    It remembers nothing but where loaded modules bind standard functions, which does not depend
    on any simulation.
    """
    return BindingIndex(originals)


def named(stand_in: Callable[..., Any], real: Callable[..., Any]) -> Callable[..., Any]:
    """Give a stand-in the name and the docstring of the real function, and return it."""
    stand_in.__name__ = stand_in.__qualname__ = real.__name__
    stand_in.__doc__ = real.__doc__
    return stand_in


class Patches:
    """Everything one simulation changed in the interpreter; :meth:`undo` puts it back."""

    def __init__(self) -> None:
        self._undo: list[Callable[[], None]] = []
        self._replaced: dict[int, Any] = {}
        self._modules_before: set[str] = set()

    def set(self, owner: Any, name: str, value: Any) -> None:
        """Set an attribute until :meth:`undo`."""
        # An object without names of its own, such as the cell of a closure, has the attribute itself.
        before = owner.__dict__.get(name, _MISSING) if hasattr(owner, "__dict__") else getattr(owner, name)
        setattr(owner, name, value)
        self._undo.append(lambda: _restore_attribute(owner, name, before))

    def set_item(self, mapping: MutableMapping[Any, Any], key: Any, value: Any) -> None:
        """Set an item of a mapping until :meth:`undo`."""
        before = mapping.get(key, _MISSING)
        mapping[key] = value
        self._undo.append(lambda: _restore_item(mapping, key, before))

    def set_element(self, items: list[Any], index: int, value: Any) -> None:
        """Set one element of a list until :meth:`undo`."""
        before = items[index]
        items[index] = value

        def restore() -> None:
            if index < len(items) and items[index] is value:
                items[index] = before

        self._undo.append(restore)

    def replace_function(self, module: types.ModuleType, name: str, original: Any, stand_in: Any) -> None:
        """Replace one function of an application in its module and wherever it was imported by name."""
        for other in list(sys.modules.values()):
            if not isinstance(other, types.ModuleType) or is_exempt(other.__name__):
                continue
            for key, value in list(other.__dict__.items()):
                if value is original:
                    self.set_item(other.__dict__, key, stand_in)
        if getattr(module, name) is original:
            self.set(module, name, stand_in)

    def on_undo(self, action: Callable[[], None]) -> None:
        """Call ``action()`` when everything is put back, in reverse order."""
        self._undo.append(action)

    def replace_everywhere(self, replacements: Mapping[Any, Any], extra_functions: list[Any]) -> None:
        """Put ``replacements[original]`` wherever a loaded module binds ``original``.

        ``extra_functions`` are functions no module binds, such as the bodies of Celery tasks.
        The keys must be hashable and the same for every simulation of an interpreter.
        """
        originals = tuple(replacements)
        by_id = {id(original): new for original, new in replacements.items()}
        index = binding_index(originals)
        self._modules_before = set(sys.modules)
        changed: list[tuple[dict[str, Any], str, Any]] = []
        functions: list[Any] = []
        for namespace, entry in index.bindings():
            for name in entry.names:
                value = namespace.get(name)
                new = by_id.get(id(value))
                if new is not None:
                    changed.append((namespace, name, value))
                    namespace[name] = new
            functions.extend(entry.functions)
        for function in extra_functions:
            index.collect_functions(function, functions)
        self._undo.append(lambda: _restore_names(changed))
        for function in functions:
            self._replace_defaults(function, by_id)
        self._replaced = {id(new): original for original, new in replacements.items()}

    def replace_in(self, functions: list[Any], replacements: Mapping[Any, Any]) -> None:
        """Replace what ``functions``, found later, have captured as default arguments."""
        found: list[Any] = []
        index = binding_index(tuple(replacements))
        for function in functions:
            index.collect_functions(function, found)
        by_id = {id(original): new for original, new in replacements.items()}
        for function in found:
            self._replace_defaults(function, by_id)

    def _replace_defaults(self, function: Any, by_id: dict[int, Any]) -> None:
        before, before_keywords = function.__defaults__, function.__kwdefaults__
        if before:
            function.__defaults__ = tuple(by_id.get(id(value), value) for value in before)
        if before_keywords:
            function.__kwdefaults__ = {key: by_id.get(id(value), value) for key, value in before_keywords.items()}

        def restore() -> None:
            function.__defaults__, function.__kwdefaults__ = before, before_keywords

        self._undo.append(restore)

    def undo(self) -> None:
        """Put everything back, also in modules that were imported in the meantime."""
        errors: list[Exception] = []
        while self._undo:
            try:
                self._undo.pop()()
            except Exception as error:  # noqa: BLE001 - the rest must be put back all the same
                errors.append(error)
        self._undo_in_new_modules()
        if errors:
            raise errors[0]

    def _undo_in_new_modules(self) -> None:
        for name, module in list(sys.modules.items()):
            if name in self._modules_before or not isinstance(module, types.ModuleType):
                continue
            self._restore_new_module(name, module.__dict__)
        self._replaced.clear()

    def _restore_new_module(self, name: str, namespace: dict[str, Any]) -> None:
        """Lead a module that was imported in the meantime back to the originals, captured defaults too."""
        for key, value in list(namespace.items()):
            if id(value) in self._replaced:
                namespace[key] = self._replaced[id(value)]
            elif issubclass(type(value), type) and value.__module__ == name:
                for member in list(value.__dict__.values()):
                    self._restore_defaults(_function_of(member))
            else:
                self._restore_defaults(value)

    def _restore_defaults(self, function: Any) -> None:
        originals = self._replaced
        while type(function) is types.FunctionType:
            values, keywords = function.__defaults__, function.__kwdefaults__
            if values:
                function.__defaults__ = tuple(originals.get(id(value), value) for value in values)
            if keywords:
                function.__kwdefaults__ = {key: originals.get(id(value), value) for key, value in keywords.items()}
            function = function.__dict__.get("__wrapped__")


def _function_of(member: Any) -> Any:
    """The function behind a member of a class: of a static or class method, or of a property's getter."""
    if isinstance(member, (staticmethod, classmethod)):
        return member.__func__
    return member.fget if isinstance(member, property) else member


def _restore_attribute(owner: Any, name: str, before: Any) -> None:
    if before is _MISSING:
        delattr(owner, name)
    else:
        setattr(owner, name, before)


def _restore_item(mapping: MutableMapping[Any, Any], key: Any, before: Any) -> None:
    if before is _MISSING:
        mapping.pop(key, None)
    else:
        mapping[key] = before


def _restore_names(changed: list[tuple[dict[str, Any], str, Any]]) -> None:
    for namespace, name, value in reversed(changed):
        namespace[name] = value
