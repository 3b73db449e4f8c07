"""Opening a database: the first time, by many, and where it cannot be opened."""

import asyncio
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import text

from qwendesk.errors import ConfigError, StoreError
from qwendesk.memory.memory import Memory
from qwendesk.memory.migrations import upgrade
from qwendesk.messages import Inbound

Make = Callable[..., Memory]

OPEN = """
import asyncio, sys
from qwendesk.memory.memory import Memory

async def main():
    memory = Memory(sys.argv[1])
    print("ready", flush=True)
    input()
    await memory.open()
    await memory.aclose()
    print("alembic" in sys.modules)

asyncio.run(main())
"""


async def created(make: Make) -> None:
    memory = make()
    await memory.open()
    await memory.aclose()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def write(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def read(file: Path) -> bytes:
    return file.read_bytes()


def opener(file: Path) -> subprocess.Popen[str]:
    """Start a process that waits for a line and then opens the database."""
    command = [sys.executable, "-c", OPEN, f"sqlite+aiosqlite:///{file}"]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    assert process.stdout and process.stdout.readline() == "ready\n"
    return process


async def test_folder_and_file_are_the_owners(make: Make, file: Path) -> None:
    await created(make)
    assert mode(file.parent) == 0o700
    assert mode(file) == 0o600


async def test_the_file_is_in_wal_mode(make: Make, file: Path) -> None:
    await created(make)
    with closing(sqlite3.connect(file)) as raw:
        assert raw.execute("PRAGMA journal_mode").fetchone() == ("wal",)


async def test_opening_and_closing_twice_is_fine(make: Make) -> None:
    memory = make()
    await memory.open()
    await memory.open()
    assert await memory.history.conversations() == []
    await memory.aclose()
    await memory.aclose()


async def test_processes_that_open_an_empty_database_at_once_all_succeed(file: Path) -> None:
    openers = await asyncio.gather(*(asyncio.to_thread(opener, file) for _ in range(3)))
    ended = await asyncio.gather(*(asyncio.to_thread(one.communicate, "go\n") for one in openers))
    assert [one.returncode for one in openers] == [0] * 3, ended
    with closing(sqlite3.connect(file)) as raw:
        assert raw.execute("SELECT version_num FROM alembic_version").fetchall() == [(upgrade.head(),)]
        assert raw.execute("SELECT id FROM tenant").fetchall() == [("default",)]


async def test_alembic_is_not_imported_for_a_ready_database(make: Make, file: Path) -> None:
    await created(make)
    out, err = await asyncio.to_thread(lambda: opener(file).communicate("go\n"))
    assert out == "False\n", err


async def test_a_newer_database_is_refused(make: Make, file: Path) -> None:
    await created(make)
    with closing(sqlite3.connect(file)) as raw, raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreError, match=r"newer Qwendesk \(revision 9999\); upgrade qwendesk or set QWENDESK_HOME"):
        await make().open()


async def test_a_file_of_something_else_is_refused_and_left_alone(make: Make, file: Path) -> None:
    write(file, b"Dear diary, " * 1000)
    with pytest.raises(StoreError, match=r"qwendesk\.db' is not a Qwendesk database; move the file away"):
        await make().open()
    assert read(file) == b"Dear diary, " * 1000


async def test_a_damaged_file_is_named(make: Make, file: Path) -> None:
    await created(make)
    content = read(file)
    write(file, content[:100] + b"\xff" * (len(content) - 100))
    with pytest.raises(StoreError, match=r"qwendesk\.db' is damaged; put a backup in its place"):
        await make().open()


async def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    write(tmp_path / "taken", b"a file")
    memory = Memory(f"sqlite+aiosqlite:///{tmp_path}/taken/qwendesk.db")
    with pytest.raises(StoreError, match=r"taken/qwendesk\.db' cannot be opened .*; set QWENDESK_HOME to a folder"):
        await memory.open()


async def test_a_folder_in_place_of_the_file(make: Make, file: Path) -> None:
    write(file / "inside.txt", b"")
    with pytest.raises(StoreError, match=r"qwendesk\.db' cannot be opened \(Is a directory\); set QWENDESK_HOME"):
        await make().open()


async def test_a_locked_file_fails_after_the_timeout(make: Make, file: Path) -> None:
    await created(make)
    memory = make(busy_timeout=0.2)
    await memory.open()
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(
            StoreError, match=r"qwendesk\.db' is locked by another program \(waited 0\.2 s\); close that"
        ):
            await memory.turns.begin(Inbound("q", "c1"))
        assert await memory.history.messages("c1") == []  # reading goes on
        other.execute("ROLLBACK")
    assert await memory.turns.begin(Inbound("q", "c1"))
    await memory.aclose()


async def test_a_full_disk_is_named_and_recovered_from(make: Make) -> None:
    memory = make()

    await memory.open()
    async with memory.scope.write() as connection:
        await connection.raw.execute(text("PRAGMA max_page_count=100"))
    with pytest.raises(StoreError, match="cannot grow, the disk is full; free some space"):
        await memory.turns.begin(Inbound("x" * 1_000_000, "c1"))
    assert await memory.turns.begin(Inbound("short", "c1"))
    assert [message.text for message in await memory.history.messages("c1")] == ["short"]
    await memory.aclose()


async def test_an_error_quotes_nobody(make: Make) -> None:
    memory = make()
    await memory.open()
    async with memory.scope.write() as connection:
        await connection.raw.execute(text("DROP TABLE turn"))
    with pytest.raises(StoreError) as caught:
        await memory.turns.begin(Inbound("my secret", "c1"))
    assert "no such table: turn" in str(caught.value)
    assert "secret" not in str(caught.value) + str(caught.value.__cause__)
    await memory.aclose()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("nonsense", "scheme 'nonsense'"),
        ("sqlite:///x.db", "No asynchronous driver for 'sqlite'"),
        ("postgresql+nonsense://x/y", "No asynchronous driver for 'postgresql.nonsense'"),
    ],
)
def test_a_url_that_cannot_be_used(url: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Memory(url)
