"""Where an application's broker URLs point to in Redis, and what its keys mean.

The main names are :class:`Place`, :func:`places_of` and :func:`split_key`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from kombu.transport.redis import Channel
from kombu.utils.url import parse_url

from tqsim.errors import UsageError

__all__ = ["DEFAULT_PORT", "Place", "address_of", "place_of", "places_of", "split_key"]

DEFAULT_PORT: Final = 6379
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1", "0.0.0.0", "")


class Place(NamedTuple):
    """A server's address, as ``"host:port"`` or the path of a socket, and a database's number."""

    address: str
    database: int


def address_of(host: Any, port: Any) -> str:
    """Return an address; all names of this machine are one."""
    name = str(host or "")
    return f"{'localhost' if name in _LOOPBACK else name}:{int(port or DEFAULT_PORT)}"


def places_of(app: Any) -> list[Place]:
    """Return where an application's broker connections go: read and write URLs, and every one of a failover list.

    Raises :class:`~tqsim.UsageError` for a URL whose vhost is not the number of a database.
    """
    options = app.conf.broker_transport_options or {}
    places: dict[Place, None] = {}
    for connection in (app.connection_for_write(), app.connection_for_read()):
        for url in connection.alt or [connection.as_uri(include_password=True)]:
            places[place_of(str(url), options)] = None
    return list(places)


def place_of(url: str, options: dict[str, Any]) -> Place:
    """Return where one URL points to; a sentinel names its ``master_name`` of ``options`` as the host.

    Raises :class:`~tqsim.UsageError` when its vhost is not the number of a database.
    """
    scheme, _, rest = url.partition("://")
    if "socket" in scheme:
        path, _, query = rest.partition("?")
        database = next((item[13:] for item in query.split("&") if item.startswith("virtual_host=")), "")
        return Place("/" + path.strip("/"), _database_of(database, url))
    parts = parse_url(url)
    if scheme == "sentinel":
        return Place(address_of(options.get("master_name"), None), _database_of(parts["virtual_host"], url))
    return Place(address_of(parts["hostname"], parts["port"]), _database_of(parts["virtual_host"], url))


def _database_of(vhost: Any, url: str) -> int:
    text = str(vhost or "").strip("/")
    if not text:
        return 0
    if not text.isdigit():
        raise UsageError(
            f"The application's broker URL has the vhost {text!r}, which no Redis server has; expected the number of a "
            "database, such as redis://localhost:6379/0. Set app.conf.broker_url for the test, or pass "
            "Simulation(app, broker=tqsim.RabbitMQ())."
        )
    return int(text)


def split_key(key: bytes, apps: Iterable[Any]) -> tuple[str, int]:
    """Return the queue and the priority that a list stands for (kombu/transport/redis.py, ``_q_for_pri``)."""
    text = key.decode(errors="replace")
    priority = 0
    for app in apps:
        options = app.conf.broker_transport_options or {}
        prefix, separator = options.get("global_keyprefix") or "", options.get("sep") or Channel.sep
        if prefix and text.startswith(prefix):
            text = text[len(prefix) :]
        name, found, step = text.rpartition(separator)
        if found and step.isdigit():
            text, priority = name, int(step)
    return text, priority
