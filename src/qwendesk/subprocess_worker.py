"""Child processes for untrusted work: no inherited secrets, limited memory and time, always killable."""

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
"""Environment variables that the process inherits: enough to start, no secrets."""


async def start(module: str, isolation: Isolation | None = None) -> Process:
    """Start a Python module as a child process with pipes; cancelling it waits for the start and kills the process.

    Args:
        module: its name.
        isolation: keeps it from files and network, as far as the machine can.

    Raises:
        OSError: it could not be started.
    """
    # asyncio may wait for ever for the pipes of a process whose start is cancelled
    starting = asyncio.ensure_future(_start(module, isolation))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        ending = asyncio.ensure_future(_end_started(starting))
        while not ending.done():
            with suppress(asyncio.CancelledError):  # a further one must not leave the process behind
                await asyncio.shield(ending)
        raise


async def _end_started(starting: asyncio.Future[Process]) -> None:
    with suppress(OSError):
        await end(await starting)


async def _start(module: str, isolation: Isolation | None) -> Process:
    environment = {name: os.environ[name] for name in _INHERITED if name in os.environ} | {"PYTHONUTF8": "1"}
    # -P: modules in the current folder are not imported
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
    """Kill a process and its children, and close its pipes before the event loop does."""
    if process.returncode is None:
        with suppress(ProcessLookupError):
            _kill(process)
    with suppress(ValueError, ConnectionError):
        await asyncio.shield(process.communicate())


def _kill(process: Process) -> None:
    if hasattr(os, "killpg"):
        os.killpg(process.pid, signal.SIGKILL)  # the process is a session leader
    else:
        process.kill()


def yield_processor() -> None:
    """Lower this process's priority, if the system allows it."""
    if hasattr(os, "nice"):
        os.nice(10)


@contextmanager
def limited_time(seconds: float) -> Iterator[None]:
    """End this process after a time limit, since its parent may be gone."""
    faulthandler.dump_traceback_later(seconds, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()


def limit_resources(memory: int) -> None:
    """Limit this process's memory in bytes and forbid it to write files, if the system allows it."""
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
    """Limit this process's further CPU time in seconds, if the system allows it."""
    try:
        import resource
    except ImportError:
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    most = int(used.ru_utime + used.ru_stime + seconds) + 1
    with suppress(ValueError, OSError):
        # only the soft limit: it is raised for the next job
        resource.setrlimit(resource.RLIMIT_CPU, (most, resource.getrlimit(resource.RLIMIT_CPU)[1]))
