from __future__ import annotations

import queue
import threading
import time
from typing import Any

import pytest

from tests.unit.kernel.kernels import kernel
from tqsim.errors import NoProgress
from tqsim.kernel import Kernel, Process
from tqsim.kernel.fibers import Fiber
from tqsim.kernel.locks import VirtualLock, VirtualRLock


def start(simulation: Kernel, body: Any, process: Process | None = None) -> Fiber:
    return simulation.loop.spawn(body, "f", process or simulation.main)


def test_locks_made_in_a_simulation_are_virtual_and_real_ones_outside() -> None:
    real: Any = (type(threading.Lock()), type(threading.RLock()))
    with kernel():
        inside: Any = type(threading.Lock()), type(threading.RLock())

    assert inside == (VirtualLock, VirtualRLock)
    assert (type(threading.Lock()), type(threading.RLock())) == real


def test_a_lock_is_handed_on_in_the_order_of_waiting() -> None:
    log: list[tuple[str, float]] = []
    with kernel() as simulation:
        lock = threading.Lock()

        def body(name: str) -> None:
            with lock:
                time.sleep(1)  # virtual
                log.append((name, simulation.now_s))

        for name in "abc":
            start(simulation, lambda name=name: body(name))
        simulation.run_until(10**7)

        assert (log, lock.locked()) == ([("a", 1.0), ("b", 2.0), ("c", 3.0)], False)


def test_waiting_for_a_lock_times_out_in_virtual_time() -> None:
    with kernel() as simulation:
        lock = threading.Lock()
        lock.acquire()

        assert (lock.acquire(timeout=2.5), simulation.now_s) == (False, 2.5)
        assert (lock.acquire(blocking=False), lock.acquire(timeout=0), simulation.now_s) == (False, False, 2.5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((False, 1), "can't specify a timeout for a non-blocking call"),
        ((True, -2), "timeout value must be a non-negative number"),
    ],
)
def test_wrong_arguments_are_refused_as_by_a_native_lock(arguments: tuple[Any, ...], message: str) -> None:
    with kernel():
        with pytest.raises(ValueError, match=f"^{message}$"):
            threading.Lock().acquire(*arguments)


def test_a_lock_that_is_not_held_cannot_be_released() -> None:
    with kernel():
        with pytest.raises(RuntimeError, match=r"^release unlocked lock$"):
            threading.Lock().release()
        with pytest.raises(RuntimeError, match=r"^cannot release un-acquired lock$"):
            threading.RLock().release()


def test_an_rlock_belongs_to_a_fiber() -> None:
    log: list[Any] = []
    with kernel() as simulation:
        lock = threading.RLock()

        def body(name: str) -> None:
            with lock, lock:
                log.append(f"{name} in")
                time.sleep(1)  # virtual
                log.append(f"{name} out")

        for name in "ab":
            start(simulation, lambda name=name: body(name))
        simulation.run_until(10**7)

    assert log == ["a in", "a out", "b in", "b out"]


def test_another_fiber_cannot_release_an_rlock() -> None:
    with kernel() as simulation:
        lock = threading.RLock()
        lock.acquire()
        fiber = start(simulation, lock.release)
        simulation.run_until(1)

        assert repr(fiber.error) == "RuntimeError('cannot release un-acquired lock')"


def test_a_lock_is_passed_on_when_its_heir_is_interrupted() -> None:
    """The signal comes after the lock was handed over and before the heir runs again."""
    log: list[str] = []
    with kernel() as simulation:
        loop, lock = simulation.loop, threading.Lock()

        def heir() -> None:
            with lock:
                log.append("never")

        def next_one() -> None:
            with lock:
                log.append("next")

        lock.acquire()
        fiber = start(simulation, heir)
        start(simulation, next_one)
        simulation.run_until(1)
        lock.release()
        loop.interrupt(fiber, _raise_interrupted)
        simulation.run_until(2)

        assert (log, repr(fiber.error), lock.locked()) == (["next"], "InterruptedError('signal')", False)


def _raise_interrupted() -> None:
    raise InterruptedError("signal")


def test_a_lock_is_passed_on_when_an_error_is_thrown_into_its_heir() -> None:
    with kernel() as simulation:
        lock = threading.Lock()
        lock.acquire()
        fiber = start(simulation, lock.acquire)
        simulation.run_until(1)
        lock.release()
        simulation.loop.throw(fiber, ValueError("stop"))
        simulation.run_until(2)

        assert (lock.locked(), lock.acquire(timeout=1)) == (False, True)


def test_a_lock_is_free_when_its_heir_was_killed() -> None:
    with kernel() as simulation:
        lock, process = threading.Lock(), simulation.new_process("w1")
        lock.acquire()
        start(simulation, lock.acquire, process)
        simulation.run_until(1)
        lock.release()
        simulation.end_process(process, -9)

        assert (lock.acquire(timeout=1), simulation.loop.now_us) == (True, 1)


def test_a_deadlock_is_named() -> None:
    with kernel():
        lock = threading.Lock()
        lock.acquire()
        with pytest.raises(NoProgress, match=r"^Nothing is left to happen at 0s, and main waits for a lock\."):
            lock.acquire()


def test_a_foreign_thread_and_a_fiber_exclude_each_other() -> None:
    """Such as a debugger's thread or pytest-timeout's."""
    answers: list[Any] = []
    with kernel():
        lock = threading.RLock()
        lock.acquire()
        threads = [_real_thread(lambda: answers.append(lock.acquire(timeout=0.01)))]
        threads[0].real_join()
        lock.release()
        threads.append(_real_thread(lambda: answers.append(lock.acquire(timeout=0.01))))
        threads[1].real_join()

    assert answers == [False, True]


def test_a_lock_of_a_simulation_still_excludes_after_its_end() -> None:
    with kernel():
        lock, reentrant = threading.Lock(), threading.RLock()
    answers: list[Any] = []
    with lock, reentrant, reentrant:
        for one in (lock, reentrant):
            thread = threading.Thread(target=lambda one=one: answers.append(one.acquire(timeout=0.01)))
            thread.start()
            thread.join()

    assert (answers, lock.locked()) == ([False, False], False)


class _RealThread(threading.Thread):
    real_start, real_join = threading.Thread.start, threading.Thread.join


def _real_thread(target: Any) -> _RealThread:
    thread = _RealThread(target=target)
    thread._started = _RealEvent()  # type: ignore[attr-defined]
    thread.real_start()
    return thread


class _RealEvent:
    """What ``Thread.start`` needs of an event, without a simulated lock."""

    def __init__(self) -> None:
        self._is_set = False

    def set(self) -> None:
        self._is_set = True

    def is_set(self) -> bool:
        return self._is_set

    def wait(self) -> None:
        while not self._is_set:
            pass


def test_conditions_events_semaphores_and_barriers_wait_in_virtual_time() -> None:
    log: list[Any] = []
    with kernel() as simulation:
        condition, event = threading.Condition(), threading.Event()
        semaphore, barrier = threading.Semaphore(1), threading.Barrier(2)

        def other() -> None:
            time.sleep(1)  # virtual
            with condition:
                condition.notify()
            time.sleep(1)  # virtual
            event.set()
            time.sleep(1)  # virtual
            semaphore.release()
            time.sleep(1)  # virtual
            barrier.wait()

        semaphore.acquire()
        threading.Thread(target=other).start()
        with condition:
            log.append((condition.wait(timeout=9), simulation.now_s))
        log.append((event.wait(timeout=9), simulation.now_s))
        log.append((semaphore.acquire(timeout=9), simulation.now_s))
        log.append((barrier.wait() in (0, 1), simulation.now_s))
        log.append((event.is_set() and not semaphore.acquire(timeout=1), simulation.now_s))

    assert log == [(True, 1.0), (True, 2.0), (True, 3.0), (True, 4.0), (True, 5.0)]


@pytest.mark.parametrize("kind", ["Queue", "LifoQueue", "PriorityQueue", "SimpleQueue"])
def test_queues_wait_in_virtual_time(kind: str) -> None:
    with kernel() as simulation:
        waiting = getattr(queue, kind)()
        threading.Timer(2, lambda: waiting.put(7)).start()

        assert (waiting.get(timeout=5), simulation.now_s) == (7, 2.0)
        with pytest.raises(queue.Empty):
            waiting.get(timeout=3)
        assert simulation.now_s == 5.0


def test_a_full_queue_makes_the_producer_wait() -> None:
    with kernel() as simulation:
        waiting: queue.Queue[int] = queue.Queue(1)
        waiting.put(1)

        def take() -> None:
            time.sleep(2)  # virtual
            waiting.get()
            waiting.task_done()

        threading.Thread(target=take).start()
        waiting.put(2, timeout=5)

        assert simulation.now_s == 2.0
        with pytest.raises(queue.Full):
            waiting.put(3, timeout=1)
        waiting.get()
        waiting.task_done()
        waiting.join()
        assert simulation.now_s == 3.0
