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
#: What a server is started with to keep its data over an orderly shutdown (redis.conf, ``save``, ``appendonly``).
_KEEPING: Final = {
    "none": ("--save", "", "--appendonly", "no"),
    "rdb": ("--save", "3600 1", "--appendonly", "no"),
    "aof": ("--save", "", "--appendonly", "yes"),
}


class RealRedis:
    """A ``redis-server`` with a folder of its own, which keeps nothing unless told; a context manager."""

    def __init__(self) -> None:
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._folder = tempfile.TemporaryDirectory(prefix="conformance-redis-")

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
        self.start()
        return self

    def start(self, persistence: str = "none") -> None:
        """Start the process, with what its folder holds; ``persistence`` is ``none``, ``rdb`` or ``aof``."""
        command = ["redis-server", "--port", str(self.port), "--bind", _HOST, *_KEEPING[persistence]]
        self._process = subprocess.Popen(
            [*command, "--dir", self._folder.name], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        begin = time.monotonic()
        while not self._answers():
            if time.monotonic() > begin + _PATIENCE_S:
                raise TimeoutError(f"redis-server does not answer on port {self.port}")
            time.sleep(0.005)

    def _answers(self) -> bool:
        """Whether it accepts connections and has loaded what it kept."""
        try:
            with self.connect() as sock:
                sock.sendall(b"PING\r\n")
                return bool(sock.recv(100) == b"+PONG\r\n")
        except OSError:
            return False

    def stop(self) -> None:
        """Shut it down in order, as SIGTERM does."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def kill(self) -> None:
        """End it as a crash does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def forget_files(self) -> None:
        """Remove what it has kept."""
        for path in Path(self._folder.name).iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()

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
        self.stop()
        self._folder.cleanup()
