"""Finding a scenario by name or file, from the command line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.scenarios.command import tqsim
from tests.unit.refusals import refusal
from tqsim.cli import gallery


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["retry_strom"],
            ("'retry_strom' is neither a file nor a scenario of the gallery; did you mean 'retry_storm'? "
            "A file's name ends in .toml."),
        ),
        (
            ["x"],
            ("'x' is neither a file nor a scenario of the gallery; there are: nightly_report, retry_storm, "
            "worker_killed. A file's name ends in .toml."),
        ),
        (["x.toml"], "x.toml: the file cannot be read (No such file or directory)."),
        (
            ["worker_killed", "--set", "x"],
            "--set 'x' is wrong; expected KEY=VALUE such as workers.main.concurrency=4.",
        ),
        (
            ["worker_killed", "--policy", "lifo"],
            ("--policy lifo: policy='lifo' is not a scheduling policy; expected \"fifo\", \"random\" or "
            '"pct(depth)", for example "pct(3)".'),
        ),
        (
            ["worker_killed", "--set", "app=tqsim_scenarios.shop.nope:app"],
            ("--set app=tqsim_scenarios.shop.nope:app: app='tqsim_scenarios.shop.nope:app': there is no module "
            "'tqsim_scenarios.shop.nope'; modules are looked for in the current directory and on PYTHONPATH."),
        ),
        (
            ["worker_killed", "--set", "services.mail.replaces=tqsim_scenarios.shop.mail:sned"],
            ("--set services.mail.replaces=tqsim_scenarios.shop.mail:sned: "
            "services.mail.replaces='tqsim_scenarios.shop.mail:sned': module 'tqsim_scenarios.shop.mail' has "
            "nothing of that name; expected a function."),
        ),
        (
            ["worker_killed", "--set", "timezone=Mars/North"],
            ("--set timezone=Mars/North: timezone='Mars/North' is not a known time zone; expected a name such "
            'as "UTC" or "Europe/Paris".'),
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)  # fmt: skip
def test_a_mistake_is_told_without_a_traceback(arguments: list[str], message: str) -> None:
    result = tqsim("run", *arguments)
    assert result.stderr == f"Error: {message}\n"
    assert result.stdout == ""
    assert result.exit_code == 2


def test_an_application_in_the_current_directory_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "idle_shop.py").write_text(
        "from celery import Celery\napp = Celery('idle', broker='pyamqp://', set_as_current=False)\n",
        encoding="utf-8",
    )
    (tmp_path / "story.toml").write_text('title = "T"\napp = "idle_shop:app"\n', encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    # Celery gives the tasks of every application in the process to a new one.
    monkeypatch.setattr("celery._state._on_app_finalizers", set())
    monkeypatch.setattr("sys.path", list(sys.path))
    result = tqsim("run", "story.toml")
    assert result.stderr == (
        "Error: story.toml, line 2: app='idle_shop:app': the application has no tasks. Name the modules that "
        "define them in Celery(include=[...]) or app.autodiscover_tasks().\n"
    )
    assert result.exit_code == 2


def test_a_gallery_that_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gallery, "_PACKAGE", "no_such_gallery")
    assert refusal(gallery.entries) == (
        "The gallery is not installed: there is no package 'no_such_gallery'. Install tqsim-celery as a whole, "
        "or give the path of a scenario file."
    )


def test_entries_are_sorted_and_have_titles() -> None:
    found = gallery.entries()
    assert [entry.name for entry in found] == ["nightly_report", "retry_storm", "worker_killed"]
    # A line of 80 columns holds the name and the title.
    assert max(len(entry.name) + 2 + len(entry.title) for entry in found) <= 80
