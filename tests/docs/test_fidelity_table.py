"""The table of rules on the page about fidelity: its words, and the tests that it names."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Final, NamedTuple

import pytest

_ROOT: Final = Path(__file__).parents[2]
_PAGE: Final = _ROOT / "docs" / "explanation" / "fidelity.md"
_BROKERS: Final = ("RabbitMQ, classic queue", "RabbitMQ, quorum queue", "Redis")
_WITH_TESTS: Final = ("equal to real", "simulated")
_WITHOUT: Final = ("not simulated", "does not exist there")
_REFERENCE: Final = re.compile(r"`(?P<module>[\w/]+)::(?P<test>\w+)`")

#: Collects in a process of its own, and prints the tests that have the mark, and those that have not.
_COLLECT: Final = """
import json, pytest
found = [set(), set()]
class Plugin:
    def pytest_collection_finish(self, session):
        for item in session.items:
            found[item.get_closest_marker("conformance") is None].add(item.nodeid.partition("[")[0])
pytest.main(["--collect-only", "-q", "-m", "not bench", "tests/conformance"], plugins=[Plugin()])
print(json.dumps([sorted(tests) for tests in found]))
"""


class Claim(NamedTuple):
    """One cell: what is said of a rule on a broker, and the tests that show it."""

    rule: str
    broker: str
    word: str
    tests: tuple[str, ...]


def _claims() -> list[Claim]:
    section = _PAGE.read_text(encoding="utf-8").split("\n## Rule by rule\n")[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"]
    assert rows[0] == ["Rule", *_BROKERS]
    claims = []
    for rule, *cells in rows[2:]:
        if rule.startswith("**"):  # a heading
            assert cells == [""] * len(_BROKERS)
            continue
        for broker, cell in zip(_BROKERS, cells, strict=True):
            word, _, tests = cell.partition(": ")
            references = [_REFERENCE.fullmatch(text) for text in tests.split(", ") if text]
            assert all(references), f"{rule}, {broker}: {cell}"
            claims.append(Claim(rule, broker, word, tuple(_node(match) for match in references if match)))
    return claims


def _node(match: re.Match[str]) -> str:
    """Return the test as pytest names it: below ``tests/conformance``, unless folders are given."""
    folder, _, module = match["module"].rpartition("/")
    return f"tests/{folder or 'conformance'}/test_{module}.py::test_{match['test']}"


_CLAIMS: Final = _claims()


def _tests_in(path: Path) -> set[str]:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.parse(path.read_text()).body if isinstance(node, functions)}


def test_every_cell_has_one_of_four_words_and_tests_where_they_belong() -> None:
    wrong = [
        claim
        for claim in _CLAIMS
        if not (claim.word in _WITH_TESTS and claim.tests) and not (claim.word in _WITHOUT and not claim.tests)
    ]
    assert wrong == []


def test_no_rule_stands_there_twice() -> None:
    rules = [(claim.rule, claim.broker) for claim in _CLAIMS]
    assert len(set(rules)) == len(rules)


@pytest.mark.parametrize("claim", [claim for claim in _CLAIMS if claim.tests], ids=lambda c: f"{c.rule}, {c.broker}")
def test_named_tests_exist(claim: Claim) -> None:
    for test in claim.tests:
        path, name = test.split("::")
        assert (_ROOT / path).exists(), path
        assert name in _tests_in(_ROOT / path), test


@pytest.mark.slow
def test_what_is_equal_to_real_runs_on_both() -> None:
    """Each of its tests has a case with the mark ``conformance``, and its module one without."""
    real, simulated = _collected()
    equal = sorted({test for claim in _CLAIMS if claim.word == "equal to real" for test in claim.tests})
    assert equal
    assert [test for test in equal if test not in real] == []
    modules = {test.split("::")[0] for test in simulated}
    assert [test for test in equal if test.split("::")[0] not in modules] == []


def _collected() -> tuple[set[str], set[str]]:
    """Return the conformance tests that have a case with the mark and those that have one without."""
    done = subprocess.run([sys.executable, "-c", _COLLECT], cwd=_ROOT, capture_output=True, text=True, check=True)
    marked, plain = json.loads(done.stdout.splitlines()[-1])
    return set(marked), set(plain)
