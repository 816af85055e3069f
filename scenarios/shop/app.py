"""The Celery application: configuration, routes and the nightly schedule."""

from __future__ import annotations

from celery import Celery
from celery.schedules import crontab

app = Celery(
    "shop",
    broker="pyamqp://guest@localhost//",
    backend="cache+memory://",
    include=["tqsim_scenarios.shop.tasks", "tqsim_scenarios.shop.reports"],
)
app.conf.update(
    timezone="Europe/Berlin",
    task_default_queue="orders",
    task_routes={
        "shop.send_receipt": {"queue": "mail"},
        "shop.send_report": {"queue": "mail"},
        "shop.report_*": {"queue": "reports"},
    },
    beat_schedule={
        "nightly report": {"task": "shop.report_night", "schedule": crontab(hour=3, minute=0)},
    },
)
