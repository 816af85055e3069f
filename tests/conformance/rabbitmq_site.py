"""Which real RabbitMQ the tests use, and their vhost on it: :class:`Site`.

``TQSIM_RABBITMQ`` in the environment chooses: ``own`` starts a node whatever runs here, and an address
(``amqp://user:password@host:port/vhost``) names a server of another version.  Without it the tests use what answers
on loopback, or else start a node.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Final

import amqp
from kombu.utils.url import url_to_parts

from tests.conformance.rabbitmq_node import Node
from tests.conformance.server_lock import ServerLock
from tqsim.broker.rabbitmq.settings import VERSIONS

__all__ = ["Site"]

_VARIABLE: Final = "TQSIM_RABBITMQ"
_OWN: Final = "own"
_LOOPBACK: Final = "amqp://guest:guest@127.0.0.1:5672//"
_CONTROL_S: Final = 30


class Site:
    """A vhost of our own, or the named or default one where ``rabbitmqctl`` is of no use.

    ``folder`` is where a node of our own may put its files; without it there is only a server that runs already.
    ``node`` is one that the caller has opened, and closes.
    """

    def __init__(self, folder: Path | None = None, node: Node | None = None) -> None:
        address = url_to_parts(_address())
        self.host, self.port = address.hostname, address.port or 5672
        self.user, self.password = address.username or "guest", address.password or "guest"
        self.vhost = address.path or "/"
        self._control: list[str] = []
        self._environment = dict(os.environ)
        self._node: Node | None = None
        if node is None and _wants_node():
            if folder is None:
                raise RuntimeError("no RabbitMQ runs here, and a node needs a folder: use the fixture rabbitmq_site.")
            node = self._node = Node(folder)
            node.open()
        if node is not None:
            self.host, self.port, self.vhost = node.host, node.port, "/"
            self._control, self._environment = node.control, node.environment
        elif not _is_named():  # rabbitmqctl would speak to this machine's node, not to the one that is named
            command = shutil.which("rabbitmqctl")
            self._control = [command] if command is not None else []
        self._has_vhost = self._add_vhost(f"tqsim-machine-{os.getpid()}")

    def _add_vhost(self, name: str) -> bool:
        if not self.control("add_vhost", name):
            return False
        self.vhost = name
        return self.control("set_permissions", "-p", name, self.user, ".*", ".*", ".*")

    @property
    def url(self) -> str:
        """The address of the vhost, for kombu and Celery."""
        vhost = self.vhost.replace("/", "%2F")
        return f"amqp://{self.user}:{self.password}@{self.host}:{self.port}/{vhost}"

    @staticmethod
    def missing() -> str | None:
        """Return why there is no real server to compare with, or None if there is one or can be one."""
        if not _wants_node():
            return _silence(_address())
        if (lack := Node.missing()) is None:
            return None
        return lack if os.environ.get(_VARIABLE) == _OWN else f"{_silence(_LOOPBACK)}, and {lack}"

    @staticmethod
    def rules() -> str:
        """Return the version whose rules the simulation has to follow: that of a server that is named."""
        if not _is_named() or Site.missing() is not None:
            return VERSIONS[0]
        spoken = ".".join(_version(_address()).split(".")[:2])
        return spoken if spoken in VERSIONS else VERSIONS[0]

    @staticmethod
    def described() -> str:
        """Return one line for the head of the test run."""
        if (lack := Site.missing()) is not None:
            return f"skipped, because {lack}"
        if _wants_node():
            return "a node of our own"
        version, rules = _version(_address()), Site.rules()
        compared = f"compared with the rules of {rules}"
        if not version.startswith(f"{rules}."):
            known = f"name it in {_VARIABLE}" if not _is_named() else f"simulated are {', '.join(VERSIONS)}"
            compared += f", which are not its own ({known})"
        return f"{version} on {_place(_address())}, {compared}"

    def close(self) -> None:
        """Remove the vhost, and let go of the node."""
        if self._has_vhost:
            self.control("delete_vhost", self.vhost)
        if self._node is not None:
            self._node.close()

    @staticmethod
    def shared() -> ServerLock:
        """Use the server next to others, until the lock is closed; who changes its settings waits for that."""
        return ServerLock()

    def set_number(self, name: str, number: int) -> bool:
        """Set a setting of the server's application, and say whether that was possible."""
        return self.control("eval", f"application:set_env(rabbit, {name}, {number}).")

    def control(self, *arguments: str) -> bool:
        """Run rabbitmqctl and say whether it was there and content."""
        return self.told(*arguments) is not None

    def told(self, *arguments: str) -> str | None:
        """Run rabbitmqctl and return what it says, or None if it is not there or not content."""
        if not self._control:
            return None
        done = subprocess.run(
            [*self._control, "-q", *arguments],
            env=self._environment, capture_output=True, text=True, timeout=_CONTROL_S, check=False,
        )  # fmt: skip
        return None if done.returncode else done.stdout


def _is_named() -> bool:
    return os.environ.get(_VARIABLE, _OWN) != _OWN


def _address() -> str:
    return os.environ[_VARIABLE] if _is_named() else _LOOPBACK


def _wants_node() -> bool:
    if _is_named():
        return False
    return os.environ.get(_VARIABLE) == _OWN or _silence(_LOOPBACK) is not None


def _place(address: str) -> str:
    parts = url_to_parts(address)
    return f"{parts.hostname}:{parts.port or 5672}"


def _silence(address: str) -> str | None:
    """Return that nobody answers there, and why; or None."""
    parts = url_to_parts(address)
    try:
        with socket.create_connection((parts.hostname, parts.port or 5672), timeout=1):
            return None
    except OSError as error:
        return f"no RabbitMQ answers on {_place(address)} ({error})"


def _version(address: str) -> str:
    parts = url_to_parts(address)
    connection = amqp.Connection(
        _place(address), parts.username or "guest", parts.password or "guest", virtual_host=parts.path or "/"
    )
    connection.connect()
    try:
        return str(connection.server_properties["version"])
    finally:
        connection.close()
