"""What holds people's words on disk is the desk's own user's alone, and the scripted engine keeps none in memory."""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from qwendesk import Desk, Settings
from qwendesk.engines.scripted import ScriptedEngine
from tests.security.served import served


def open_to_others(folder: Path) -> list[str]:
    """Return the files that others than their owner may read or write."""
    files = [file for file in folder.rglob("*") if file.is_file()]
    return [f"{file.name} {file.stat().st_mode:o}" for file in files if file.stat().st_mode & 0o077]


@pytest.fixture
def open_umask() -> object:
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("open_umask")
async def test_database_journal_and_locks_are_private(tmp_path: Path) -> None:
    home = tmp_path / "home"
    async with served(home) as desk:
        await desk.told("hello there")
        names = {file.name for file in home.rglob("*")}
        assert {"qwendesk.db", "qwendesk.db.worker", "qwendesk.db-wal"} <= names
        assert not open_to_others(home)


@pytest.mark.usefixtures("open_umask")
def test_backups_and_exports_are_private(own_home: Path) -> None:
    from typer.testing import CliRunner

    from qwendesk.cli.main import app

    async def fill() -> None:
        async with Desk(Settings(engine="scripted")) as desk:
            await desk.ask("hello there", person="ann")

    asyncio.run(fill())
    run = CliRunner().invoke
    assert run(app, ["db", "backup", str(own_home / "copy.db")]).exit_code == 0
    assert run(app, ["memory", "export", "ann", "--out", str(own_home / "ann.json")]).exit_code == 0
    assert not open_to_others(own_home)


def test_a_served_process_writes_for_nobody_else(own_home: Path) -> None:
    environment = {**os.environ, "QWENDESK_HOME": str(own_home / "home"), "QWENDESK_ENGINE": "scripted"}
    process = subprocess.Popen(
        ["sh", "-c", 'umask 0; exec "$@"', "sh", sys.executable, "-m", "qwendesk", "serve", "--port", "0"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout
    assert any("Qwendesk runs" in line for line in process.stdout)
    assert not open_to_others(own_home / "home")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=100)
    assert process.returncode == 0


async def test_the_scripted_engine_of_the_settings_keeps_no_calls(tmp_path: Path) -> None:
    async with Desk(Settings(home=tmp_path, engine="scripted")) as desk:
        for _ in range(3):
            await desk.ask("my secret word is xylophone")
        engine = desk.pool.engine("scripted")
        assert isinstance(engine, ScriptedEngine) and engine.calls == []
    assert ScriptedEngine().calls == [], "and a test's own keeps them"
