"""A simulated Redis server for result backends and for the application's own clients.

The entry is :class:`~tqsim.broker.redis.runtime.RedisRuntime`.  Bottom to top: ``resp`` (replies as
bytes), ``sessions`` (a connection as the server sees it), ``server``, ``sockets`` (the client's end),
``pools`` (redis-py's pools, by process), and ``runtime``, which leads redis-py here.
"""

from __future__ import annotations

from tqsim.broker.redis.runtime import RedisRuntime

__all__ = ["RedisRuntime"]
