"""``kill -TERM`` ends the desk within its time, whatever runs; nothing is lost by it."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from qwendesk.cli.serve import STOP_GRACE_SECONDS
from tests.security.serving import BOMBS, SHORT

pytestmark = pytest.mark.slow

PATIENCE = 1.0
SLACK = 20.0
"""Seconds for a busy machine."""
Start = Callable[[str], subprocess.Popen[str]]


ROOT = Path(__file__).parents[2]
"""Where the package of the tests is importable."""


@pytest.fixture
def start(tmp_path: Path) -> Start:
    environment = {
        **os.environ,
        "QWENDESK_HOME": str(tmp_path),
        "QWENDESK_ENGINE": "scripted",
        "QWENDESK_PORT": "0",
        "QWENDESK_SHUTDOWN_TIMEOUT": str(PATIENCE),
        "QWENDESK_CHANNELS__WEBHOOK__URL": "http://127.0.0.1:9/",
        "QWENDESK_CHANNELS__WEBHOOK__SECRET": "whsec_QUJDREVGR0hJSktMTU5PUFFSU1RVVldY",
        "QWENDESK_CHANNELS__WEBHOOK__ACCESS": "open",
    }

    def start(what: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "tests.security.serving", what]
        return subprocess.Popen(
            command, env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    return start


def wait_for(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdout
    for said in process.stdout:
        if said.strip() == line:
            return
    raise AssertionError(process.stderr and process.stderr.read())


def is_busy(process: psutil.Process) -> bool:
    try:
        return process.cpu_times().user > 0.7
    except psutil.NoSuchProcess:
        return False


def wait_for_work(process: subprocess.Popen[str], most: int) -> None:
    """Wait until so many processes that were started for the bombs have used up some time."""
    end, seen = time.monotonic() + 60, set[int]()
    while time.monotonic() < end and len(seen) < most:
        seen |= {child.pid for child in psutil.Process(process.pid).children(recursive=True) if is_busy(child)}
        time.sleep(0.05)
    assert len(seen) >= most, "the bombs do not run"


def stop(process: subprocess.Popen[str]) -> tuple[float, str]:
    """Return how many seconds the process took to end, and what it wrote to stderr."""
    children = psutil.Process(process.pid).children(recursive=True)
    begun = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=PATIENCE + STOP_GRACE_SECONDS + SLACK)
    took = time.monotonic() - begun
    _, alive = psutil.wait_procs(children, 20)
    assert not alive, "nothing that was started goes on"
    return took, errors


def messages(folder: Path) -> list[tuple[str, int, int]]:
    with sqlite3.connect(folder / "qwendesk.db") as connection:
        return connection.execute("SELECT status, runs, forgiven_runs FROM inbound_event").fetchall()


@pytest.mark.slow
def test_bombs_in_all_workers_do_not_hold_it_up(start: Start, tmp_path: Path) -> None:
    with start("bombs") as process:
        wait_for(process, "accepted")
        wait_for_work(process, len(BOMBS))
        took, errors = stop(process)
    assert process.returncode == 0, errors
    assert took < PATIENCE + STOP_GRACE_SECONDS
    for status, runs, forgiven_runs in messages(tmp_path):
        assert status in ("done", "failed") or (status, runs) == ("queued", forgiven_runs)


def test_an_engine_that_never_answers_does_not_hold_it_up(start: Start, tmp_path: Path) -> None:
    with start("hung engine") as process:
        wait_for(process, "asked hung engine")
        _, errors = stop(process)
    assert process.returncode == 0, errors
    assert messages(tmp_path) == [("queued", 1, 1)], "a stop does not speak against the message"


@pytest.mark.slow
@pytest.mark.parametrize("what", ["hung thread", "hung loop"])
def test_a_process_that_cannot_stop_is_ended(start: Start, tmp_path: Path, what: str) -> None:
    with start(what) as process:
        wait_for(process, f"asked {what}")
        took, errors = stop(process)
    assert process.returncode == 1
    assert PATIENCE <= took < PATIENCE + SHORT + SLACK and "did not stop within 3 s" in errors
    # a loop that stands still cannot say that it was only stopped: the message's next run executes no code
    assert messages(tmp_path) == [("queued", 1, 1 if what == "hung thread" else 0)]
