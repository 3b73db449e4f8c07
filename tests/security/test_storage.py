"""A database that is gone, a full disk, a file that may not grow: said, and nothing is acknowledged falsely."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import secrets
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from benchmarks.served import SECRET, Served, says, served
from websockets.asyncio.client import connect

from qwendesk.channels.webhook.channel import signed_headers
from qwendesk.desk.translations import languages, say
from qwendesk.errors import StoreError
from tests.desk.parts import running

Break = Callable[[Served, Path], "Iterator[None]"]
FORWARDED = {"X-Forwarded-For": "192.0.2.7"}


def _files(home: Path, *endings: str) -> list[Path]:
    return [home / f"qwendesk.db{ending}" for ending in endings if (home / f"qwendesk.db{ending}").exists()]


@contextmanager
def removed(desk: Served, home: Path) -> Iterator[None]:
    files = _files(home, "", "-wal", "-shm")
    for file in files:
        file.rename(home / f"away-{file.name}")
    yield
    for file in files:
        (home / f"away-{file.name}").rename(file)


@contextmanager
def journal_removed(desk: Served, home: Path) -> Iterator[None]:
    (journal,) = _files(home, "-wal")
    journal.rename(home / "away")
    yield
    (home / "away").rename(journal)


@contextmanager
def replaced(desk: Served, home: Path) -> Iterator[None]:
    (file,) = _files(home, "")
    file.rename(home / "away")
    file.touch()
    yield
    (home / "away").rename(file)


@contextmanager
def not_growing(desk: Served, home: Path) -> Iterator[None]:
    limits = resource.prlimit(desk.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(desk.process.pid, resource.RLIMIT_FSIZE, (4096, limits[1]))
    yield
    resource.prlimit(desk.process.pid, resource.RLIMIT_FSIZE, limits)


@contextmanager
def disk_full(desk: Served, home: Path) -> Iterator[None]:
    filler = home / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)) == 4096:
                pass
        except OSError:
            pass
    yield
    filler.unlink()


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """Return a folder on a small file system of its own, where one can be mounted."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)]
    is_mounted = os.geteuid() == 0 and subprocess.run(mount, capture_output=True, check=False).returncode == 0
    yield folder
    if is_mounted:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def may_fill(home: Path) -> bool:
    """Tell whether the folder is a file system of its own; only root may mount one."""
    return home.is_mount()


@asynccontextmanager
async def visitor(desk: Served) -> AsyncIterator[Any]:
    async with connect(f"ws://127.0.0.1:{desk.port}/channels/web/socket") as socket:
        await socket.send(json.dumps({"type": "hello", "session": secrets.token_urlsafe(32)}))
        assert json.loads(await socket.recv())["type"] == "welcome"
        yield socket


async def posted(desk: Served, name: str) -> int:
    body = json.dumps({"conversation": "c", "text": "hello"}).encode()
    async with httpx.AsyncClient(timeout=30) as client:
        url = f"{desk.url}/channels/webhook/"
        return (await client.post(url, content=body, headers=signed_headers(SECRET, name, body))).status_code


TROUBLES: dict[Any, str] = {
    removed: "the database was removed",
    journal_removed: "the database was removed",
    replaced: "the database was removed",
    not_growing: "the disk",
    disk_full: "the disk is full",
}


@pytest.mark.slow
async def test_what_cannot_be_kept_is_not_taken_and_everybody_is_told(home: Path, may_fill: bool) -> None:
    async with served(home) as desk:
        await says(desk, "hello before")
        for trouble, reason in TROUBLES.items():
            if trouble is disk_full and not may_fill:
                continue
            name = trouble.__name__
            async with visitor(desk) as socket:
                message = {"type": "message", "id": name, "text": f"hello {name}", "locale": "de"}
                with trouble(desk, home):
                    await socket.send(json.dumps(message))
                    told = json.loads(await asyncio.wait_for(socket.recv(), 30))
                    assert (told["type"], told["text"]) == ("busy", say("not_stored", "de")), name
                    assert await posted(desk, name) == 503
                    await _check_health(desk, home, reason)
                # what was not taken comes again, and is taken once
                await _answered(socket, {**message, "id": f"{name}.again"})
                assert await posted(desk, name) == 200
                await _check_health(desk, home, "")


async def _check_health(desk: Served, home: Path, reason: str) -> None:
    """Wait until ``/healthz`` says so to everybody; no reason: that all is well."""
    async with httpx.AsyncClient(timeout=30) as client, asyncio.timeout(30):
        status = 503 if reason else 200
        while (shown := await client.get(f"{desk.url}/healthz", headers=FORWARDED)).status_code != status:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    assert set(shown.json()) == ({"status", "reason"} if reason else {"status"})
    assert reason in shown.json().get("reason", "")
    assert str(home) not in shown.text and "qwendesk.db" not in shown.text


async def _answered(socket: Any, message: dict[str, Any]) -> None:
    """Send a message, as a page does again while the desk is busy, until its answer is shown."""
    await socket.send(json.dumps(message))
    async with asyncio.timeout(60):
        async for frame in socket:
            shown = json.loads(frame)
            if shown["type"] == "busy":
                await asyncio.sleep(0.5)
                await socket.send(json.dumps(message))
            elif shown["type"] in ("shown", "edited") and message["text"] in shown["text"]:
                return


async def test_nothing_is_taken_into_a_file_that_was_removed_in_the_same_moment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running(tmp_path, answers=False) as desk:
        assert (await desk.say("hello")).outcome == "accepted"
        database = desk.runtime.database.whole_database
        with pytest.raises(StoreError, match="removed or replaced") as caught:
            async with desk.runtime.database.write():
                (tmp_path / "qwendesk.db").unlink()
        assert caught.value.reason == "the database was removed"
        with pytest.raises(StoreError, match="removed or replaced"):
            await database.check()
        assert (await desk.say("hello again")).outcome == "busy"


async def test_a_database_that_may_grow_no_further_is_full_until_something_is_written(tmp_path: Path) -> None:
    async with running(tmp_path, answers=False) as desk:
        await desk.say("hello")
        database = desk.runtime.database
        async with database.write() as connection:
            pragma = "PRAGMA max_page_count"
            most = (await connection.raw.exec_driver_sql(pragma)).scalar_one()
            await connection.raw.exec_driver_sql(f"{pragma}=1")
        said = [await desk.say("x" * 8000, f"c{number}", person=f"p{number}") for number in range(20)]
        assert said[-1].outcome == "busy" and said[-1].text == say("not_stored", "en")
        with pytest.raises(StoreError, match="the disk is full"):
            await database.whole_database.check()
        async with database.write() as connection:
            await connection.raw.exec_driver_sql(f"{pragma}={most}")
        assert (await desk.say("hello again")).outcome == "accepted"
        await database.whole_database.check()


@pytest.mark.parametrize("language", languages())
def test_what_is_said_then_exists_in_all_languages(language: str) -> None:
    for key, values in (("not_stored", {}), ("files_limited", {"hours": 3})):
        said = say(key, language, **values)
        assert said and (language == "en" or said != say(key, "en", **values))
