"""The product keeps no state in modules, and takes chance and time from the kernel alone."""

from __future__ import annotations

import pytest

from tests.repo.determinism_rules import module_state, real_time_and_chance
from tests.repo.sources import Source, report, sources_of_product

# The kernel makes virtual time and chance; the shop is a user's application and may do what users do.
MAY_USE_TIME_AND_CHANCE = ("tqsim/kernel/", "scenarios/shop/")


def test_only_the_kernel_touches_time_and_chance() -> None:
    sources = [source for source in sources_of_product() if not source.path.startswith(MAY_USE_TIME_AND_CHANCE)]
    findings = [finding for source in sources for finding in real_time_and_chance(source)]
    assert not findings, report(findings)


def test_no_module_of_tqsim_has_state() -> None:
    sources = [source for source in sources_of_product() if source.path.startswith("tqsim/")]
    findings = [finding for source in sources for finding in module_state(source)]
    assert not findings, report(findings)


@pytest.mark.parametrize(
    "text",
    [
        "import random",
        "from random import Random",
        "def f():\n    import secrets",
        "import time\ntime.sleep(1)",
        "from time import sleep as wait\nwait(1)",
        "import datetime as dt\ndt.datetime.now(dt.UTC)",
        "from datetime import datetime\nread = datetime.now",
        "import uuid\nuuid.uuid4()",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    pass\nelse:\n    import random",
    ],
)
def test_the_time_and_chance_rule_finds(text: str) -> None:
    assert len(real_time_and_chance(Source("m.py", text))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from random import Random",
        "def f(loop):\n    loop.sleep(1)",
        "from datetime import datetime\ndatetime.fromtimestamp(0)",
        "'''Replaces time.sleep and random.'''",
    ],
)
def test_the_time_and_chance_rule_leaves_alone(text: str) -> None:
    assert real_time_and_chance(Source("m.py", text)) == []


@pytest.mark.parametrize(
    "text",
    [
        "queues = {}",
        "queues: dict[str, int] = {}",
        "_seen = set()",
        "from collections import defaultdict as table\n_waiting = table(list)",
        "import itertools\n_number = itertools.count()",
        "class Broker:\n    queues = []",
        "TABLE = {}\ndef f():\n    TABLE['x'] = 1",
        "from typing import Final\n_table: Final = []\ndef f():\n    _table.append(1)",
        "TABLE = {}\ndef _f():\n    del TABLE['x']\ndef g():\n    _f()",
        "current = None\ndef f():\n    global current",
        "if True:\n    names = []",
        "try:\n    names = []\nexcept ImportError:\n    pass",
    ],
)
def test_the_state_rule_finds(text: str) -> None:
    assert len(module_state(Source("m.py", text))) == 1


@pytest.mark.parametrize(
    "text",
    [
        "__all__ = ['f']",
        "UNITS = {'s': 1}",
        "from typing import Final\n_units: Final[dict[str, int]] = {'s': 1}",
        "TABLE = {}\nTABLE['x'] = 1\ndef _add(name):\n    TABLE[name] = 1\n_add('y')",
        "names = ('a', 'b')\nkinds = frozenset({'a'})",
        "def f():\n    seen = set()\n    seen.add(1)",
        "class Broker:\n    names: list[str] = []",
        "class Broker:\n    def __init__(self):\n        self.queues = {}\n        self.queues['a'] = 1",
    ],
)
def test_the_state_rule_leaves_alone(text: str) -> None:
    assert module_state(Source("m.py", text)) == []
