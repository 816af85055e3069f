"""Redis requests: bytes to commands, and what is known of a command before it runs.

The main names are :func:`read_request` and :class:`Plans`.  Arguments are converted and keys are looked up
as fakeredis's own signatures say (fakeredis/_commands.py, ``Signature.apply``); only what is the same each
time, which arguments are keys and which are converted, is worked out once.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

from fakeredis import _msgs as messages
from fakeredis._commands import COMMANDS_WITH_SUB, SUPPORTED_COMMANDS, Key, Signature
from fakeredis._core import CommandItem, Database
from fakeredis._helpers import SimpleError

from tqsim.broker.redis.commands import EXTRA_COMMANDS, LISTS_OR_NOTHING, SETS
from tqsim.broker.redis.natives import NATIVES
from tqsim.broker.redis.reading import refuse_count
from tqsim.broker.redis.refusals import COUNTS, PAIRED, REFUSALS, unpaired

__all__ = ["CommandPlan", "Plans", "read_request"]

_ARRAY: Final = 0x2A
_BULK: Final = 0x24
_NEWLINE: Final = b"\r\n"
_ARGUMENTS_SHOWN: Final = 128


def read_request(data: bytes, position: int) -> tuple[list[bytes], int] | None:
    """Return the next request, and where it ends; ``None`` when it is not complete yet.

    Raises fakeredis's ``SimpleError`` for what is not RESP.  A line that begins no array is an inline
    command (networking.c, ``processInlineBuffer``).
    """
    find = data.find
    end = find(b"\n", position)
    if end < 0:
        return None
    if data[position] != _ARRAY:
        return data[position:end].split(), end + 1
    complaint = "ERR Protocol error: invalid multibulk length"
    try:
        count = int(data[position + 1 : end])
        complaint = "ERR Protocol error: invalid bulk length"
        fields = []
        position = end + 1
        size = len(data)
        for _ in range(count):
            end = find(_NEWLINE, position)
            if end < 0:
                return None
            if data[position] != _BULK:
                raise SimpleError(f"ERR Protocol error: expected '$', got '{chr(data[position])}'")
            begin = end + 2
            end = begin + int(data[position + 1 : end])
            position = end + 2
            if position > size:
                return None
            fields.append(data[begin:end])
    except ValueError:
        raise SimpleError(complaint) from None
    return fields, position


class CommandPlan:
    """One command with one number of arguments: how they are converted, and which are keys."""

    __slots__ = (
        "_checked",
        "_converted",
        "_creates",
        "_keys",
        "forbids_script",
        "function_name",
        "is_immediate",
        "is_set",
        "keeps_empty",
        "keeps_reply",
        "lacks_list",
        "name",
        "native",
        "refusal",
        "signature",
        "takes_bytes",
    )  # fmt: skip

    def __init__(self, signature: Signature, count: int) -> None:
        types: list[Any] = list(signature.fixed[:count])
        repeat = signature.repeat
        if repeat:
            types.extend(repeat[index % len(repeat)] for index in range(count - len(types)))
        keys = [(index, kind) for index, kind in enumerate(types) if isinstance(kind, Key)]
        self.signature = signature
        self.name = signature.name
        self.native = NATIVES.get((signature.name, count))
        #: Raises what the real server says of arguments that it does not take.
        self.refusal = REFUSALS.get(signature.name) if self.native is None else None
        self.function_name = signature.func_name
        self.forbids_script = messages.FLAG_NO_SCRIPT in signature.flags
        #: Never queued by MULTI.
        self.is_immediate = messages.FLAG_TRANSACTION in signature.flags
        self.keeps_empty = messages.FLAG_LEAVE_EMPTY_VAL in signature.flags
        self.keeps_reply = messages.FLAG_SKIP_CONVERT_TO_RESP2 in signature.flags
        self.is_set = self.name in SETS or (self.name == "spop" and count > 1)
        #: Its nothing is a list that is not there.
        self.lacks_list = self.name in LISTS_OR_NOTHING or (self.name in ("lpop", "rpop") and count > 1)
        self._creates = messages.FLAG_DO_NOT_CREATE not in signature.flags
        self._keys = keys
        self._checked = any(kind.missing_return is not Key.UNSPECIFIED for _, kind in keys)
        self._converted = [
            (index, kind) for index, kind in enumerate(types) if not isinstance(kind, Key) and kind is not bytes
        ]
        #: No argument is a key to be looked up or a value to be converted.
        self.takes_bytes = not keys and not self._converted

    def apply(self, arguments: list[Any], database: Database) -> tuple[Any] | tuple[list[Any], list[CommandItem]]:
        """Return converted arguments and the items of the keys, or one value that is the reply already."""
        values = list(arguments)
        if self._checked:
            self._convert_in_order(values, database)
            for index, kind in self._keys:
                if kind.missing_return is not Key.UNSPECIFIED and values[index] not in database:
                    return (kind.missing_return,)
        else:
            for index, kind in self._converted:
                values[index] = kind.decode(values[index])
        items = []
        for index, kind in self._keys:
            item = database.get(values[index])
            default = None
            wanted = kind.type_
            if wanted is not None:
                if item is None:
                    if self._creates and wanted is not bytes:
                        default = wanted()
                elif type(item.value) is not wanted:
                    raise SimpleError(messages.WRONGTYPE_MSG)
            values[index] = CommandItem(values[index], database, item, default=default)
            items.append(values[index])
        return values, items

    def _convert_in_order(self, values: list[Any], database: Database) -> None:
        """Convert, unless a missing key comes first: then the reply does not depend on the rest."""
        keys = dict(self._keys)
        for index, kind in sorted([*self._keys, *self._converted], key=lambda pair: pair[0]):
            if index not in keys:
                values[index] = kind.decode(values[index])
            elif kind.missing_return is not Key.UNSPECIFIED and values[index] not in database:
                return


class Plans:
    """The plans of one server, by command and number of arguments."""

    def __init__(self, version: tuple[int, ...]) -> None:
        self._version = version
        self._by_shape: dict[tuple[str, int], CommandPlan] = {}
        self._by_fields: dict[tuple[bytes, int], CommandPlan] = {}

    def find(self, fields: list[bytes]) -> tuple[CommandPlan, list[bytes]]:
        """Return the plan of a request, and its arguments.

        Raises fakeredis's ``SimpleError`` for an unknown command or a wrong number of arguments.
        """
        plan = self._by_fields.get((fields[0], len(fields)))
        if plan is not None:
            return plan, fields[1:]
        name = fields[0].decode(errors="replace").lower()
        if name in COMMANDS_WITH_SUB and len(fields) > 1:
            full = f"{name} {fields[1].decode(errors='replace').lower()}"
            return self.of(_signature(full, fields), len(fields) - 2), fields[2:]
        plan = self.of(_signature(name, fields), len(fields) - 1)
        self._by_fields[(fields[0], len(fields))] = plan
        return plan, fields[1:]

    def of(self, signature: Signature, count: int) -> CommandPlan:
        """Return the plan of a command with ``count`` arguments; raises ``SimpleError`` when it takes others."""
        shape = (signature.name, count)
        plan = self._by_shape.get(shape)
        if plan is None:
            is_unpaired = self._require_count(signature, count)
            plan = self._by_shape[shape] = CommandPlan(signature, count)
            if is_unpaired:
                plan.refusal = partial(unpaired, plan.name)
        return plan

    def _require_count(self, signature: Signature, count: int) -> bool:
        """Raise ``SimpleError`` unless a command takes so many; return whether it will see that they are no pairs."""
        name = signature.name
        least, most = COUNTS.get(name, (0, None))
        is_unpaired = False
        try:
            signature.check_arity([b""] * count, self._version)
        except SimpleError:
            is_unpaired = name in PAIRED and count > len(signature.fixed)
            if not is_unpaired:
                raise refuse_count(name) from None
        if count < least or (most is not None and count > most):
            raise refuse_count(name)
        return is_unpaired


def _signature(name: str, fields: list[bytes]) -> Signature:
    signature = EXTRA_COMMANDS.get(name) or SUPPORTED_COMMANDS.get(name)
    if signature is None or "redis" not in signature.server_types:
        raise _unknown(name, fields)
    return signature


def _unknown(name: str, fields: list[bytes]) -> SimpleError:
    """The error of an unknown command or subcommand (server.c, ``commandCheckExistence``)."""
    if len(fields) == 1 and name in COMMANDS_WITH_SUB:
        return SimpleError(f"ERR wrong number of arguments for '{name}' command")
    if " " in name:
        return SimpleError(f"ERR unknown subcommand '{_shown(fields[1])}'. Try {_shown(fields[0]).upper()} HELP.")
    shown = ""
    for field in fields[1:]:
        if len(shown) >= _ARGUMENTS_SHOWN:
            break
        shown += f"'{_shown(field[: _ARGUMENTS_SHOWN - len(shown)])}' "
    called = _shown(fields[0][:_ARGUMENTS_SHOWN])
    return SimpleError(f"ERR unknown command '{called}', with args beginning with: {shown}")


def _shown(text: bytes) -> str:
    return text.decode(errors="replace").replace("\r", " ").replace("\n", " ")
