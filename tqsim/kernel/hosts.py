"""The names of hosts, as code inside a simulation learns them.

The main name is :class:`Hosts`.  Every simulated process runs on one host, :data:`HOST_NAME`, whatever
the machine is called, so that a run is the same everywhere; it is known under ``localhost`` too.
Asking for any other name would ask a real name server, and is refused like a connection.

Left out: ``getaddrinfo``, which is the first step of a connection (:mod:`tqsim.kernel.network`).
"""

from __future__ import annotations

import ipaddress
import platform
import socket
from collections.abc import Callable
from typing import Any, Final, NoReturn

from tqsim.kernel.loop import Loop
from tqsim.kernel.patches import asking_module, is_exempt, named

__all__ = ["HOST_NAME", "Hosts"]

#: The host that every simulated process runs on.
HOST_NAME: Final = "sim"
_LOOPBACK: Final = "127.0.0.1"
_LOCAL_NAMES: Final = (HOST_NAME, "localhost", "")

_REAL_GETHOSTNAME: Final = socket.gethostname
_REAL_GETFQDN: Final = socket.getfqdn
_REAL_GETHOSTBYNAME: Final = socket.gethostbyname
_REAL_GETHOSTBYNAME_EX: Final = socket.gethostbyname_ex
_REAL_GETHOSTBYADDR: Final = socket.gethostbyaddr
_REAL_GETNAMEINFO: Final = socket.getnameinfo
_REAL_NODE: Final = platform.node


class Hosts:
    """Answers for one loop; ``refuse(host)`` raises the error for a name that only the world knows.

    ``is_allowed(host)`` says which names may be asked for.  Tools see the real names.
    """

    def __init__(self, loop: Loop, is_allowed: Callable[[str], bool], refuse: Callable[[str], NoReturn]) -> None:
        self._loop = loop
        self._is_allowed = is_allowed
        self._refuse = refuse

    def replacements(self) -> dict[Any, Any]:
        """The functions of ``socket`` and ``platform``, with their stand-ins."""

        def getfqdn(name: str = "") -> str:
            return HOST_NAME if name in (*_LOCAL_NAMES, "0.0.0.0", "::") else name

        def gethostbyname(hostname: str) -> str:
            return self._address(hostname)

        def gethostbyname_ex(hostname: str) -> Any:
            return hostname, [], [self._address(hostname)]

        def gethostbyaddr(ip_address: str) -> Any:
            address = self._address(ip_address)
            return (HOST_NAME if address == _LOOPBACK else self._refuse(ip_address)), [], [address]

        def getnameinfo(sockaddr: tuple[Any, ...], flags: int) -> tuple[str, str]:
            if flags & socket.NI_NUMERICHOST:
                return _REAL_GETNAMEINFO(sockaddr, flags)
            host = gethostbyaddr(sockaddr[0])[0]
            return host, _REAL_GETNAMEINFO((_LOOPBACK, *sockaddr[1:]), flags | socket.NI_NUMERICHOST)[1]

        stand_ins: dict[Callable[..., Any], Callable[..., Any]] = {
            _REAL_GETHOSTNAME: lambda: HOST_NAME,
            _REAL_NODE: lambda: HOST_NAME,
            _REAL_GETFQDN: getfqdn,
            _REAL_GETHOSTBYNAME: gethostbyname,
            _REAL_GETHOSTBYNAME_EX: gethostbyname_ex,
            _REAL_GETHOSTBYADDR: gethostbyaddr,
            _REAL_GETNAMEINFO: getnameinfo,
        }
        return {real: self._inside(stand_in, real) for real, stand_in in stand_ins.items()}

    def _address(self, host: str) -> str:
        if host in _LOCAL_NAMES:
            return _LOOPBACK
        try:
            return str(ipaddress.ip_address(host))
        except ValueError:
            if self._is_allowed(host):
                return _REAL_GETHOSTBYNAME(host)
            self._refuse(host)

    def _inside(self, stand_in: Callable[..., Any], real: Callable[..., Any]) -> Callable[..., Any]:
        loop = self._loop

        def function(*args: Any, **kwargs: Any) -> Any:
            if loop.is_closed or not loop.in_loop_thread() or is_exempt(asking_module(__name__, "socket", "platform")):
                return real(*args, **kwargs)
            return stand_in(*args, **kwargs)

        return named(function, real)
