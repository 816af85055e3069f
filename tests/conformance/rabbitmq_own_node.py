"""A RabbitMQ node of the tests' own, which they may stop: :class:`OwnNode`."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

__all__ = ["OwnNode"]

_HOST: Final = "127.0.0.1"
_PATIENCE_S: Final = 90.0
_SCRIPTS: Final = "/usr/lib/rabbitmq/lib"


class OwnNode:
    """A node with its own name, ports and directory; a context manager.

    It takes about eight seconds to start, and a restart of its application two and a half (measured on a machine
    with two processors, others at work).
    """

    def __init__(self) -> None:
        self.port = 0
        self._home = Path()
        self._process: subprocess.Popen[bytes] | None = None

    @staticmethod
    def missing() -> str | None:
        """Return why there is none, or ``None``."""
        if OwnNode._script("rabbitmq-server") is None:
            return "rabbitmq-server is not installed (Debian: apt install rabbitmq-server)"
        return None

    @staticmethod
    def _script(name: str) -> str | None:
        """The script itself: Debian's in the path would change the user, and ask for the server's own cookie."""
        found = sorted(Path(_SCRIPTS).glob(f"rabbitmq_server-*/sbin/{name}"))
        return str(found[-1]) if found else shutil.which(name)

    def __enter__(self) -> Self:
        self._home = Path(tempfile.mkdtemp(prefix="tqsim-rabbitmq-"))
        self.port, distribution = _free_port(), _free_port()
        (self._home / "plugins").write_text("[].")
        (self._home / "rabbitmq.conf").write_text("")
        self._environment = {
            **os.environ,
            "HOME": str(self._home),
            "RABBITMQ_NODENAME": f"tqsim-{os.getpid()}@localhost",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_MNESIA_BASE": str(self._home / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self._home / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._home / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(self._home / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": str(self._home / "none"),
            "RABBITMQ_PID_FILE": str(self._home / "pid"),
        }
        self._process = subprocess.Popen(
            [str(self._script("rabbitmq-server"))],
            env=self._environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._await()
        return self

    def _await(self) -> None:
        begin = time.monotonic()
        while True:
            try:
                socket.create_connection((_HOST, self.port), timeout=1).close()
            except OSError:
                if time.monotonic() > begin + _PATIENCE_S:
                    raise
                time.sleep(0.1)
            else:
                return

    def restart(self) -> None:
        """Stop the application in good order and start it again."""
        for command in ("stop_app", "start_app"):
            subprocess.run(
                [str(self._script("rabbitmqctl")), "-q", "-n", self._environment["RABBITMQ_NODENAME"], command],
                env=self._environment,
                check=True,
                capture_output=True,
                timeout=_PATIENCE_S,
            )
        self._await()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        process = self._process
        if process is not None:
            # The script starts the machine as a child, in the session that was made for it.
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        shutil.rmtree(self._home, ignore_errors=True)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])
