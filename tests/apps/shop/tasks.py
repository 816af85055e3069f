"""Tasks of the shop: plain Celery."""

from __future__ import annotations

import time
from typing import Any

from celery import Celery

app = Celery("shop", broker="pyamqp://guest@localhost//", backend="cache+memory://")
app.conf.beat_schedule = {"tidy": {"task": "shop.tidy", "schedule": 60.0}}


class ProviderDown(Exception):
    """The payment provider did not answer."""


def ask_provider(order: int) -> str:
    """Call the payment provider; in production an HTTP request."""
    raise ProviderDown(f"order {order}: no network in this process")


@app.task(name="shop.charge", acks_late=True)
def charge(order: int) -> str:
    """Charge an order."""
    time.sleep(2)
    return "paid"


@app.task(
    bind=True,
    name="shop.capture",
    autoretry_for=(ProviderDown,),
    retry_backoff=True,
    retry_jitter=False,
    max_retries=8,
)
def capture(self: Any, order: int) -> str:
    """Capture a payment at the provider, again and again while it is down."""
    return ask_provider(order)


@app.task(name="shop.mail")
def mail(order: int) -> int:
    """Send a receipt."""
    time.sleep(1)
    return order


@app.task(name="shop.tidy")
def tidy() -> None:
    """Do what has to be done every minute."""


@app.task(name="shop.checkout")
def checkout(order: int) -> int:
    """Charge now and mail in an hour."""
    mail.apply_async((order,), countdown=3600)
    return order
