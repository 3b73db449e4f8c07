"""A child process for work that may go wrong: it inherits no keys, is limited in memory, and can always be ended."""

from __future__ import annotations

import asyncio
import faulthandler
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from qwendesk.isolation import Isolation

_INHERITED = ("PATH", "PYTHONPATH", "SYSTEMROOT", "LD_LIBRARY_PATH")
"""What the process is given of the environment: enough to start, no keys."""


async def start(module: str, isolation: Isolation | None = None) -> Process:
    """Run a module of Python's as a process of its own, with pipes to and from it.

    Args:
        module: its name.
        isolation: keeps it from files and network, as far as the machine can.

    Raises:
        OSError: it could not be started.
    """
    environment = {name: os.environ[name] for name in _INHERITED if name in os.environ} | {"PYTHONUTF8": "1"}
    # -P: what lies in the folder one happens to be in is not imported
    command = [sys.executable, "-P", "-m", module]
    if isolation:
        return await isolation.start(*command, environment=environment)
    return await asyncio.create_subprocess_exec(
        *command,
        stdin=PIPE,
        stdout=PIPE,
        stderr=DEVNULL,
        start_new_session=True,
        env=environment,
    )


async def end(process: Process) -> None:
    """End a process and all it started, and close its pipes before the event loop does."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            _kill(process)
    with suppress(ValueError, ConnectionError):
        await asyncio.shield(process.communicate())


def _kill(process: Process) -> None:
    if hasattr(os, "killpg"):
        os.killpg(process.pid, signal.SIGKILL)  # the process leads a session of its own
    else:
        process.kill()


def yield_processor() -> None:
    """Let this process give way to others where the processors are busy; as far as the system can."""
    if hasattr(os, "nice"):
        os.nice(10)


@contextmanager
def limited_time(seconds: float) -> Iterator[None]:
    """End this process where what is done takes longer; nobody may be left who would end it."""
    faulthandler.dump_traceback_later(seconds, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def limit_resources(memory: int) -> None:
    """Let this process have no more than so many bytes of memory, and write no files; as far as the system can."""
    try:
        import resource
    except ImportError:
        return
    for kind, most in ((resource.RLIMIT_AS, memory), (resource.RLIMIT_FSIZE, 0), (resource.RLIMIT_CORE, 0)):
        try:
            resource.setrlimit(kind, (most, most))
        except (ValueError, OSError):
            continue


def limit_cpu(seconds: float) -> None:
    """Let this process have so many more seconds of processor time, then be killed; as far as the system can."""
    try:
        import resource
    except ImportError:
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = int(used.ru_utime + used.ru_stime + seconds) + 1
    with suppress(ValueError, OSError):
        # the soft limit alone: it is raised again for the next piece of work
        resource.setrlimit(resource.RLIMIT_CPU, (most, resource.getrlimit(resource.RLIMIT_CPU)[1]))
