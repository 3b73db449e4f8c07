"""Conversations survive what happens to processes."""

import asyncio
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from qwendesk.memory.database import Database
from qwendesk.memory.memory import Memory
from qwendesk.messages import Attachment, Inbound

Make = Callable[..., Memory]

BEGIN = """
import asyncio, sys
from qwendesk.memory.memory import Memory
from qwendesk.messages import Inbound

async def main():
    memory = Memory(sys.argv[1])
    await memory.open()
    await memory.turns.begin(Inbound("asked before the crash", "c1"))
    print("begun", flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""

WRITE = """
import asyncio, sys
from qwendesk.memory.memory import Memory
from qwendesk.messages import Inbound

async def turns(memory, conversation):
    for number in range(25):
        turn = await memory.turns.begin(Inbound(f"q{number}", conversation))
        await memory.turns.fail(turn, "stopped", "", partial=f"a{number}")

async def main():
    memory = Memory(sys.argv[1])
    await memory.open()
    input()
    await asyncio.gather(*(turns(memory, f"{sys.argv[2]}-{number}") for number in range(4)))
    await memory.aclose()

asyncio.run(main())
"""


def child(code: str, file: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, f"sqlite+aiosqlite:///{file}", *arguments]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


async def test_a_conversation_goes_on_after_a_restart(make: Make) -> None:
    first = make()
    await first.open()
    turn = await first.turns.begin(Inbound("my name is Ada", "c1", (Attachment("image", "image/png", b"face"),)))
    await first.turns.fail(turn, "stopped", "", partial="Hello Ada")
    await first.aclose()
    second = make()
    await second.open()
    question, answer = await second.history.messages("c1")
    assert (question.text, answer.text) == ("my name is Ada", "Hello Ada")
    assert question.attachments[0].data == b"face"
    await second.aclose()


async def test_a_killed_process_loses_no_question(make: Make, file: Path) -> None:
    killed = child(BEGIN, file)
    assert killed.stdout and await asyncio.to_thread(killed.stdout.readline) == "begun\n"
    killed.kill()
    await asyncio.to_thread(killed.communicate)
    memory = make()
    await memory.open()
    assert [message.text for message in await memory.history.messages("c1")] == ["asked before the crash"]
    await memory.turns.begin(Inbound("are you there?", "c1"))
    await memory.aclose()
    with closing(sqlite3.connect(file)) as raw:
        rows = raw.execute("SELECT sequence, status, error, finished_at IS NULL FROM turn ORDER BY sequence").fetchall()
    assert rows == [(1, "failed", "interrupted: the process ended before the answer", 0), (2, "running", None, 1)]


async def test_processes_write_at_once(make: Make, file: Path) -> None:
    writers = [child(WRITE, file, name) for name in ("a", "b")]
    ended = await asyncio.gather(*(asyncio.to_thread(writer.communicate, "go\n") for writer in writers))
    assert [writer.returncode for writer in writers] == [0, 0], ended
    memory = make()
    await memory.open()
    expected = [f"{kind}{number}" for number in range(25) for kind in "qa"]
    for key in (f"{name}-{number}" for name in "ab" for number in range(4)):
        assert [message.text for message in await memory.history.messages(key)] == expected
    await memory.aclose()


async def test_reading_before_writing_is_no_trap(make: Make, file: Path) -> None:
    await (memory := make()).open()
    await memory.turns.begin(Inbound("q", "c1"))

    async def count(database: Database) -> None:
        for _ in range(20):
            async with database.write() as connection:
                number = (await connection.exec_driver_sql("SELECT next_sequence FROM conversation")).scalar_one()
                await connection.exec_driver_sql("UPDATE conversation SET next_sequence = ?", (number + 1,))

    one, two = (Database(f"sqlite+aiosqlite:///{file}", 5) for _ in range(2))
    await asyncio.gather(count(one), count(two))
    async with one.read() as connection:
        assert (await connection.exec_driver_sql("SELECT next_sequence FROM conversation")).scalar_one() == 42
    for opened in (one, two, memory):
        await opened.aclose()


async def test_cancelled_calls_are_stored_whole_or_not_at_all(make: Make, file: Path) -> None:
    memory = make()
    await memory.open()
    for steps in range(0, 60, 3):
        task = asyncio.create_task(memory.turns.begin(Inbound("q", "c1", (Attachment("image", "image/png", b"x"),))))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    await memory.aclose()
    with closing(sqlite3.connect(file)) as raw:
        tables = ("message", "attachment", "turn")
        counts = {table: raw.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables}
    assert len(set(counts.values())) == 1 and counts["turn"] > 0


async def test_a_person_is_one_on_a_channel(make: Make, file: Path) -> None:
    memory = make()
    await memory.open()
    for conversation, person, channel in [("a", "ada", "x"), ("b", "ada", "x"), ("a", "bob", "x"), ("a", "ada", "y")]:
        await memory.turns.begin(Inbound("q", conversation, person=person, channel=channel))
    await memory.aclose()
    with closing(sqlite3.connect(file)) as raw:
        names = raw.execute(
            "SELECT i.channel, i.external_user_id, count(*) FROM message m"
            " JOIN person p ON p.id = m.person_id JOIN person_identity i ON i.person_id = p.id"
            " GROUP BY 1, 2 ORDER BY 1, 2"
        ).fetchall()
        assert names == [("x", "ada", 2), ("x", "bob", 1), ("y", "ada", 1)]
        assert raw.execute("SELECT count(*) FROM person").fetchone() == (3,)
