"""The tests themselves: they assert, they do not wait, and their folders are described."""

from __future__ import annotations

import pytest

from tests.repo.document_rules import undescribed_folders
from tests.repo.sources import ROOT, Source, report, sources_of_tests
from tests.repo.testing_rules import asserts_nothing, sleeps


def test_every_test_asserts_something() -> None:
    findings = [finding for source in sources_of_tests() for finding in asserts_nothing(source)]
    assert not findings, report(findings)


def test_only_conformance_tests_sleep() -> None:
    sources = [source for source in sources_of_tests() if not source.path.startswith("tests/conformance/")]
    findings = [finding for source in sources for finding in sleeps(source)]
    assert not findings, report(findings)


def test_every_folder_of_tests_is_described() -> None:
    folders = {source.path.split("/")[1] for source in sources_of_tests() if source.path.count("/") > 1}
    readme = (ROOT / "tests" / "README.md").read_text(encoding="utf-8")
    assert undescribed_folders(folders, readme) == []


def test_the_folder_rule_finds_a_folder_without_a_row() -> None:
    assert undescribed_folders(["unit", "new"], "| `unit/` | one module |\nsee `new/`\n") == ["new"]


@pytest.mark.parametrize(
    "body",
    [
        "assert x",
        "with pytest.raises(ValueError): f()",
        "check_table(x)",
        "sim.check(nothing_lost())",
        "result.stdout.fnmatch_lines(['*'])",
        "pytest.fail('no')",
    ],
)
def test_the_assertion_rule_accepts(body: str) -> None:
    assert asserts_nothing(Source("tests/unit/test_m.py", f"def test_x():\n    {body}\n")) == []


@pytest.mark.parametrize("body", ["pass", "f(x)", "'assert x'", "result.failed()", "'''Assert that it works.'''"])
def test_the_assertion_rule_finds(body: str) -> None:
    findings = asserts_nothing(Source("tests/unit/test_m.py", f"class TestX:\n    def test_x(self):\n        {body}\n"))
    assert [finding.message for finding in findings] == ["test_x asserts nothing"]


def test_the_assertion_rule_leaves_helpers_alone() -> None:
    assert asserts_nothing(Source("tests/unit/helpers.py", "def test_data(): return 1\n")) == []


@pytest.mark.parametrize(
    "text",
    [
        "import time\ndef test_x():\n    time.sleep(1)\n",
        "from time import sleep\n@pytest.fixture\ndef x():\n    sleep(1)\n",
        "import time\nwith open('x'):\n    time.sleep(1)\n",
    ],
)
def test_the_sleep_rule_finds(text: str) -> None:
    assert len(sleeps(Source("m.py", text))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "import time\n@app.task(bind=True)\ndef work(self):\n    time.sleep(1)\n",
        "import time\n@shared_task\ndef work():\n    time.sleep(1)\n",
        "import time\nwith tqsim.Simulation(app) as s:\n    time.sleep(1)\n",
        "import time\ndef test_x(make):\n    with make(app) as sim:\n        time.sleep(1)\n",
        "import time\ndef fiber():\n    time.sleep(1)  # virtual\n",
        "def test_x(loop):\n    loop.sleep(1)\n",
    ],
)
def test_the_sleep_rule_leaves_alone(text: str) -> None:
    assert sleeps(Source("m.py", text)) == []
