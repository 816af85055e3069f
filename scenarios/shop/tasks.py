"""What the shop does for an order."""

from __future__ import annotations

from typing import Any

from tqsim_scenarios.shop import ledger, mail, payments, warehouse
from tqsim_scenarios.shop.app import app
from tqsim_scenarios.shop.payments import PaymentError


@app.task(name="shop.charge_fixed", bind=True, default_retry_delay=5, max_retries=None)
def charge_fixed(self: Any, order: str, cents: int) -> str:
    """Charge an order; when the provider fails, try again every five seconds."""
    try:
        reference = payments.charge(order, cents)
    except PaymentError as error:
        raise self.retry(exc=error) from error
    ledger.record("charged", order)
    return reference


@app.task(
    name="shop.charge_backoff",
    autoretry_for=(PaymentError,),
    retry_backoff=4,
    retry_backoff_max=120,
    retry_jitter=True,
    max_retries=None,
)
def charge_backoff(order: str, cents: int) -> str:
    """Charge an order; when the provider fails, wait longer each time, by a drawn amount."""
    reference = payments.charge(order, cents)
    ledger.record("charged", order)
    return reference


@app.task(name="shop.reserve_stock", acks_late=True)
def reserve_stock(order: str, article: str) -> None:
    """Set an article aside; its message is acknowledged when that is done."""
    warehouse.reserve(order, article)
    ledger.record("reserved", order)


@app.task(name="shop.send_receipt")
def send_receipt(order: str) -> None:
    """Send a receipt; its message is acknowledged before, as is Celery's default."""
    mail.send(f"customer of {order}", "Your receipt")
    ledger.record("receipt", order)
