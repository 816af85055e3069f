"""Lua scripts with the globals and the errors of Redis 7.0: :class:`ScriptCommands`.

fakeredis runs the scripts.  Added here are ``redis.sha1hex``, the protection of globals, and the texts of errors
(script_lua.c, ``luaCallFunction`` and ``luaError``), which name the script and the line.  Left out: an error that is a
table of the script's own, and ``redis.pcall`` of commands that Lua's own ``pcall`` has caught.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from types import MappingProxyType
from typing import Any, Final

from fakeredis import _msgs as messages
from fakeredis._helpers import SimpleError
from fakeredis._socket import FakeSocket

__all__ = ["ScriptCommands"]

#: What a script is told, and what the real server says there.
_TEXTS: Final = MappingProxyType(
    {messages.COMMAND_IN_SCRIPT_MSG: "ERR This Redis command is not allowed from script"}
)  # fmt: skip
_UNKNOWN: Final = "ERR Unknown Redis command called from script"
_NO_COMMAND: Final = "ERR Please specify at least one argument for this redis lib call"
_NO_TEXT: Final = "ERR wrong number of arguments"
#: How fakeredis, and lupa under it, tell of an error of Lua.
_RAISED: Final = re.compile(r"ERR Error running script \(call to f_\w+\): @user_script:\?: (.*)", re.DOTALL)
_UNCOMPILED: Final = "error loading code: "
_CHUNK: Final = '[string "<python>"]'
_NAME: Final = "user_script"
_LINE: Final = re.compile(rf"{_NAME}:(\d+): ")
#: What scripts share cannot be added to, and what is not in it is no nil (script_lua.c, ``luaSetErrorMetatable``).
_PROTECTION: Final = b"""
    setmetatable(_G, {
        __newindex = function() error('Attempt to modify a readonly table', 2) end,
        __index = function(_, name)
            error("Script attempted to access nonexistent global variable '" .. tostring(name) .. "'", 2)
        end,
    })
"""


class ScriptCommands(FakeSocket):
    """EVAL and its kin."""

    def eval(self, script: bytes, numkeys: int, *keys_and_args: bytes) -> Any:
        """EVAL."""
        self._script_sha = hashlib.sha1(script).hexdigest()
        try:
            return super().eval(script, numkeys, *keys_and_args)
        except SimpleError as error:
            found = _RAISED.fullmatch(error.value)
            if found is None:
                raise
            raise SimpleError(self._of_lua(found[1])) from None

    def evalsha(self, sha1: bytes, numkeys: int, *keys_and_args: bytes) -> Any:
        """EVALSHA, whose number of keys is looked at before there is a script."""
        if numkeys > len(keys_and_args):
            raise SimpleError(messages.TOO_MANY_KEYS_MSG)
        if numkeys < 0:
            raise SimpleError(messages.NEGATIVE_KEYS_MSG)
        return super().evalsha(sha1.lower(), numkeys, *keys_and_args)

    def _of_lua(self, text: str) -> str:
        text = text.partition("\nstack traceback")[0].replace(_CHUNK, _NAME)
        if text.startswith(_UNCOMPILED):
            return f"ERR Error compiling script (new function): {text.removeprefix(_UNCOMPILED)}"
        found = _LINE.match(text)
        return self._located(f"ERR {text}", found[1] if found else "1")

    def _located(self, text: str, line: Any) -> str:
        return f"{text} script: {self._script_sha}, on @{_NAME}:{line}."

    def _get_server_runtime(self, server: Any) -> Any:
        is_new = not hasattr(server, "_lua_runtime")
        runtime = super()._get_server_runtime(server)
        if is_new:
            library = runtime.globals()[b"redis"]
            library[b"sha1hex"] = self._in_script(runtime, server, _sha1hex)
            library[b"call"] = self._in_script(runtime, server, _call)
            runtime.execute(_PROTECTION)
        return runtime

    def _in_script(self, runtime: Any, server: Any, action: Callable[..., Any]) -> Callable[..., Any]:
        """Let a script call ``action(session, runtime, *args)``, and see its errors as those of a line of its own."""
        getinfo = runtime.eval(b"debug.getinfo")

        def call(*args: Any) -> Any:
            session = server._lua_current_socket[0]
            try:
                return action(session, runtime, *args)
            except SimpleError as error:
                line = getinfo(2, b"l")[b"currentline"]  # 0 is getinfo, 1 this function
                raise SimpleError(session._located(error.value, line)) from None

        return call

    def _lua_redis_call(self, lua_runtime: Any, expected_globals: Any, op: bytes, *args: Any) -> Any:
        """``redis.call``, and what ``redis.pcall`` calls."""
        try:
            return super()._lua_redis_call(lua_runtime, expected_globals, op, *args)
        except SimpleError as error:
            if error.value.startswith("ERR unknown "):
                raise SimpleError(_UNKNOWN) from None
            raise SimpleError(_TEXTS.get(error.value, error.value)) from None


def _call(session: Any, runtime: Any, *args: Any) -> Any:
    if not args:
        raise SimpleError(_NO_COMMAND)
    return session._lua_redis_call(runtime, session._server._lua_expected_globals, *args)


def _sha1hex(session: Any, runtime: Any, *args: Any) -> bytes:
    if len(args) != 1:
        raise SimpleError(_NO_TEXT)
    value = args[0]
    text = value if isinstance(value, bytes) else (b"%.14g" % value)
    return hashlib.sha1(text).hexdigest().encode()
