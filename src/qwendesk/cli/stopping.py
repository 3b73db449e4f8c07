"""Stop a service when the system says so, and end its process where it does not stop in time."""

from __future__ import annotations

import asyncio
import faulthandler
import os
import signal
import sys
import threading
from contextlib import suppress
from types import FrameType

GRACE = 10.0
"""Seconds that a service has for closing what it holds, beyond those for the answers in progress."""
_LAST = 3.0
"""Seconds after which the process is ended even where the interpreter itself is held up."""


def listen(limit: float) -> asyncio.Event:
    """Return what is set once SIGTERM or Ctrl-C tells the process to stop; the second one ends it at once.

    Args:
        limit: seconds after which a process that was told to stop is ended, whatever it does; it exits with 1 then.
    """
    told = asyncio.Event()
    loop = asyncio.get_running_loop()

    def tell(number: int, frame: FrameType | None) -> None:
        # a handler of the interpreter, not of the loop: it is called also while something holds up the loop
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        end_after(limit)
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(told.set)

    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, tell)
    return told


def end_after(seconds: float) -> None:
    """End this process after so many seconds, unless it has ended by then."""
    timer = threading.Timer(seconds, _end, [seconds])
    timer.daemon = True
    timer.start()
    with suppress(RuntimeError, ValueError, AttributeError, OSError):  # stderr may be closed, or no file
        faulthandler.dump_traceback_later(seconds + _LAST, exit=True)


def _end(seconds: float) -> None:
    with suppress(Exception):
        sys.stderr.write(
            f"The desk did not stop within {seconds:g} s and is ended; the next start answers what was left.\n"
        )
        sys.stderr.flush()
    os._exit(1)
