from __future__ import annotations

import re
from collections.abc import MutableMapping
from typing import cast

import pytest

from tqsim.history import MOMENTS, moments


def test_every_name_is_a_noun_and_a_participle() -> None:
    assert [name for name in MOMENTS if not re.fullmatch(r"[a-z]+\.[a-z_]+", name)] == []


def test_every_name_has_a_meaning_and_a_constant() -> None:
    constants = {value: key for key, value in vars(moments).items() if key.isupper() and isinstance(value, str)}

    assert list(constants) == list(MOMENTS)
    assert [name for name, constant in constants.items() if constant != name.upper().replace(".", "_")] == []
    assert [name for name, meaning in MOMENTS.items() if not meaning] == []


def test_the_vocabulary_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        cast("MutableMapping[str, str]", MOMENTS)["task.dreamt"] = "no such thing"
