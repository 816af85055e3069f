from __future__ import annotations

import threading
from typing import Any

import pytest
from billiard.einfo import ExceptionInfo
from billiard.pool import MaybeEncodingError
from celery.exceptions import Reject, Retry

from tqsim.worker.pipes import read, write


class Stop(BaseException):
    """It can be pickled."""


class TwoArguments(BaseException):
    """It can be pickled, but not unpickled."""

    def __init__(self, first: str, second: str) -> None:
        super().__init__(first)


def _einfo(error: BaseException) -> ExceptionInfo:
    try:
        raise error
    except BaseException:  # noqa: BLE001 - that is what it is for
        return ExceptionInfo()


@pytest.mark.parametrize(
    "outcome", [(True, (0, "'done'", 1.5)), (True, None), (True, (1, _einfo(Retry(exc=ValueError("no"))), None))]
)
def test_what_celery_has_made_sure_of_arrives_as_it_is(outcome: Any) -> None:
    assert read(write(outcome)) is outcome


def test_an_exception_arrives_as_a_copy() -> None:
    error = Stop("enough")

    has_returned, einfo = read(write((False, _einfo(error))))

    assert not has_returned
    assert (type(einfo.exception), einfo.exception.args) == (Stop, ("enough",))
    assert einfo.exception is not error


def test_what_cannot_be_pickled_arrives_as_an_error_that_says_so() -> None:
    einfo = _einfo(Reject(threading.Lock(), requeue=True))

    has_returned, arrived = read(write((True, (1, einfo, None))))

    assert not has_returned
    assert arrived.type is MaybeEncodingError
    assert "_thread.lock" in arrived.exception.exc


def test_what_cannot_be_unpickled_raises_where_it_is_read() -> None:
    content = write((False, _einfo(TwoArguments("one", "two"))))

    with pytest.raises(TypeError, match="missing 1 required positional argument: 'second'"):
        read(content)
