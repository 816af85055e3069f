"""The options of a simulated worker: those of ``celery worker``, read strictly.

The main name is :func:`read_options`.  Celery's ``Worker`` takes any keyword and forgets those that
it does not know, so that a misspelt one would change nothing and say nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from celery.utils.log import LOG_LEVELS
from celery.utils.text import str_to_list

from tqsim.errors import UnsupportedError, UsageError

__all__ = ["CONCURRENCY", "read_options"]

#: Slots of a worker that nobody gave a number; Celery counts the processors of the machine, which
#: would make a run depend on where it takes place.
CONCURRENCY: Final = 1

#: Options of ``celery worker`` that a simulated one has not got, and what to do instead.
_ELSEWHERE: Final = {
    "hostname": "the first argument of sim.worker() is its name",
    "without_gossip": "gossip is off unless gossip=True",
    "without_mingle": "mingle is off unless mingle=True",
    "without_heartbeat": "heartbeats are off unless heartbeat=True",
    "beat": "start it with sim.beat()",
    "schedule_filename": "start beat with sim.beat()",
    "scheduler": "start beat with sim.beat(scheduler=...)",
    "statedb": "a restarted worker remembers nothing; revoke again after restart()",
    "max_memory_per_child": "the memory of a simulated child cannot be measured",
    "pool_start_method": "a simulated child is never really started",
    "detach": "a simulated worker is no real process",
    "logfile": "logging is left to the test",
    "pidfile": "a simulated worker is no real process",
    "uid": "a simulated worker is no real process",
    "gid": "a simulated worker is no real process",
    "umask": "a simulated worker is no real process",
    "executable": "a simulated worker is no real process",
}


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_seconds(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value > 0


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_names(value: Any) -> bool:
    if isinstance(value, str):
        return bool(value)
    return (
        isinstance(value, Iterable)
        and not isinstance(value, dict)
        and all(isinstance(name, str) and name for name in value)
    )


def _is_autoscale(value: Any) -> bool:
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, (list, tuple)) or not 1 <= len(parts) <= 2:
        return False
    try:
        numbers = [int(part) for part in parts]
    except (TypeError, ValueError):
        return False
    return numbers[0] >= 1 and numbers[0] >= (numbers[1] if len(numbers) == 2 else 0) >= 0


def _is_pool(value: Any) -> bool:
    return isinstance(value, (str, type)) and bool(value)


def _is_level(value: Any) -> bool:
    if isinstance(value, str):
        return value.upper() in LOG_LEVELS
    return isinstance(value, int) and not isinstance(value, bool)


#: How each option is recognised, and in which words it is asked for.
_CHECKS: Final[dict[str, tuple[Callable[[Any], bool], str]]] = {
    "autoscale": (_is_autoscale, "two numbers, the most and the least: (10, 3)"),
    "concurrency": (_is_count, "a whole number of at least 1"),
    "disable_prefetch": (_is_flag, "True or False"),
    "exclude_queues": (_is_names, "a list of names"),
    "gossip": (_is_flag, "True or False"),
    "heartbeat": (_is_flag, "True or False"),
    "heartbeat_interval": (_is_seconds, "a number of seconds above 0"),
    "include": (_is_names, "a list of names"),
    "loglevel": (_is_level, "a level of logging, such as 'INFO' or logging.INFO"),
    "max_tasks_per_child": (_is_count, "a whole number of at least 1"),
    "mingle": (_is_flag, "True or False"),
    "optimization": (lambda value: value in ("default", "fair"), "'default' or 'fair'"),
    "pool": (_is_pool, "'prefork', 'solo' or 'threads'"),
    "prefetch_multiplier": (_is_whole, "a whole number of at least 0"),
    "purge": (_is_flag, "True or False"),
    "queues": (_is_names, "a list of names"),
    "soft_time_limit": (_is_seconds, "a number of seconds above 0"),
    "task_events": (_is_flag, "True or False"),
    "time_limit": (_is_seconds, "a number of seconds above 0"),
}


def read_options(app: Any, name: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return the options of worker ``name`` as Celery's ``Worker`` takes them.

    An option that is ``None`` counts as not given.  Raises :class:`~tqsim.UsageError` for one that
    ``celery worker`` and the application do not know, and for a wrong value, and
    :class:`~tqsim.UnsupportedError` for one that cannot be simulated.
    """
    own = {option.name for option in app.user_options.get("worker", ())}
    given = {option: value for option, value in options.items() if value is not None}
    for option, value in given.items():
        if option not in own:
            _check(name, option, value, own)
    for option in ("queues", "exclude_queues", "include"):
        if option in given:
            given[option] = list(str_to_list(given[option]))
    is_quiet = "gossip" not in given and "heartbeat" not in given
    for option in ("gossip", "mingle", "heartbeat"):
        given[f"without_{option}"] = not given.pop(option, False)
    if "autoscale" not in given and not _is_count(app.conf.worker_concurrency):
        given.setdefault("concurrency", CONCURRENCY)
    # An empty file name, so that ``worker_state_db`` does not name a real file.
    given.update(are_events_patient=is_quiet, quiet=True, statedb="")
    return given


def _check(name: str, option: str, value: Any, own: set[str]) -> None:
    if option in _ELSEWHERE:
        raise UnsupportedError(f"worker {name!r}: {option}={value!r} is not simulated: {_ELSEWHERE[option]}.")
    if option not in _CHECKS:
        accepted = ", ".join(sorted({*_CHECKS, *own, "app"}))
        raise UsageError(f"worker {name!r}: {option}={value!r} is not an option of a worker; accepted are: {accepted}.")
    is_right, expected = _CHECKS[option]
    if not is_right(value):
        raise UsageError(f"worker {name!r}: {option}={value!r} is not possible; expected {expected}.")
