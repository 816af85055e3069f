"""A real Redis server of the tests' own, on a loopback port: :class:`RealRedis`."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from types import TracebackType
from typing import Any, Final, Self

__all__ = ["RealRedis"]

_PATIENCE_S: Final = 10.0
_HOST: Final = "127.0.0.1"


class RealRedis:
    """A ``redis-server`` that keeps nothing on disk; a context manager."""

    def __init__(self) -> None:
        self.port = 0
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
        command = ["redis-server", "--port", str(self.port), "--bind", _HOST, "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(
            [*command, "--dir", tempfile.gettempdir()], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        begin = time.monotonic()
        while True:
            try:
                self.connect().close()
            except OSError:
                if time.monotonic() > begin + _PATIENCE_S:
                    raise
                time.sleep(0.02)
            else:
                return self

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
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
