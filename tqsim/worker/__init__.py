"""Real Celery workers and beat as simulated processes.

``program`` runs ``celery.apps.worker.Worker`` in a fiber; ``hub`` is its event loop on virtual
time, ``pool`` and ``children`` the prefork pool, with ``reaping``, ``shutdown``, ``limits`` and ``pipes``
for its ends and what passes between them; ``cells`` what belongs to a process, ``pins`` what is pinned
or kept out, ``beat`` Celery's beat, ``results`` the result backends.
"""
