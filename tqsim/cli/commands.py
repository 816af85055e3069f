"""The commands and their exit codes: :func:`main`.

0 everything expected is met, 1 something is not, 2 the command or a file is wrong, 3 a run made no
progress, 4 tqsim itself has failed.  If the reader of the output goes away, as ``head`` does, the process
ends by SIGPIPE as other commands do, without a verdict.
"""

from __future__ import annotations

import shlex
import sys
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import click
from rich.console import Console
from rich.text import Text

from tqsim.cli.gallery import entries, find
from tqsim.cli.pipes import QuietGroup, ended_by_a_closed_pipe
from tqsim.cli.progress import Progress
from tqsim.cli.screen import show, show_entries
from tqsim.errors import NoProgress, UsageError
from tqsim.scenario import Outcome, Override
from tqsim.scenario import run as run_story
from tqsim.simulation.settings import installed_versions

__all__ = ["INTERNAL", "INTERRUPTED", "MET", "NOT_MET", "NO_PROGRESS", "USAGE", "main"]

MET: Final = 0
NOT_MET: Final = 1
USAGE: Final = 2
NO_PROGRESS: Final = 3
INTERNAL: Final = 4
#: As a shell says of a process that Ctrl-C ended.
INTERRUPTED: Final = 130

_EXIT_CODES: Final = (
    "The exit code is 0 if everything that is expected is met, 1 if something is not, 2 for a mistake in the "
    "command or the file, 3 if a run made no progress, and 4 for an error of tqsim."
)


@click.group(cls=QuietGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="tqsim-celery", prog_name="tqsim")
def main() -> None:
    """Run a Celery application in virtual time, from a seed."""


@main.command("run", epilog=_EXIT_CODES)
@click.argument("scenario")
@click.option("--seed", type=int, metavar="NUMBER", help="Another seed than the file's.")
@click.option("--policy", metavar="POLICY", help='Order of what is ready at one instant: "fifo", "random", "pct(3)".')
@click.option(
    "--set",
    "changes",
    metavar="KEY=VALUE",
    multiple=True,
    help="Change one value, such as workers.main.concurrency=4; may be given several times.",
)
@click.option(
    "--history",
    "history",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Save the history as JSON lines; each variant has a file of its own.",
)
@click.option("--traceback", "with_traceback", is_flag=True, help="Show where an error came from.")
def _run(
    scenario: str,
    seed: int | None,
    policy: str | None,
    changes: Sequence[str],
    history: Path | None,
    with_traceback: bool,
) -> None:
    """Run a scenario and judge what it expects.

    SCENARIO is a TOML file, or a name that "tqsim list" shows.
    """
    command = _Command(scenario, seed, policy, changes)
    sys.exit(_guarded(lambda: command.run(history), command.line, with_traceback))


@main.command("list")
def _list() -> None:
    """List the scenarios that come with tqsim."""

    def run() -> int:
        with ended_by_a_closed_pipe():
            show_entries(Console(), entries())
        return MET

    sys.exit(_guarded(run, lambda: "tqsim list", with_traceback=False))


class _Command:
    """One ``tqsim run``, as it was asked for."""

    def __init__(self, scenario: str, seed: int | None, policy: str | None, changes: Sequence[str]) -> None:
        self._scenario = scenario
        self._seed = seed
        self._policy = policy
        self._changes = changes

    def run(self, history: Path | None) -> int:
        """Run the scenario and print what came of it; return the exit code."""
        _find_modules_here()
        overrides = [Override.parse(change) for change in self._changes]
        if self._policy is not None:
            overrides.append(Override(f"--policy {self._policy}", ("policy",), self._policy))
        if self._seed is not None:
            overrides.append(Override(f"--seed {self._seed}", ("seed",), self._seed))
        story = find(self._scenario, overrides)
        self._seed = story.first.seed
        with Progress(Console(stderr=True)) as progress:
            outcome = run_story(story, reproduction=self.line(), observer=progress.watch)
        saved = [] if history is None else _saved(outcome, history)
        console = Console()
        with ended_by_a_closed_pipe():
            show(console, Path(self._scenario).stem, story, outcome, self.line())
            for words in saved:
                console.print(Text(words), soft_wrap=True)
        return MET if outcome.is_met else NOT_MET

    def line(self) -> str:
        """The command that repeats this run, with the versions that it depends on."""
        words = ["tqsim", "run", self._scenario]
        words += [] if self._seed is None else ["--seed", str(self._seed)]
        words += [] if self._policy is None else ["--policy", self._policy]
        for change in self._changes:
            words += ["--set", change]
        versions = ", ".join(f"{name} {version}" for name, version in installed_versions().items())
        return f"{shlex.join(words)}  # {versions}"


def _guarded(work: Callable[[], int], line: Callable[[], str], with_traceback: bool) -> int:
    """Do the work and return its exit code; tell of an error in words."""
    try:
        return work()
    except UsageError as error:
        _complain(f"Error: {error}", with_traceback)
        return USAGE
    except NoProgress as error:
        reproduction = f"\nReproduce: {line()}"
        _complain(f"No progress: {str(error).removesuffix(reproduction)}{reproduction}", with_traceback)
        return NO_PROGRESS
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last resort between a bug and its user
        _complain(
            f"tqsim has failed: {type(error).__name__}: {error}\n"
            "This is a bug of tqsim. Please report it at its issue tracker, with the line below and what it "
            "prints with --traceback.\n"
            f"Reproduce: {line()}",
            with_traceback,
        )
        return INTERNAL


def _complain(text: str, with_traceback: bool) -> None:
    if with_traceback:
        click.echo(traceback.format_exc(), err=True)
    Console(stderr=True).print(Text(text), soft_wrap=True)


def _find_modules_here() -> None:
    """Let an application in the current directory be imported, as ``celery -A`` does."""
    here = str(Path.cwd())
    if here not in sys.path and "" not in sys.path:
        sys.path.insert(0, here)


def _saved(outcome: Outcome, path: Path) -> list[str]:
    """Save the history of each variant; return a line about each."""
    lines = []
    for variant in outcome.variants:
        target = path.with_name(f"{path.stem}-{variant.name}{path.suffix}") if variant.name else path
        try:
            variant.history.save(target)
        except OSError as error:
            raise UsageError(f"--history {target}: the file cannot be written ({error.strerror}).") from None
        history = variant.history
        lines.append(f"History: {target} ({len(history):,} moments, digest {history.digest})")
    return lines
