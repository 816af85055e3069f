"""A real Redis server of the tests' own, on a loopback port: :class:`RealRedis`."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

__all__ = ["RealRedis"]

_PATIENCE_S: Final = 10.0
_HOST: Final = "127.0.0.1"
_SETTINGS: Final = {
    "none": ("--save", "", "--appendonly", "no"),
    "rdb": ("--save", "3600 1", "--appendonly", "no"),
    "aof": ("--save", "", "--appendonly", "yes"),
}


class RealRedis:
    """A ``redis-server``; a context manager.

    ``persistence`` is "none", "rdb" or "aof", as of :class:`tqsim.Redis`, with ``folder`` for the files.
    """

    def __init__(self, persistence: str = "none", folder: Path | None = None) -> None:
        self.port = 0
        self._settings = ["--dir", str(folder or tempfile.gettempdir()), *_SETTINGS[persistence]]
        self._process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def missing() -> str | None:
        """Return why there is none, or ``None``."""
        if shutil.which("redis-server") is None:
            return "redis-server is not installed (Debian: apt install redis-server)"
        return None

    def __enter__(self) -> Self:
        with socket.socket() as probe:
            probe.bind((_HOST, 0))
            self.port = probe.getsockname()[1]
        self._start()
        return self

    def _start(self) -> None:
        command = ["redis-server", "--port", str(self.port), "--bind", _HOST, *self._settings]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        begin = time.monotonic()
        while True:
            try:
                self.connect().close()
            except OSError:
                if time.monotonic() > begin + _PATIENCE_S:
                    raise
                time.sleep(0.02)
            else:
                return

    def restart(self) -> None:
        """Stop it in good order, which writes its file if it has one, and start it again."""
        self._stop()
        self._start()

    def _stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()

    def connect(self) -> Any:
        """Return a connected socket."""
        return socket.create_connection((_HOST, self.port))

    def flush(self) -> None:
        """Forget every key."""
        with socket.create_connection((_HOST, self.port)) as sock:
            sock.sendall(b"FLUSHALL\r\nSCRIPT FLUSH\r\n")
            sock.recv(100)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()
