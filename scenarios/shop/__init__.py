"""A small web shop's background work, in plain Celery; it knows nothing of tqsim.

``app`` is the Celery application with its configuration and schedule, ``tasks`` what it does.
``payments``, ``warehouse`` and ``mail`` reach other systems over the network, and ``ledger`` is
where the shop writes down what has happened.
"""
