"""A RabbitMQ node of the tests' own, for machines where none runs: :class:`Node`.

The first test process that needs it starts it, those of the same session share it, and a keeper
(:mod:`tests.conformance.keeper`) kills it when the last of them has closed it or has died.  Debian's
package is what is started, by any user, with its own Erlang cookie, port mapper, ports and folder.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import amqp

__all__ = ["Node"]

_HOST: Final = "127.0.0.1"
_NAME: Final = "tqsim@localhost"
_ROOT: Final = Path(__file__).parents[2]
#: Debian's commands on PATH run as the user "rabbitmq" or not at all; these run as whoever calls them.
_SCRIPTS: Final = Path("/usr/lib/rabbitmq/bin")
_PATIENCE_S: Final = 45.0
_STEP_S: Final = 0.1


class Node:
    """The node whose files are in ``folder``; it runs from :meth:`open` to the :meth:`close` of its last user."""

    host = _HOST

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = {"node": 0, "distribution": 0, "mapper": 0}
        self._use = ExitStack()

    @staticmethod
    def missing() -> str | None:
        """Return what has to be installed, or None."""
        if (_SCRIPTS / "rabbitmq-server").exists() and shutil.which("epmd"):
            return None
        return "rabbitmq-server is not installed (Debian: apt install rabbitmq-server)"

    @property
    def port(self) -> int:
        """Where it listens for clients."""
        return self._ports["node"]

    @property
    def control(self) -> list[str]:
        """The command that controls it, to be run in :attr:`environment`."""
        return [str(_SCRIPTS / "rabbitmqctl"), "-n", _NAME]

    @property
    def environment(self) -> dict[str, str]:
        """The node's settings, none of which comes from this machine's own node."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("RABBITMQ_", "ERL_"))}
        folder = self._folder
        return {
            **inherited,
            "HOME": str(folder),  # of the cookie
            "ERL_EPMD_ADDRESS": _HOST,
            "ERL_EPMD_PORT": str(self._ports["mapper"]),
            "ERL_FLAGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_NODENAME": _NAME,
            "RABBITMQ_NODE_IP_ADDRESS": _HOST,
            "RABBITMQ_NODE_PORT": str(self._ports["node"]),
            "RABBITMQ_DIST_PORT": str(self._ports["distribution"]),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_PLUGINS_EXPAND_DIR": str(folder / "plugins"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(folder / "config"),
            # These do not exist, and so nothing is set and no plugin is on.
            "RABBITMQ_CONF_ENV_FILE": str(folder / "rabbitmq-env.conf"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        }

    def open(self) -> None:
        """Start the node, or join those who use it; raises :class:`RuntimeError` if it does not start."""
        self._folder.mkdir(parents=True, exist_ok=True)
        # The keeper waits for the end of all these shared locks, and then forgets the ports.
        self._use.enter_context(_locked(self._folder / "users", fcntl.LOCK_SH))
        with _locked(self._folder / "starting", fcntl.LOCK_EX):
            ports = self._folder / "ports"
            if ports.exists():
                self._ports = json.loads(ports.read_text())
                return
            self._ports = dict(zip(self._ports, _free_ports(len(self._ports)), strict=True))
            self._start()
            ports.write_text(json.dumps(self._ports))

    def close(self) -> None:
        """Say that this process does not use it any more."""
        self._use.close()

    def _start(self) -> None:
        mapper = ["epmd", "-address", _HOST, "-port", str(self._ports["mapper"])]
        commands = json.dumps([mapper, [str(_SCRIPTS / "rabbitmq-server")]])
        keeper = [sys.executable, "-m", "tests.conformance.keeper", str(self._folder), commands]
        with (self._folder / "output").open("wb") as file:
            subprocess.run(
                keeper, cwd=_ROOT, env=self.environment, stdout=file, stderr=file, start_new_session=True, check=True
            )
        self._await(is_up=True)

    def restart(self) -> None:
        """Stop the server in good order, and start it again."""
        for command in ("stop_app", "start_app"):
            self._tell(command)

    def crash(self) -> None:
        """End the server without a word; its keeper starts it again."""
        self._tell("eval", "erlang:halt(1, [{flush, false}]).")
        self._await(is_up=False)
        self._await(is_up=True)

    def _tell(self, *arguments: str) -> None:
        subprocess.run([*self.control, "-q", *arguments], env=self.environment, capture_output=True, check=False)

    def _await(self, is_up: bool) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while self._answers() != is_up:
            if time.monotonic() > deadline:
                output = (self._folder / "output").read_text()
                raise RuntimeError(f"rabbitmq-server does not {'start' if is_up else 'end'}:\n{output}")
            time.sleep(_STEP_S)

    def _answers(self) -> bool:
        connection = amqp.Connection(f"{_HOST}:{self.port}", connect_timeout=1)
        try:
            connection.connect()
        except (OSError, amqp.AMQPError):
            return False
        connection.close()
        return True


@contextmanager
def _locked(path: Path, kind: int) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, kind)
        yield


def _free_ports(count: int) -> list[int]:
    with ExitStack() as probes:
        sockets = [probes.enter_context(socket.socket()) for _ in range(count)]
        for probe in sockets:
            probe.bind((_HOST, 0))
        return [probe.getsockname()[1] for probe in sockets]
