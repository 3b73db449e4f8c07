"""Wake the queue's polling thread when there is something to do, so that it need not look often."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any


class Nudge:
    """Stands in for the wait between two looks of one thread.

    DBOS only polls: often, which costs an idle desk, or seldom, which costs the person who waits. Its thread waits on
    an event that tells it to stop; here that wait also ends when somebody says that a message has come.

    Args:
        thread: the name of the thread to wake.
        pause: least number of seconds between two looks, so that a burst is taken in few.
        patience: the same while there is enough to do without a look.
        is_busy: tells whether there is.
    """

    def __init__(self, thread: str, pause: float, patience: float, is_busy: Callable[[], bool]) -> None:
        self._thread = thread
        self._pause = pause
        self._patience = patience
        self._is_busy = is_busy
        self._given = threading.Event()
        self._hurried = threading.Event()
        self._closed = False
        self._last = 0.0
        self.attached = False

    def attach(self, dbos: Any) -> None:
        """Take the place of the wait; where DBOS has changed inside, it polls as it would anyway."""
        from dbos._dbos import _get_dbos_instance

        events = getattr(_get_dbos_instance(), "background_thread_stop_events", [])
        for stop in events:
            self._replace(stop)
        self.attached = bool(events)

    def give(self) -> None:
        """Wake the thread; where it has enough to do, it takes its time."""
        if not self._is_busy():
            self._hurried.set()
        self._given.set()

    def close(self) -> None:
        """Wake the thread and let it end."""
        self._closed = True
        self._hurried.set()
        self._given.set()

    def _replace(self, stop: threading.Event) -> None:
        plain = stop.wait

        def wait(timeout: float | None = None) -> bool:
            if threading.current_thread().name != self._thread:
                return plain(timeout)
            if not self._closed:
                time.sleep(self._since(self._pause))
                self._wait_while_busy()
                self._given.wait(timeout)
                self._given.clear()
                self._last = time.monotonic()
            return self._closed or stop.is_set()

        stop.wait = wait  # type: ignore[method-assign]

    def _wait_while_busy(self) -> None:
        while not self._closed and (left := self._since(self._patience)) and self._is_busy():
            self._hurried.wait(left)
            self._hurried.clear()

    def _since(self, pause: float) -> float:
        """Return how much of a pause since the last look is left."""
        return max(0.0, self._last + pause - time.monotonic())
