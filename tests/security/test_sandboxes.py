"""Code of a model is run without harm: both sandboxes, with what it leaves, what it costs and what it reaches for."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import psutil
import pytest

from qwendesk import Desk, Settings
from qwendesk.engines.scripted import ScriptedEngine
from qwendesk.tools.bubblewrap import Bubblewrap, RunResult
from qwendesk.tools.sandbox import PythonSandbox
from qwendesk.tools.value_text import MAX_ERROR_CHARS, MAX_OUTPUT_CHARS
from tests.security.hostile_code import BOMBS, ERRORS, GROWING, REACHES, SOURCES, VALUES

pytestmark = pytest.mark.slow

Run = Callable[..., Awaitable[RunResult]]
LONGEST_PAUSE = 3.0
"""Seconds that the event loop may stand still on a busy machine; a value turned into text there stands for hours."""


class NoBubblewrap(Bubblewrap):
    async def works(self) -> bool:
        return False


@asynccontextmanager
async def made(kind: str) -> AsyncIterator[Run]:
    sandbox = PythonSandbox(NoBubblewrap() if kind == "small" else None, max_concurrent=4)
    if kind == "full" and not await sandbox.bubblewrap.works():
        pytest.skip(f"no sandbox for full Python: {sandbox.bubblewrap.problem}")
    try:
        yield sandbox.run if kind == "small" else sandbox.bubblewrap.run
    finally:
        await sandbox.aclose()


@asynccontextmanager
async def watched() -> AsyncIterator[list[float]]:
    """Note how long the event loop stood still; the longest pause is the last item."""
    pauses = [0.0]

    async def look() -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0.01)
            pauses.append(max(pauses[-1], time.perf_counter() - before - 0.01))

    task = asyncio.create_task(look())
    try:
        yield pauses
    finally:
        task.cancel()


def check_is_short(result: RunResult) -> None:
    assert all(isinstance(getattr(result, field.name), str | int | None) for field in fields(result))
    assert len(result.output) <= MAX_OUTPUT_CHARS and len(result.value or "") <= MAX_OUTPUT_CHARS
    assert len(result.error) <= MAX_ERROR_CHARS + 20
    for text in (result.output, result.error, result.value or ""):
        text.encode()


async def run_all(kind: str, codes: dict[str, str], timeout: float) -> dict[str, RunResult]:
    async with made(kind) as run, watched() as pauses:
        results = await asyncio.gather(*(run(code, timeout=timeout) for code in codes.values()))
        after = await run("6 * 7", timeout=10)
    assert after.value == "42"
    assert pauses[-1] < LONGEST_PAUSE
    for result in results:
        check_is_short(result)
    return dict(zip(codes, results, strict=True))


BOTH = pytest.mark.parametrize("kind", ["small", "full"])


@BOTH
async def test_no_value_is_too_much(kind: str) -> None:
    results = await run_all(kind, VALUES, 20)
    # the small interpreter lacks some of these
    assert [name for name, result in results.items() if not (result.ok or result.unsupported)] == []
    assert results["list doubled"].value and results["list doubled"].value.startswith("[[[[")
    assert results["assigned, not shown"].value == results["list doubled"].value
    assert results["huge number"].value == "a number of 2807355 bits"
    assert results["chain of instances"].value


@BOTH
async def test_no_error_is_too_much(kind: str) -> None:
    results = await run_all(kind, ERRORS, 20)
    assert [name for name, result in results.items() if result.ok] == []
    assert results["division"].printed == 100_000


@BOTH
async def test_no_source_is_too_much(kind: str) -> None:
    results = await run_all(kind, SOURCES, 20)
    assert [name for name, result in results.items() if not (result.ok or result.error)] == []
    assert results["many lines"].ok


@BOTH
@pytest.mark.slow
async def test_no_bomb_harms(kind: str) -> None:
    results = await run_all(kind, BOMBS, 0.5)
    assert [name for name, result in results.items() if result.ok] == []


@BOTH
async def test_nothing_outside_is_reached(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QWENDESK_TEST_SECRET", "secret")
    results = await run_all(kind, REACHES, 20)
    assert [name for name, result in results.items() if result.ok] == []


async def test_a_value_that_grows_on_its_way_out_is_ended_with_its_worker() -> None:
    results = await run_all("small", {"growing": GROWING}, 0.5)
    assert results["growing"].error.startswith("TimeoutError")


HOSTILE_SHOWS = {
    "long": "class A:\n    def __repr__(self):\n        return 'x' * 10**7\nA()",
    "no text": "class A:\n    def __repr__(self):\n        return 5\n[A()]",
    "exit": "class A:\n    def __repr__(self):\n        raise SystemExit\n[A()]",
    "recursion": "class A:\n    def __repr__(self):\n        return repr(self)\nA()",
    "text": "class A(str):\n    def __len__(self):\n        raise SystemExit\nA('x')",
    "number": "class A(int):\n    def bit_length(self):\n        raise KeyboardInterrupt\nA(5)",
    "iteration": "class A(list):\n    def __iter__(self):\n        while True:\n            yield self\nA([1])",
    "class of a class": (
        "class M(type):\n    def __repr__(self):\n        return 'x' * 10**7\nclass A(metaclass=M):\n    pass\nA"
    ),
    "error": "class E(Exception):\n    def __str__(self):\n        return 'y' * 10**7\nE()",
}


ENDLESS_SHOWS = {
    "loop": "class A:\n    def __repr__(self):\n        while True:\n            pass\nprint('x')\nA()",
    "sleep": "import time\nclass A:\n    def __repr__(self):\n        time.sleep(100)\nprint('x')\n[A()]",
    "recursion": "class A(list):\n    def __repr__(self):\n        return repr(self)\nprint('x')\nA()",
}


async def test_code_that_ran_has_run_even_where_its_value_cannot_be_shown() -> None:
    for result in (await run_all("full", ENDLESS_SHOWS, 1)).values():
        assert (result.ok, result.output) == (True, "x\n")
        assert result.value and result.value.startswith("a value that could not be shown")


async def test_a_value_that_shows_itself_is_cut() -> None:
    results = await run_all("full", HOSTILE_SHOWS, 20)
    assert [name for name, result in results.items() if not result.ok] == []


SABOTAGE = {
    "answer twice": (
        "import os\nfor fd in range(3, 64):\n    try:\n        os.write(fd, b'1 0 0 0 2 0\\n42' * 2)\n"
        "    except OSError:\n        pass"
    ),
    "flood of the answer": (
        "import os\nwhile True:\n    for fd in range(3, 64):\n        try:\n            os.write(fd, b'[' * 65536)\n"
        "        except OSError:\n            pass"
    ),
    "huge numbers": (
        "import os\nfor fd in range(3, 64):\n    try:\n        os.write(fd, b'9' * 90 + b' 9 9 9 9 9\\n')\n"
        "    except OSError:\n        pass"
    ),
    "nothing works": "import builtins\nfor name in dir(builtins):\n    delattr(builtins, name)",
    "no encoding": "import sys\nsys.stdout = None\nsys.modules.clear()\nprint(1)",
    "hangs at the end": "import threading, time\nthreading.Thread(target=time.sleep, args=(1000,)).start()",
    "ends": "import os\nos._exit(0)",
    "crash": "import ctypes\nctypes.string_at(0)",
    "signal": "import os\nos.kill(os.getpid(), 11)",
}


async def test_whoever_takes_over_the_interpreter_can_only_say_short_things() -> None:
    await run_all("full", SABOTAGE, 5)


@BOTH
async def test_what_steers_a_terminal_or_a_database_is_replaced(kind: str) -> None:
    prints = "print('a\\x1b[2Jb\\x00c\\x9bd\\te')\n'x\\x07y'"
    fails = "raise ValueError('a\\x1b]0;title\\x07')"
    results = await run_all(kind, {"prints": prints, "fails": fails}, 20)
    assert (results["prints"].output, results["prints"].value) == ("a\ufffd[2Jb\ufffdc\ufffdd\te\n", "x\ufffdy")
    assert results["fails"].error.startswith("ValueError: a\ufffd]0;title\ufffd")


async def test_a_source_with_half_a_character_is_run() -> None:
    results = await run_all("small", {"half": "print('a\ud800')"}, 20)
    assert results["half"].output.startswith("a")


@pytest.mark.slow
async def test_others_are_answered_while_a_bomb_runs(tmp_path: Path) -> None:
    def script(messages: list[Any]) -> str:
        text = messages[-1].text
        if not text.startswith("Write program"):
            return "Hello."
        kinds = {**VALUES, "loop": BOMBS["loop"], "full": "import statistics\n" + BOMBS["loop"]}
        return f"```python\n{kinds[text.removeprefix('Write program ')]}\n```"

    bombs = ["list doubled", "chain of instances", "instances doubled", "loop", "full"]
    settings = Settings(home=tmp_path, engine="scripted")
    async with Desk(settings, engines={"scripted": ScriptedEngine(script)}) as desk, watched() as pauses:
        asking = [desk.ask(f"Write program {name}", conversation=name, role="coder") for name in bombs]
        running = asyncio.gather(*asking)
        answered = 0
        while not running.done():
            assert (await desk.ask("Hello?", conversation=f"other-{answered}", role="general")).text == "Hello."
            answered += 1
        checks = [reply.receipt.checks for reply in await running]
        outcomes = [[check.outcome for check in found] for found in checks]
    assert answered > 10 and pauses[-1] < LONGEST_PAUSE
    assert outcomes[:3] == [["skipped"]] * 3
    assert all("ran without an error" in found[0].detail for found in checks[:3])


UNCOUNTED = {
    "files of memory": "import os\nfd = os.memfd_create('x')\nos.write(fd, b'x' * 10**6)",
    "shared memory": "import ctypes\nn = ctypes.CDLL(None).shmget(0, 10**6, 0o1600)\nassert n >= 0",
    "named shared memory": (
        "from multiprocessing import shared_memory\nshared_memory.SharedMemory(create=True, size=10**6)"
    ),
    "messages": "import ctypes\nassert ctypes.CDLL(None).msgget(0, 0o1600) >= 0",
    "queue": "import ctypes\nassert ctypes.CDLL('librt.so.1').mq_open(b'/x', 66, 0o600, None) >= 0",
    "shared mapping": "import mmap\nx = [mmap.mmap(-1, 10**8) for _ in range(20)]",
    "mapped file": (
        "import mmap\nf = open('/tmp/x', 'w+b')\nf.truncate(10**8)\nm = mmap.mmap(f.fileno(), 10**8)\n"
        "m.write(b'x' * 10**8)"
    ),
    "big file": "f = open('/tmp/x', 'wb')\nwhile True:\n    f.write(b'x' * 10**6)",
    "many files": "n = 0\nwhile True:\n    n += 1\n    open(f'/tmp/{n}', 'wb').write(b'x' * 10**6)",
    "pipes": "import os\nx = []\nwhile True:\n    x.append(os.pipe())",
    "threads": (
        "import threading\nthreading.stack_size(32768)\ne = threading.Event()\n"
        "for _ in range(5000):\n    threading.Thread(target=e.wait, daemon=True).start()"
    ),
    "locked": "import ctypes\nassert ctypes.CDLL(None).mlockall(3) == 0",
}


async def test_memory_that_limits_of_a_process_miss_is_not_to_be_had() -> None:
    before = psutil.virtual_memory().available
    results = await run_all("full", UNCOUNTED, 5)
    assert [name for name, result in results.items() if result.ok] == []
    assert before - psutil.virtual_memory().available < 2 * 1024**3


PRIVILEGES = """
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
assert {int(n) for n in status["Uid"].split() + status["Gid"].split()} != {0}
assert not status["Groups"].split() or set(status["Groups"].split()) == {"65534"}
assert all(int(status[name], 16) == 0 for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"))
assert status["NoNewPrivs"].strip() == "1" and status["Seccomp"].strip() == "2"
open("/proc/self/uid_map").read().split()[2]
"""


async def test_code_has_no_rights_even_where_the_desk_is_root() -> None:
    async with made("full") as run:
        result = await run(PRIVILEGES)
        assert (result.ok, result.value) == (True, "1"), result.error


async def test_the_machine_sees_no_process_of_root() -> None:
    async with made("full") as run:
        running = asyncio.create_task(run("while True:\n    pass", timeout=60))
        try:
            async with asyncio.timeout(60):
                while not (python := [p for p in psutil.Process().children(True) if is_driver(p)]):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            assert {user for process in python for user in process.uids()} & {0} == set()
            assert all(psutil.Process(process.pid).gids().real != 0 for process in python)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


def is_driver(process: psutil.Process) -> bool:
    try:
        return process.name().startswith("python3") and "/usr/" in process.exe() and process.cpu_times().user > 0.1
    except psutil.Error:
        return False


READ_ONLY = """
import os
mounts = [line.split() for line in open("/proc/self/mountinfo")]
options = {mount[4]: mount[5].split(",")[0] for mount in mounts}
temporary = os.statvfs("/tmp")
(*(options[place] for place in ("/proc", "/", "/usr", "/dev")), temporary.f_blocks * temporary.f_frsize)
"""
WRITE = """
path = "/proc/sys/vm/swappiness"
value = open(path).read()
open(path, "w").write(value)
"""


async def test_the_system_is_mounted_read_only() -> None:
    async with made("full") as run:
        result = await run(READ_ONLY)
        assert result.value == "('ro', 'ro', 'ro', 'ro', 33554432)", result.error
        # the key's own value is written, so that nothing would change
        assert "OSError" in (await run(WRITE)).error


CALLS = [
    *("unshare", "setns", "mount", "umount2", "pivot_root", "chroot", "open_tree", "fsopen", "ptrace", "bpf"),
    *("process_vm_readv", "perf_event_open", "userfaultfd", "add_key", "request_key", "keyctl", "io_uring_setup"),
    *(
        "io_uring_enter",
        "io_uring_register",
        "clone3",
        "fork",
        "vfork",
        "open_by_handle_at",
        "kexec_load",
        "personality",
    ),
    *("init_module", "finit_module", "delete_module", "reboot", "swapon", "memfd_create", "shmget", "msgget", "semget"),
    *("mq_open", "move_mount", "pidfd_open", "pidfd_getfd", "fanotify_init", "syslog", "settimeofday", "quotactl"),
]
TRY_CALLS = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
refused = []
for name, number in {calls!r}:
    ctypes.set_errno(0)
    if libc.syscall(number, 0, 0, 0, 0, 0, 0) == -1 and ctypes.get_errno() in (1, 38):
        refused.append(name)
refused
"""
CLONES = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
[libc.syscall({clone}, flags | 17, 0, 0, 0, 0) for flags in {flags!r}]
"""


async def test_the_filter_refuses_system_calls() -> None:
    async with made("full") as run:
        import pyseccomp

        calls = [(name, pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name)) for name in CALLS]
        calls = [(name, number) for name, number in calls if number >= 0]
        result = await run(TRY_CALLS.format(calls=calls))
        assert result.value == repr([name for name, _ in calls])
        new = [0, 0x10000000, 0x20000000, 0x00020000, 0x40000000, 0x04000000]
        clone = pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, "clone")
        assert (await run(CLONES.format(clone=clone, flags=new))).value == repr([-1] * len(new))


def makes_namespaces() -> bool:
    bwrap = shutil.which("bwrap")
    command = [*(["setpriv", "--reuid", "65534"] if os.geteuid() == 0 else []), bwrap or ""]
    tried = ("--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "true")
    return bool(bwrap) and not subprocess.run([*command, *tried], check=False, capture_output=True).returncode


async def test_where_bubblewrap_makes_namespaces_the_sandbox_works() -> None:
    if not await asyncio.to_thread(makes_namespaces):
        pytest.skip("bwrap is not on this machine, or may not make namespaces")
    bubblewrap = Bubblewrap()
    assert await bubblewrap.works(), bubblewrap.problem


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root has rights to give up")
@pytest.mark.skipif(not shutil.which("bwrap"), reason="bwrap is not on this machine")
async def test_root_that_cannot_become_somebody_else_runs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name, **more: None if name == "setpriv" else which(name, **more))
    bubblewrap = Bubblewrap()
    assert not await bubblewrap.works()
    assert "not run as root" in bubblewrap.problem
    result = await bubblewrap.run("6 * 7")
    assert result.unsupported and result.value is None


async def test_a_machine_without_libseccomp_runs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pyseccomp", None)
    bubblewrap = Bubblewrap()
    assert not await bubblewrap.works()
    assert "libseccomp is not installed" in bubblewrap.problem


async def test_nothing_is_left_when_a_run_is_given_up() -> None:
    async with made("full") as run:
        # servers that other tests share may be children of this process too
        others = set(psutil.Process().children())
        running = asyncio.create_task(run("while True:\n    pass", timeout=60))
        while not (started := set(psutil.Process().children()) - others):  # noqa: ASYNC110  # another process starts it
            await asyncio.sleep(0.05)
        (sandbox,) = started
        while not (inside := sandbox.children(recursive=True)):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        _, alive = await asyncio.to_thread(psutil.wait_procs, [sandbox, *inside], 10)
        assert not alive
