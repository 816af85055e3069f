from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.history.story import INFO, Story
from tqsim.errors import ClosedError, UsageError
from tqsim.history import MOMENTS, History, RunInfo

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
# Anything a recorder may hand over, JSON or not.
odd_values = json_values | st.tuples(json_values) | st.binary() | st.datetimes() | st.timedeltas() | st.dates()
recorded = st.lists(
    st.tuples(
        st.sampled_from(sorted(MOMENTS)),
        st.integers(min_value=0),
        st.text(max_size=4),
        st.none() | st.text(max_size=4),
        st.dictionaries(
            st.text(max_size=6).filter(lambda key: key not in ("at_us", "process", "task_id")),
            odd_values,
            max_size=4,
        ),
    ),
    max_size=10,
)


@given(told=recorded, seed=st.none() | st.integers() | st.text(), end_us=st.none() | st.integers(min_value=0))
def test_a_saved_history_comes_back_equal(
    told: list[tuple[str, int, str, str | None, dict[str, object]]],
    seed: int | str | None,
    end_us: int | None,
) -> None:
    history = History(RunInfo(seed=seed, policy="pct", versions={"celery": "5.7.0"}, reproduction="again"))
    for name, at_us, process, task_id, fields in told:
        history.record(name, at_us=at_us, process=process, task_id=task_id, **fields)
    history.seal(at_us=end_us)

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run.jsonl")
        history.save(path)
        loaded = History.load(path)

    assert loaded.digest == history.digest
    assert list(loaded.moments) == list(history.moments)
    assert loaded.info == history.info
    assert loaded.end_us == history.end_us
    assert loaded.tasks() == history.tasks()


def saved(folder: Path) -> Path:
    path = folder / "run.jsonl"
    Story().worker().publish("a").history().save(path)
    return path


def rewritten(path: Path, number: int, line: str | None) -> Path:
    """Replace the line with this number, counted from 1, or remove it."""
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[number - 1 : number] = [] if line is None else [line]
    path.write_text("".join(f"{kept}\n" for kept in lines), encoding="utf-8")
    return path


def refusal(path: Path) -> str:
    with pytest.raises(UsageError) as caught:
        History.load(path)
    return str(caught.value)


def test_a_file_has_the_circumstances_first_and_then_one_moment_per_line(tmp_path: Path) -> None:
    lines = saved(tmp_path).read_text(encoding="utf-8").splitlines()

    head = json.loads(lines[0])
    digest = head.pop("digest")
    assert head == {
        "format": "tqsim-history",
        "version": 1,
        "seed": 7,
        "policy": "fifo",
        "start": "2030-01-01T00:00:00+00:00",
        "versions": {"tqsim": "0.1.0"},
        "reproduction": "pytest --tqsim-seed=7",
        "moments": 4,
        "end_us": 0,
    }
    assert lines[1] == '[0,"process.started","w1",null,{"concurrency":1,"kind":"worker"}]'
    assert lines[2] == ('[0,"task.published","client","a",{"queue":"celery","retries":0,"task":"shop.charge"}]')
    moments = "".join(f"{line}\n" for line in lines[1:])
    assert hashlib.sha256(moments.encode()).hexdigest().startswith(digest)


def test_a_loaded_history_is_sealed(tmp_path: Path) -> None:
    history = History.load(str(saved(tmp_path)))

    with pytest.raises(ClosedError):
        history.record("note.written", at_us=0)
    assert history.info == INFO


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "none.jsonl"

    assert refusal(path) == (
        f"{path} cannot be read ([Errno 2] No such file or directory: '{path}'); expected a file of history.save()."
    )


@pytest.mark.parametrize("line", ["[]", "{}", '{"format": "other", "version": 1}'])
def test_a_file_of_another_format_is_refused(tmp_path: Path, line: str) -> None:
    path = rewritten(saved(tmp_path), 1, line)

    assert refusal(path) == (
        f"{path}, line 1: is not the head of a history; expected an object with "
        f'"format": "tqsim-history" and "version": 1.'
    )


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.jsonl"
    path.touch()

    assert refusal(path) == (
        f'{path}, line 1: is not JSON; expected an object with "format": "tqsim-history" and "version": 1.'
    )


def test_another_version_of_the_format_is_refused(tmp_path: Path) -> None:
    path = rewritten(saved(tmp_path), 1, '{"format": "tqsim-history", "version": 2}')

    assert refusal(path) == f"{path}, line 1: has the format version 2; expected version 1."


def test_a_head_without_an_entry_is_refused(tmp_path: Path) -> None:
    path = rewritten(saved(tmp_path), 1, '{"format": "tqsim-history", "version": 1}')

    assert refusal(path) == (
        f"{path}, line 1: has a wrong or missing entry ('seed'); expected seed, policy, start, versions, "
        f"reproduction, moments, end_us and digest."
    )


def test_a_file_that_ends_within_a_line_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path)
    path.write_text(path.read_text(encoding="utf-8")[:-10], encoding="utf-8")

    assert refusal(path) == f"{path}, line 5: is cut short; expected a line that ends with a line feed."


def test_a_file_that_lacks_lines_at_its_end_is_refused(tmp_path: Path) -> None:
    path = rewritten(saved(tmp_path), 5, None)

    assert refusal(path) == f"{path}, line 4: the file ends after 3 moments; expected 4, as its first line says."


def test_a_line_that_is_not_json_is_refused(tmp_path: Path) -> None:
    path = rewritten(saved(tmp_path), 3, "[0,")

    assert refusal(path) == f"{path}, line 3: is not JSON; expected [at_us, name, process, task_id, fields]."


@pytest.mark.parametrize(
    "line",
    [
        "{}",
        "[]",
        '[0.5,"task.started","w1",null,{}]',
        '[true,"task.started","w1",null,{}]',
        '[0,"task.started","w1",3,{}]',
    ],
)
def test_a_line_that_is_no_moment_is_refused(tmp_path: Path, line: str) -> None:
    path = rewritten(saved(tmp_path), 3, line)

    assert refusal(path) == (f"{path}, line 3: is not a moment; expected [at_us, name, process, task_id, fields].")


def test_a_moment_with_an_unknown_name_is_refused(tmp_path: Path) -> None:
    path = rewritten(saved(tmp_path), 3, '[0,"task.dreamt","w1",null,{}]')

    assert refusal(path) == (
        f"{path}, line 3: has the unknown moment 'task.dreamt'; expected a name of tqsim.history.MOMENTS."
    )


def test_a_moment_that_was_changed_is_noticed(tmp_path: Path) -> None:
    path = rewritten(saved(tmp_path), 2, '[0,"process.started","w1",null,{"concurrency":2,"kind":"worker"}]')
    kept = json.loads(path.read_text(encoding="utf-8").splitlines()[0])["digest"]
    lines = path.read_text(encoding="utf-8").splitlines()[1:]
    found = hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()[:16]

    assert refusal(path) == (
        f"{path}, line 1: the digest is {kept}, but the moments give {found}; expected a file that nobody "
        f"has changed since history.save()."
    )
