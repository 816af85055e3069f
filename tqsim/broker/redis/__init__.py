"""A simulated Redis server: for result backends, for the application's own clients, and as the broker.

The entries are :class:`~tqsim.broker.redis.runtime.RedisRuntime` and
:class:`~tqsim.broker.redis.broker.RedisBroker`.  Bottom to top: ``resp`` and ``requests`` (the bytes),
``reading`` and ``refusals`` (what arguments a server does not take), ``commands``, ``scripts`` and ``natives`` (beside
fakeredis's own), ``sessions`` (a connection as the server sees it), ``waits`` and ``server``, ``sockets`` and
``streams`` (the client's end), ``pools`` (redis-py's pools, by process), ``shortcuts``, and ``runtime``, which leads
redis-py here.  As a broker: ``ledger`` (what lies in kombu's queues) kept up by ``observing``, ``queues`` (a look into
them), ``polling`` and ``transport`` (kombu's own transport), ``places`` (what URLs and keys mean) and ``broker``.
"""

from __future__ import annotations

from tqsim.broker.redis.broker import RedisBroker
from tqsim.broker.redis.places import Place, place_of
from tqsim.broker.redis.runtime import RedisRuntime

__all__ = ["Place", "RedisBroker", "RedisRuntime", "place_of"]
