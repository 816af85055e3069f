"""Names in a scenario that lead nowhere, and the application itself."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from celery import Celery
from kombu import Exchange, Queue

from tests.unit.refusals import refusal
from tests.unit.scenario.stories import story
from tqsim.scenario.importing import find_application, find_object
from tqsim.scenario.references import require_known_names

HERE = "modules are looked for in the current directory and on PYTHONPATH"


@pytest.fixture(autouse=True)
def _no_shared_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep out the tasks of other tests' applications, which Celery gives to every new one."""
    monkeypatch.setattr("celery._state._on_app_finalizers", set())


def application(*, create_missing: bool = True) -> Celery:
    app = Celery("shop", broker="pyamqp://", set_as_current=False)
    app.conf.task_routes = {"shop.mail": {"queue": "mail"}}
    app.conf.task_default_queue = "orders"
    if not create_missing:
        app.conf.task_create_missing_queues = False
        app.conf.task_queues = (Queue("orders"), Queue("mail"))

    def work() -> None:
        """Do nothing."""

    for name in ("shop.charge", "shop.mail"):
        app.task(work, name=name, shared=False)
    app.finalize(auto=True)
    return app


def message_of(old: str, new: str, *, create_missing: bool = True) -> str:
    variant = story(old, new).variants[0]
    app = application(create_missing=create_missing)
    apps = {"": app, "main": app, "other": app}
    return refusal(lambda: require_known_names(variant.scenario, apps, variant.places))


def test_a_story_whose_names_are_known_is_accepted() -> None:
    variant = story().variants[0]
    app = application()
    require_known_names(variant.scenario, {"": app, "main": app}, variant.places)
    assert variant.scenario.load["orders"].task in app.tasks


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            'kind = "outage"\nservice = "payments"\nat = "1m"\nfor = "1m"',
            'kind = "partition"\nprocess = "man"',
            "story.toml, line 18: faults.down.process: process 'man' is unknown; did you mean 'main'?",
        ),
        (
            'task = "shop.charge"',
            'task = "shop.charg"',
            "story.toml, line 12: load.orders.task: task 'shop.charg' is not registered; did you mean 'shop.charge'?",
        ),
        (
            'check = "nothing_lost"',
            'check = "nothing_lost"\ntask = "other"',
            "story.toml, line 24: expect.all.task: task 'other' is not registered; there are: shop.charge, shop.mail.",
        ),
        (
            "[workers.main]",
            'costs."shop.x" = 1\n[workers.main]',
            "story.toml, line 4: costs.shop.x: task 'shop.x' is not registered; there are: shop.charge, shop.mail.",
        ),
        (
            'service = "payments"',
            'service = "payment"',
            "story.toml, line 18: faults.down.service: service 'payment' is unknown; did you mean 'payments'?",
        ),
        (
            'kind = "outage"\nservice = "payments"\nat = "1m"\nfor = "1m"',
            'kind = "worker_kill"\nworker = "w"\nat = "1m"',
            "story.toml, line 18: faults.down.worker: worker 'w' is unknown; there are: main.",
        ),
        (
            'task = "shop.charge"',
            'task = "shop.charge"\noptions.queue = "ordres"',
            (
                "story.toml, line 13: load.orders sends to queue 'ordres', which no worker consumes; the workers "
                "consume: 'orders'."
            ),
        ),
        (
            'task = "shop.charge"',
            'task = "shop.mail"',
            (
                "story.toml, line 12: load.orders sends to queue 'mail', which no worker consumes; the workers "
                "consume: 'orders'."
            ),
        ),
        (
            '[workers.main]\nconcurrency = 2\nqueues = ["orders"]\n',
            "",
            "story.toml, line 9: load.orders sends to queue 'orders', which no worker consumes; there are no workers.",
        ),
    ],
)
def test_a_name_that_leads_nowhere_is_told_with_its_line(old: str, new: str, message: str) -> None:
    assert message_of(old, new) == message


def test_a_worker_cannot_consume_a_queue_that_is_not_declared_when_none_are_made() -> None:
    message = message_of('["orders"]', '[\n    "orders",\n    "mial",\n]', create_missing=False)
    assert message == (
        "story.toml, line 8: workers.main.queues: queue 'mial' is not in the application's task_queues, and "
        "task_create_missing_queues is off; did you mean 'mail'?"
    )


def test_a_module_that_is_not_there_is_told() -> None:
    assert refusal(lambda: find_object("no_such_module.tasks:app", "app")) == (
        f"app='no_such_module.tasks:app': there is no module 'no_such_module'; {HERE}."
    )


def test_a_name_that_a_module_lacks_is_told() -> None:
    assert (
        refusal(lambda: find_object("textwrap:dedend", "reply"))
        == "reply='textwrap:dedend': 'textwrap' has no 'dedend'; did you mean 'dedent'?"
    )


def test_a_module_that_breaks_is_told_with_its_own_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_shop_a.py").write_text("import no_such_library\n", encoding="utf-8")
    (tmp_path / "broken_shop_b.py").write_text("\n1 / 0\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    assert refusal(lambda: find_object("broken_shop_a:app", "app")) == (
        "app='broken_shop_a:app': importing broken_shop_a failed with ModuleNotFoundError: No module named "
        "'no_such_library'."
    )
    assert refusal(lambda: find_object("broken_shop_b:app", "app")) == (
        "app='broken_shop_b:app': importing broken_shop_b failed with ZeroDivisionError: division by zero "
        f"({tmp_path / 'broken_shop_b.py'}, line 2)."
    )


def test_an_application_without_tasks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    put_module(monkeypatch, app=Celery("empty", broker="pyamqp://", set_as_current=False))
    assert refusal(lambda: find_application("shop_in_memory:app", "app")) == (
        "app='shop_in_memory:app': the application has no tasks. Name the modules that define them in "
        "Celery(include=[...]) or app.autodiscover_tasks()."
    )


def test_something_else_than_an_application_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    put_module(monkeypatch, app=3)
    assert (
        refusal(lambda: find_application("shop_in_memory:app", "app"))
        == "app='shop_in_memory:app' is of type 'int'; expected a Celery application."
    )


def put_module(monkeypatch: pytest.MonkeyPatch, **names: object) -> None:
    monkeypatch.setitem(sys.modules, "shop_in_memory", SimpleNamespace(**names))


@pytest.mark.parametrize(
    ("kind", "bound", "key", "queue"),
    [
        ("topic", "media.ingest.#", "media.ingest.upload", "orders"),
        ("direct", "upload", "upload", "orders"),
        ("fanout", "", "whatever", "orders"),
        ("direct", "upload", "download", None),
    ],
)
def test_a_route_to_an_exchange_is_followed_to_the_queues_bound_to_it(
    kind: str, bound: str, key: str, queue: str | None
) -> None:
    variant = story('queues = ["orders"]', 'queues = ["mail"]').variants[0]
    app = application()
    app.conf.task_queues = (Queue("orders", Exchange("media", type=kind), routing_key=bound), Queue("mail"))
    app.conf.task_routes = {"shop.charge": {"exchange": "media", "routing_key": key}}

    def check() -> None:
        require_known_names(variant.scenario, {"": app, "main": app}, variant.places)

    if queue is None:
        check()  # nothing of the application is bound so: only the broker knows
        return
    assert "load.orders sends to queue 'orders', which no worker consumes; the workers consume: 'mail'." in refusal(
        check
    )
