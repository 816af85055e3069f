"""The broker: a simulated RabbitMQ or Redis, and kombu's way to it.

Start at ``profile``, which says what broker a simulation has; ``brokers`` runs it, and ``views`` says what both kinds
are to the rest.

- RabbitMQ: ``rabbitmq`` is the server as a pure state machine, ``runtime`` its life in a simulation. kombu's own
  pyamqp transport, led here by ``transport``, talks to ``connection`` and ``channel``, which share ``declaring``
  and ``tables``; ``distance`` and ``heartbeats`` are what a bad link makes of them.
- Redis: ``redis`` has the server, the sockets under redis-py, and kombu's own transport above them.
- ``links`` lie between the processes and both kinds of server: latency, cuts, resets.
- ``tasks`` knows which messages carry a Celery task.
"""
