"""From tables to structs, with an error that names place, key, value and what was expected.

The main name is :func:`decode`.  ``msgspec`` converts each value; the walk over tables is ours, because
its errors leave out the names of tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final, TypeVar, get_args, get_origin

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import fields

from tqsim.errors import UsageError
from tqsim.scenario.lines import KeyPath
from tqsim.scenario.places import Places, dotted, nearest
from tqsim.scenario.written import written

__all__ = ["decode"]

_S = TypeVar("_S", bound=Struct)
_PLAIN: Final = {str: "text", bool: "true or false", int: "a whole number", float: "a number"}


def decode(kind: type[_S], table: Mapping[str, Any], path: KeyPath, places: Places) -> _S:
    """Return ``table`` as a struct.

    Raises :class:`~tqsim.UsageError` for an unknown key, a missing one and a wrong value.
    """
    known = {item.encode_name: item for item in fields(kind)}
    tag_field = kind.__struct_config__.tag_field
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key == tag_field:
            continue
        if key not in known:
            names = [*known, tag_field] if tag_field else list(known)
            here = (*path, key)
            raise places.error(here, f"unknown key {dotted(here)!r}; {nearest(key, names)}")
        values[known[key].name] = _value(known[key].type, value, (*path, key), places)
    for key, item in known.items():
        if item.required and item.name not in values:
            expected = _described(_members(item.type))
            where = f" in {dotted(path)}" if path else ""
            raise places.error(path, f"{key!r} is missing{where}; expected {expected}.")
    return kind(**values)


def _value(wanted: Any, value: Any, path: KeyPath, places: Places) -> Any:
    members = _members(wanted)
    for member in members:
        arguments = get_args(member)
        if get_origin(member) is dict and _holds_structs(arguments[1]):
            table = _table(value, path, places)
            return {key: _value(arguments[1], item, (*path, key), places) for key, item in table.items()}
    structs = [member for member in members if _is_struct(member)]
    if structs and (isinstance(value, dict) or len(structs) == len(members)):
        table = _table(value, path, places)
        return decode(_chosen(structs, table, path, places), table, path, places)
    return _plain([member for member in members if not _is_struct(member)], value, path, places)


def _table(value: Any, path: KeyPath, places: Places) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise _wrong(path, value, "a table", places)
    return value


def _chosen(structs: list[Any], table: Mapping[str, Any], path: KeyPath, places: Places) -> Any:
    """Return the struct whose tag the table has."""
    tag_field = structs[0].__struct_config__.tag_field
    if tag_field is None:
        return structs[0]
    by_tag = {str(member.__struct_config__.tag): member for member in structs}
    names = ", ".join(f'"{tag}"' for tag in sorted(by_tag))
    if tag_field not in table:
        raise places.error(path, f"{tag_field!r} is missing in {dotted(path)}; expected one of: {names}.")
    tag = table[tag_field]
    if tag not in by_tag:
        advice = nearest(str(tag), by_tag)
        guess = f" {advice[0].upper()}{advice[1:]}" if advice.endswith("?") else ""
        raise places.error(
            (*path, tag_field),
            f"{dotted((*path, tag_field))}={written(tag)} is unknown; expected one of: {names}.{guess}",
        )
    return by_tag[tag]


def _plain(members: list[Any], value: Any, path: KeyPath, places: Places) -> Any:
    for member in members:
        try:
            converted = msgspec.convert(value, member)
        except msgspec.ValidationError:
            continue
        if _is_verified(member, converted, path):
            return converted
    raise _wrong(path, value, _described(members), places)


def _is_verified(member: Any, value: Any, path: KeyPath) -> bool:
    """Whether a value passes the closer look that its kind asks for.

    What the look itself would say is for Python; the kind's description is for the reader of a file.
    """
    looks = [meta.extra["verify"] for meta in _metas(member) if meta.extra and meta.extra.get("verify")]
    try:
        for verify in looks:
            verify(value, dotted(path))
    except UsageError:
        return False
    return True


def _wrong(path: KeyPath, value: Any, expected: str, places: Places) -> UsageError:
    return places.error(path, f"{dotted(path)}={written(value)} is wrong; expected {expected}.")


def _described(members: list[Any]) -> str:
    words: list[str] = []
    for member in members:
        described = [meta.description for meta in _metas(member) if meta.description]
        if described:
            words += described
        elif _is_struct(member):
            tag = member.__struct_config__.tag_field
            words.append(f"a table with {tag!r}" if tag else "a table")
        else:
            words.append(_PLAIN.get(member, str(member)))
    return " or ".join(dict.fromkeys(words))


def _members(wanted: Any) -> list[Any]:
    """Return the alternatives of a type, without None, which TOML does not know."""
    if get_origin(wanted) is Annotated or not _is_union(wanted):
        return [wanted]
    return [member for member in get_args(wanted) if member is not type(None)]


def _is_union(wanted: Any) -> bool:
    return get_origin(wanted) not in (None, dict, list) and not isinstance(wanted, type)


def _holds_structs(wanted: Any) -> bool:
    return any(_is_struct(member) for member in _members(wanted))


def _is_struct(member: Any) -> bool:
    return isinstance(member, type) and issubclass(member, Struct)


def _metas(member: Any) -> list[Meta]:
    return [item for item in get_args(member)[1:] if isinstance(item, Meta)]
