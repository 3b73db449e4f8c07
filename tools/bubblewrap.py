"""Run CPython in bubblewrap, without network, with a read-only system and with resource limits."""

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

from qwendesk import subprocess_worker
from qwendesk.isolation import NOBODY, build_system_call_filter, filter_pipe, system_links

MEMORY_LIMIT_BYTES = 512 * 1024 * 1024
"""Maximum address space of the code, in bytes."""
_TMP_BYTES = 32 * 1024 * 1024
_MAX_ANSWER_BYTES = 128 * 1024
"""Maximum size of an answer, in bytes."""
_QUEUE_TIMEOUT_SECONDS = 30.0
_PYTHONS = "/usr/bin:/usr/local/bin:/bin"
_FILTER = "FILTER"
"""Placeholder in the command line for the descriptor of the seccomp filter."""
_COUNTED_ALONE = (5, 14)
"""First Linux version that counts a user's processes per user namespace."""


@dataclass(frozen=True, slots=True)
class RunResult:
    """The outcome of one run."""

    ok: bool
    output: str
    """Printed text, even before an error; at most the first ``value_text.MAX_OUTPUT_CHARS`` characters."""
    error: str
    """The error, such as ``ZeroDivisionError: division by zero (line 3)``; empty if there was none."""
    value: str | None = None
    """Value of the last expression, as text; None if there is none."""
    unsupported: bool = False
    """Whether the sandbox lacks a feature that the code needs, or ran nothing: the failure is then not the code's."""
    printed: int = 0
    """Number of printed characters, without trailing line breaks."""
    defines: str = ""
    """Names of the functions and classes that the code defines, if it does nothing else."""


def not_run(why: str) -> RunResult:
    """Return the result for code that did not run, or not to its end, for an external reason."""
    return RunResult(False, "", why, unsupported=True)


class Bubblewrap:
    """CPython in a sandbox of Linux namespaces; ``works()`` returns False on machines without ``bwrap``.

    If the desk runs as root, the sandbox runs as ``nobody``; if that is impossible, no code runs.

    Args:
        path: path of the program; None: ``bwrap`` from the search path.
        max_concurrent: maximum number of concurrent runs.
    """

    def __init__(self, path: str | None = None, max_concurrent: int = 2) -> None:
        self._path = path
        self._command: list[str] | None = None
        self._filter = b""
        self._works: bool | None = None
        self._trying = asyncio.Lock()
        self._free = asyncio.Semaphore(max_concurrent)
        self.problem = ""
        """Reason why no code can run; empty before the first call of ``works()``, and if the sandbox works."""

    async def works(self) -> bool:
        """Return whether code can run on this machine, from one trial run."""
        async with self._trying:
            if self._works is None:
                result = await self.run("6 * 7", timeout=10)
                self._works = result.value == "42"
                if not self._works:
                    why = result.error if result.unsupported else "bubblewrap cannot make its namespaces here"
                    self.problem = why
            return self._works

    async def run(self, code: str, timeout: float = 5.0) -> RunResult:
        """Run the code; return its output and the value of its last expression."""
        try:
            async with asyncio.timeout(_QUEUE_TIMEOUT_SECONDS):
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
            self._filter = await asyncio.to_thread(build_system_call_filter)
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
        descriptor = filter_pipe(self._filter)
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
    """Return the command line of the driver, with a placeholder for the filter's descriptor.

    Raises:
        OSError: a required program or file is missing.
    """
    bwrap, python = shutil.which(path or "bwrap"), shutil.which("python3", path=_PYTHONS)
    if not bwrap or not python:
        raise FileNotFoundError("bubblewrap is not installed" if python else "there is no python3 in /usr")
    return [
        *_unprivileged(),
        *(bwrap, "--unshare-all", "--unshare-user", "--disable-userns", "--die-with-parent", "--new-session"),
        *("--cap-drop", "ALL", "--seccomp", _FILTER),
        *("--ro-bind", "/usr", "/usr", *system_links(), "--proc", "/proc", "--dev", "/dev"),
        *("--size", str(_TMP_BYTES), "--tmpfs", "/tmp", "--remount-ro", "/dev", "--remount-ro", "/proc"),
        *("--remount-ro", "/", "--chdir", "/tmp", "--clearenv", "--setenv", "PYTHONUTF8", "1"),
        *("--", python, "-I", "-c", driver()),
    ]


def _unprivileged() -> list[str]:
    """Return the command prefix that drops root privileges; empty if the process is not root.

    Raises:
        OSError: the process is root, and no program can change the user.
    """
    if os.geteuid() != 0:
        return []
    import pwd  # Windows lacks this module and never gets here

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
    """Return the source of the program that runs in the sandbox."""
    folder = files("qwendesk.tools")
    texts = [(folder / name).read_text("utf-8") for name in ("value_text.py", "bubblewrap_driver.py")]
    body = [node for text in texts for node in ast.parse(text).body if not _is_own(node)]
    return "from __future__ import annotations\n" + ast.unparse(ast.Module(body, []))


def _is_own(node: ast.stmt) -> bool:
    """Return whether a statement imports from this package, which the sandbox lacks, or from ``__future__``."""
    return isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in ("qwendesk", "__future__")


def _counts_alone() -> bool:
    """Return whether a process limit in the sandbox counts only the sandbox's processes, not all of the user's."""
    release = platform.release().split(".")
    return release[0].isdigit() and (int(release[0]), int(release[1])) >= _COUNTED_ALONE


async def _converse(process: Process, request: str, answer: bytearray) -> None:
    """Send a request, and append output to ``answer`` until the process ends."""
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("the process was started without pipes")
    with suppress(ConnectionError):
        process.stdin.write(request.encode() + b"\n")
        await process.stdin.drain()
    process.stdin.close()
    while len(answer) <= _MAX_ANSWER_BYTES and (piece := await process.stdout.read(65536)):
        answer += piece


def _read(answer: bytes) -> RunResult:
    """Parse an answer, which hostile code may have forged; its size is limited and its format is not nested."""
    if len(answer) > _MAX_ANSWER_BYTES:
        return RunResult(False, "", "MemoryError: the code printed too much")
    result, rest = _first(answer)
    second, _ = _first(rest) if rest else (None, b"")
    return second or result or RunResult(False, "", "The code ended the sandbox; it may need too much memory.")


def _first(answer: bytes) -> tuple[RunResult | None, bytes]:
    """Parse the driver's first answer; return it with the remaining bytes, or None if it is incomplete."""
    head, _, texts = answer.partition(b"\n")
    try:
        ok, printed, *sizes = [int(number) for number in head[:100].decode("ascii", "replace").split(" ")]
        output, error, value, defines = _cut_apart(texts, sizes)
    except ValueError:  # not numbers, too few numbers, or less text than announced
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
