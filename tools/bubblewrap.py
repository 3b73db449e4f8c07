"""Run full CPython in bubblewrap: no network, the system read-only, everything else empty, limits on all it uses."""

from __future__ import annotations

import ast
import asyncio
import json
import os
import platform
import shutil
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from dataclasses import dataclass
from importlib.resources import files

from qwendesk import subprocess_worker, system_calls
from qwendesk.isolation import NOBODY, system_links


@dataclass(frozen=True, slots=True)
class RunResult:
    """The outcome of one run."""

    ok: bool
    output: str
    """What the code printed, also before it failed; at most the first ``value_text.MAX_OUTPUT_CHARS`` characters."""
    error: str
    """What went wrong, such as ``ZeroDivisionError: division by zero (line 3)``; empty when nothing did."""
    value: str | None = None
    """The value of the last expression, as text; None where there is none."""
    unsupported: bool = False
    """The sandbox lacks what the code needs, or ran nothing, so that its failure says nothing about the code."""
    printed: int = 0
    """How many characters the code printed, without line ends after them."""
    defines: str = ""
    """The names of what the code defines, where it does nothing else."""


def not_run(why: str) -> RunResult:
    """Return the outcome of code that was not run, or not to its end, for a reason that is not the code's."""
    return RunResult(False, "", why, unsupported=True)


MEMORY_LIMIT_BYTES = 512 * 1024 * 1024

"""Most memory a piece of code may use, in bytes of address space."""

_FILES = 32 * 1024 * 1024

_ANSWER = 128 * 1024

"""Most bytes that are taken of an answer."""

_PATIENCE = 30.0

_PYTHONS = "/usr/bin:/usr/local/bin:/bin"

_FILTER = "FILTER"

"""Stands in a command line for the number of the descriptor that the filter is read from."""

_COUNTED_ALONE = (5, 14)

"""The first Linux that counts a user's processes in each user namespace by themselves."""


class Bubblewrap:
    """CPython in a sandbox of Linux namespaces; ``works()`` is False on machines without ``bwrap``.

    A desk that runs as root has the sandbox run as ``nobody``; where that cannot be done, nothing is run.

    Args:
        path: the program; None: the ``bwrap`` of the search path.
        at_once: how many pieces of code run at the same time.
    """

    def __init__(self, path: str | None = None, at_once: int = 2) -> None:
        self._path = path
        self._command: list[str] | None = None
        self._filter = b""
        self._works: bool | None = None
        self._trying = asyncio.Lock()
        self._free = asyncio.Semaphore(at_once)
        self.problem = ""
        """Why nothing can be run here; empty as long as ``works()`` has not been asked, and where it works."""

    async def works(self) -> bool:
        """Tell whether code can be run here; tried out once."""
        async with self._trying:
            if self._works is None:
                result = await self.run("6 * 7", timeout=10)
                self._works = result.value == "42"
                if not self._works:
                    why = result.error if result.unsupported else "bubblewrap cannot make its namespaces here"
                    self.problem = why
            return self._works

    async def run(self, code: str, timeout: float = 5.0) -> RunResult:
        """Run the code and return what it printed and the value of its last expression."""
        try:
            async with asyncio.timeout(_PATIENCE):
                await self._free.acquire()
        except TimeoutError:
            return not_run("The sandbox is busy; try again.")
        try:
            return await self._run(code, timeout)
        except OSError as error:
            return not_run(f"The sandbox for full Python did not start: {error}")
        finally:
            self._free.release()

    async def _run(self, code: str, timeout: float) -> RunResult:
        if self._command is None:
            self._filter = await asyncio.to_thread(system_calls.build_filter)
            self._command = await asyncio.to_thread(_command, self._path)
        process = await self._start(self._command)
        answer = bytearray()
        try:
            async with asyncio.timeout(timeout + 1):
                await _converse(process, json.dumps([code, timeout, MEMORY_LIMIT_BYTES, _counts_alone()]), answer)
        except TimeoutError:
            if not answer:
                return RunResult(False, "", f"TimeoutError: the code ran longer than {timeout:g} s")
        finally:
            await subprocess_worker.end(process)
        return _read(bytes(answer))

    async def _start(self, command: list[str]) -> Process:
        descriptor = system_calls.as_pipe(self._filter)
        try:
            return await asyncio.create_subprocess_exec(
                *(str(descriptor) if part == _FILTER else part for part in command),
                stdin=PIPE,
                stdout=PIPE,
                stderr=DEVNULL,
                start_new_session=True,
                pass_fds=(descriptor,),
                env={},
            )
        finally:
            os.close(descriptor)


def _command(path: str | None) -> list[str]:
    """Return the command line that runs the driver, with a stand-in for the filter's descriptor.

    Raises:
        OSError: something that it needs is not on this machine.
    """
    bwrap, python = shutil.which(path or "bwrap"), shutil.which("python3", path=_PYTHONS)
    if not bwrap or not python:
        raise FileNotFoundError("bubblewrap is not installed" if python else "there is no python3 in /usr")
    return [
        *_unprivileged(),
        *(bwrap, "--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent", "--new-session"),
        *("--cap-drop", "ALL", "--seccomp", _FILTER),
        *("--ro-bind", "/usr", "/usr", *system_links(), "--proc", "/proc", "--dev", "/dev"),
        *("--size", str(_FILES), "--tmpfs", "/tmp", "--remount-ro", "/dev", "--remount-ro", "/proc"),
        *("--remount-ro", "/", "--chdir", "/tmp", "--clearenv", "--setenv", "PYTHONUTF8", "1"),
        *("--", python, "-I", "-c", driver()),
    ]


def _unprivileged() -> list[str]:
    """Return what has to stand before a command so that it never runs as root.

    Raises:
        OSError: this is root, and there is no program to become somebody else.
    """
    if os.geteuid() != 0:
        return []
    import pwd  # not on Windows, where this is never reached

    setpriv = shutil.which("setpriv")
    if not setpriv:
        raise PermissionError("code is not run as root: install setpriv (util-linux), or run the desk as another user")
    try:
        nobody = pwd.getpwnam("nobody")
        user, group = nobody.pw_uid, nobody.pw_gid
    except KeyError:
        user = group = NOBODY
    rights = ("--clear-groups", "--no-new-privs", "--inh-caps=-all", "--bounding-set=-all")
    return [setpriv, "--reuid", str(user), "--regid", str(group), *rights]


def driver() -> str:
    """Return the program that the sandbox's Python runs."""
    folder = files("qwendesk.tools")
    texts = [(folder / name).read_text("utf-8") for name in ("value_text.py", "bubblewrap_driver.py")]
    body = [node for text in texts for node in ast.parse(text).body if not _is_own(node)]
    return "from __future__ import annotations\n" + ast.unparse(ast.Module(body, []))


def _is_own(node: ast.stmt) -> bool:
    """Tell whether a line imports from this package, which the sandbox does not have, or from the future."""
    return isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in ("qwendesk", "__future__")


def _counts_alone() -> bool:
    """Tell whether a limit on the sandbox's processes counts them alone, not all of the user's."""
    release = platform.release().split(".")
    return release[0].isdigit() and (int(release[0]), int(release[1])) >= _COUNTED_ALONE


async def _converse(process: Process, request: str, answer: bytearray) -> None:
    """Send a request, and add to ``answer`` what comes back until the process ends."""
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the process was started without pipes")
    with suppress(ConnectionError):
        process.stdin.write(request.encode() + b"\n")
        await process.stdin.drain()
    process.stdin.close()
    while len(answer) <= _ANSWER and (piece := await process.stdout.read(65536)):
        answer += piece


def _read(answer: bytes) -> RunResult:
    """Read an answer, in which hostile code may have written: it has a bounded length, and nothing in it nests."""
    if len(answer) > _ANSWER:
        return RunResult(False, "", "MemoryError: the code printed too much")
    result, rest = _first(answer)
    second, _ = _first(rest) if rest else (None, b"")
    return second or result or RunResult(False, "", "The code ended the sandbox; it may need too much memory.")


def _first(answer: bytes) -> tuple[RunResult | None, bytes]:
    """Return the first of the driver's answers, and what follows; None where there is no whole one."""
    head, _, texts = answer.partition(b"\n")
    try:
        ok, printed, *sizes = [int(number) for number in head[:100].decode("ascii", "replace").split(" ")]
        output, error, value, defines = _cut_apart(texts, sizes)
    except ValueError:  # no numbers, not so many, or less text than they say
        return None, b""
    missing = error.startswith("ModuleNotFoundError")
    given = None if sizes[2] < 0 else value
    result = RunResult(bool(ok), output, error, given, missing, printed=max(0, printed), defines=defines)
    return result, texts[sum(max(0, size) for size in sizes) :]


def _cut_apart(texts: bytes, sizes: list[int]) -> list[str]:
    found, at = [], 0
    for size in sizes:
        end = at + max(0, size)
        if end > len(texts):
            raise ValueError("the answer has no end")
        found.append(texts[at:end].decode("utf-8", "replace"))
        at = end
    return found
