"""Run full CPython in bubblewrap: no network, the system read-only, everything else empty, limits on all it uses."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress

from qwendesk.tools.bubblewrap_driver import SOURCE
from qwendesk.tools.run_result import RunResult

_MEMORY = 512 * 1024 * 1024
_FILES = 32 * 1024 * 1024
_OUTPUT = 1024 * 1024
_PYTHONS = "/usr/bin:/usr/local/bin:/bin"
_LINKS = ("/bin", "/lib", "/lib64", "/sbin")


class Bubblewrap:
    """CPython in a sandbox of Linux namespaces; ``works()`` is False on machines without ``bwrap``."""

    def __init__(self, path: str | None = None) -> None:
        self._path = path
        self._works: bool | None = None
        self._trying = asyncio.Lock()

    async def works(self) -> bool:
        """Tell whether code can be run here; tried out once."""
        async with self._trying:
            if self._works is None:
                self._path = self._path or shutil.which("bwrap")
                self._works = bool(self._path) and (await self.run("6 * 7", timeout=10)).value == "42"
            return self._works

    async def run(self, code: str, timeout: float = 5.0) -> RunResult:
        """Run the code and return what it printed and the value of its last expression."""
        python = shutil.which("python3", path=_PYTHONS)
        if not self._path or not python:
            return RunResult(False, "", "This machine has no sandbox for full Python.", unsupported=True)
        try:
            process = await asyncio.create_subprocess_exec(
                *_command(self._path, python), stdin=PIPE, stdout=PIPE, stderr=DEVNULL, start_new_session=True, env={}
            )
        except OSError as error:
            return RunResult(False, "", f"The sandbox for full Python did not start: {error}", unsupported=True)
        try:
            async with asyncio.timeout(timeout + 1):
                answer = await _converse(process, json.dumps([code, timeout, _MEMORY]))
        except TimeoutError:
            return RunResult(False, "", f"TimeoutError: the code ran longer than {timeout:g} s")
        finally:
            await _kill(process)
        return _read(answer)


def _command(bwrap: str, python: str) -> list[str]:
    links = [part for link in _LINKS for part in _system(link)]
    return [
        *(bwrap, "--unshare-all", "--die-with-parent", "--new-session", "--cap-drop", "ALL"),
        *("--ro-bind", "/usr", "/usr", *links, "--proc", "/proc", "--dev", "/dev"),
        *("--size", str(_FILES), "--tmpfs", "/tmp", "--remount-ro", "/dev", "--remount-ro", "/"),
        *("--chdir", "/tmp", "--clearenv", "--setenv", "PYTHONUTF8", "1", "--", python, "-I", "-c", SOURCE),
    ]


def _system(path: str) -> list[str]:
    """Return the arguments for a folder beside ``/usr`` that is a link into it on most systems."""
    if os.path.islink(path):  # noqa: PTH114  # a Path would be resolved only to be turned back into text
        return ["--symlink", os.readlink(path), path]  # noqa: PTH115
    return ["--ro-bind-try", path, path]


async def _converse(process: Process, request: str) -> bytes:
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the process was started without pipes")
    with suppress(ConnectionError):
        process.stdin.write(request.encode() + b"\n")
        await process.stdin.drain()
    process.stdin.close()
    answer = bytearray()
    while len(answer) <= _OUTPUT and (piece := await process.stdout.read(65536)):
        answer += piece
    return bytes(answer)


async def _kill(process: Process) -> None:
    """End the process and all it started; its own process namespace ends with it."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    # communicate() reads what is left and so closes the pipes
    await process.communicate()


def _read(answer: bytes) -> RunResult:
    if len(answer) > _OUTPUT:
        return RunResult(False, "", "MemoryError: the code printed too much")
    try:
        output, error, value = json.loads(answer.splitlines()[-1])
    except (ValueError, IndexError):
        return RunResult(False, "", "The code ended the sandbox; it may need too much memory.")
    missing = str(error).startswith("ModuleNotFoundError")
    return RunResult(not error, str(output), str(error), value if value is None else str(value), unsupported=missing)
