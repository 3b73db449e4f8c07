"""The wait between two looks at the queue: over at once where there is little to do, later where there is much."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest

from qwendesk.desk.dispatcher import DbosDispatcher
from qwendesk.desk.nudge import Nudge

NEVER = 3600.0


class Looker:
    """A thread that waits between two looks, as the queue's does."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        is_busy: Callable[[], bool],
        after_look: Callable[[], None] = lambda: None,
    ) -> None:
        self.stop = threading.Event()
        self._after_look = after_look
        instance = SimpleNamespace(background_thread_stop_events=[self.stop])
        monkeypatch.setattr("dbos._dbos._get_dbos_instance", lambda: instance)
        self.nudge = Nudge("looker", 0.0, NEVER, is_busy)
        self.nudge.attach(None)
        self.looks = threading.Semaphore(0)
        self.thread = threading.Thread(target=self._run, name="looker", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        while not self.stop.wait(NEVER):
            self._after_look()
            self.looks.release()

    def has_looked(self, seconds: float = 30.0) -> bool:
        return self.looks.acquire(timeout=seconds)

    def end(self) -> None:
        self.stop.set()
        self.nudge.close()
        self.thread.join(30)
        assert not self.thread.is_alive()


def test_whoever_has_little_to_do_looks_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looker = Looker(monkeypatch, lambda: False)
    for _ in range(3):
        looker.nudge.give()
        assert looker.has_looked()
    looker.end()


def test_whoever_has_enough_to_do_looks_when_it_gets_less(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = threading.Event()
    looker = Looker(monkeypatch, busy.is_set, busy.set)
    looker.nudge.give()
    assert looker.has_looked()
    for _ in range(3):
        looker.nudge.give()
    assert not looker.has_looked(0.3)
    busy.clear()
    looker.nudge.give()
    assert looker.has_looked()
    looker.end()


def test_the_thread_ends_though_there_is_much_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = threading.Event()
    asked = threading.Event()

    def is_busy() -> bool:
        asked.set()
        return busy.is_set()

    looker = Looker(monkeypatch, is_busy, busy.set)
    looker.nudge.give()
    assert looker.has_looked()
    asked.clear()
    assert asked.wait(30)  # the thread is at its wait, and there is much to do
    looker.end()


def test_there_is_enough_to_do_while_many_are_in_hand_and_one_has_just_ended() -> None:
    queue = DbosDispatcher("sqlite:///:memory:", concurrency=4)
    queue._in_hand, queue._ended = 3, time.monotonic()
    assert queue._is_busy()
    queue._in_hand = 2  # there is room for others
    assert not queue._is_busy()
    queue._in_hand, queue._ended = 4, time.monotonic() - 60  # slow ones: whoever comes is not kept waiting for them
    assert not queue._is_busy()


def test_one_of_two_leaves_room() -> None:
    queue = DbosDispatcher("sqlite:///:memory:", concurrency=2)
    queue._in_hand, queue._ended = 1, time.monotonic()
    assert not queue._is_busy()
