"""The operators' pages of a whole desk: when they are served, what the log and the greeting say, and backups."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from qwendesk import Settings
from qwendesk.cli.main import app
from qwendesk.cli.serve import greeting
from qwendesk.memory.maintenance.retention import purge
from qwendesk.memory.memory import Memory
from qwendesk.service import Service
from tests.databases import put_migrated
from tests.server.browser import PASSWORD, Browser, add, operators_in


@asynccontextmanager
async def serving(home: Path, *operators: str, **settings: Any) -> AsyncIterator[tuple[Service, httpx.AsyncClient]]:
    put_migrated(home / "qwendesk.db")
    memory = Memory(f"sqlite+aiosqlite:///{home / 'qwendesk.db'}")
    for name in operators:
        await add(operators_in(memory), name)
    await memory.aclose()
    made = Settings(home=home, engine="scripted", port=0, shutdown_timeout=1, **settings)
    async with Service(made) as service, httpx.AsyncClient(follow_redirects=True) as client:
        yield service, client


async def test_pages_appear_with_the_first_operator_without_a_restart(tmp_path: Path) -> None:
    async with serving(tmp_path) as (service, client):
        assert service.web and "operators" not in greeting(service)
        assert "operators add" in (await client.get(f"{service.web.url}/desk")).text
        await add(service.operators, "ann")
        assert "Password" in (await client.get(f"{service.web.url}/desk")).text
    async with serving(tmp_path) as (service, _):
        assert service.web and f"operators   {service.web.url}/desk" in greeting(service)


async def test_the_settings_can_leave_the_pages_out(tmp_path: Path) -> None:
    async with serving(tmp_path, "ann", operators={"pages": "off"}) as (service, client):
        assert service.web
        for path in ("/desk", "/desk/login", "/desk/static/desk.css"):
            assert (await client.get(service.web.url + path)).status_code == 404


@pytest.mark.parametrize(
    ("settings", "warned"),
    [
        ({"host": "0.0.0.0"}, True),
        ({"host": "::"}, True),
        ({"host": "127.0.0.1"}, False),
        ({"host": "0.0.0.0", "http": {"trusted_proxies": ("10.0.0.1",)}}, False),
    ],
)
async def test_a_desk_without_tls_is_named_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, settings: dict[str, Any], warned: bool
) -> None:
    async with serving(tmp_path, "ann", **settings):
        assert any("without TLS" in record.message for record in caplog.records) is warned


async def test_the_first_page_over_a_readable_connection_is_named_in_the_log_once(
    memory: Memory, caplog: pytest.LogCaptureFixture
) -> None:
    operators = operators_in(memory)
    await add(operators, "ann")
    async with Browser(operators, "203.0.113.9") as browser:
        for _ in range(3):
            await browser.get("/desk/login")
    assert sum("connection without TLS" in record.message for record in caplog.records) == 1


async def test_accounts_come_back_from_a_dump(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*arguments: str) -> None:
        done = CliRunner().invoke(app, arguments)
        assert done.exit_code == 0, done.output

    put_migrated(tmp_path / "qwendesk.db")
    memory = Memory(f"sqlite+aiosqlite:///{tmp_path / 'qwendesk.db'}")
    await add(operators_in(memory), "ann", languages=["ja"])
    await memory.aclose()
    await asyncio.to_thread(run, "db", "dump", "saved")
    monkeypatch.setenv("QWENDESK_HOME", str(tmp_path / "other"))
    await asyncio.to_thread(run, "db", "load", "saved", "--force")
    restored = Memory(f"sqlite+aiosqlite:///{tmp_path / 'other' / 'qwendesk.db'}")
    operators = operators_in(restored)
    assert await operators.log_in.with_password("ann", PASSWORD, None)
    assert [list(one.languages) for one in await operators.accounts.all()] == [["ja"]]
    assert [one.action for one in await operators.audit.entries()] == ["login", "operator.add"]
    await restored.aclose()


async def test_expired_sessions_and_old_entries_go_with_a_purge(memory: Memory) -> None:
    operators = operators_in(memory)
    await add(operators, "ann")
    begun = await operators.log_in.with_password("ann", PASSWORD, None)
    assert begun
    await purge(memory.scope, datetime.now(UTC) + timedelta(minutes=1))
    assert await operators.audit.entries() == [] and await operators.sessions.find(begun.token)
    await purge(memory.scope, datetime.now(UTC) + timedelta(days=2))
    assert await operators.sessions.find(begun.token) is None and await operators.accounts.exist()
