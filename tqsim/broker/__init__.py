"""The broker: a simulated RabbitMQ, and kombu's way to it.

``rabbitmq`` is the server as a pure state machine, ``connection`` and ``channel`` are what
kombu's own pyamqp transport talks to, ``profile`` says which broker a simulation has.
"""
