"""An application that remembers in a module global what it has done: a bug that one process hides."""

from __future__ import annotations

from celery import Celery

app = Celery("deduplicating", broker="memory://", backend="cache+memory://", set_as_current=False)

done: set[int] = set()
sent: list[int] = []


@app.task(name="deduplicating.send", shared=False)
def send(order: int) -> bool:
    """Send each order once, as far as this process knows."""
    if order in done:
        return False
    done.add(order)
    return True
