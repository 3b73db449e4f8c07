"""What the owner is told: an engine that is away, deliveries that failed, messages that were given up."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from qwendesk import Settings
from qwendesk.channels.base import Accept, Channel, ChannelCapabilities, Manifest
from qwendesk.cli.serve import greeting, show_request
from qwendesk.errors import ChannelError
from qwendesk.health_checks import ModelMonitor
from qwendesk.messages import Inbound, Outbound
from qwendesk.service import Service
from qwendesk.settings import ServerSettings
from qwendesk.wiring import build_pool
from tests.databases import put_migrated
from tests.engines.web_server import Reply, WebServer, serve


class Mute(Channel):
    """Takes messages and cannot deliver any answer."""

    manifest = Manifest("mute", "Mute", ChannelCapabilities())

    def __init__(self) -> None:
        self.accept: asyncio.Future[Accept] = asyncio.get_running_loop().create_future()
        self._stopped = asyncio.Event()

    async def start(self, accept: Accept) -> None:
        self.accept.set_result(accept)
        await self._stopped.wait()

    async def stop(self) -> None:
        self._stopped.set()

    async def send(self, message: Outbound) -> str | None:
        raise ChannelError("The bot was blocked.", permanent=True)


def settings(home: Path, **more: object) -> Settings:
    put_migrated(home / "qwendesk.db")
    return Settings(**{"home": home, "engine": "scripted", "port": 0, "shutdown_timeout": 5} | more)  # type: ignore[arg-type]


def models(path: str, body: object) -> Reply:
    return Reply({"object": "list", "data": [{"id": "m", "object": "model"}]})


@pytest.fixture
async def server() -> AsyncIterator[WebServer]:
    async with serve(models) as site:
        yield site


async def test_an_engine_that_is_away_is_logged_once_and_its_return_too(
    tmp_path: Path, server: WebServer, caplog: pytest.LogCaptureFixture
) -> None:
    away = ServerSettings(url="http://127.0.0.1:9/v1")
    made = settings(tmp_path, engine="vllm", servers={"vllm": away}, connect_timeout=1)
    pool = build_pool(made)
    monitor = ModelMonitor(pool)
    for _ in range(3):
        await monitor.check()
    assert "127.0.0.1:9" in monitor.problem
    assert sum("No message can be answered" in record.getMessage() for record in caplog.records) == 1
    await pool.aclose()
    back = ModelMonitor(
        build_pool(made.model_copy(update={"servers": {"vllm": ServerSettings(url=f"{server.url}/v1")}}))
    )
    back.problem = monitor.problem
    for _ in range(2):
        await back.check()
    assert not back.problem
    assert sum("answered again" in record.getMessage() for record in caplog.records) == 1


async def test_a_desk_whose_engine_is_away_is_degraded_with_the_reason(tmp_path: Path) -> None:
    away = {"vllm": ServerSettings(url="http://127.0.0.1:9/v1")}
    made = settings(tmp_path, engine="vllm", servers=away, connect_timeout=1)
    async with Service(made, channels={}) as service:
        assert service.models
        await service.models.check()
        health = await service.health()
    assert health["status"] == "degraded" and "127.0.0.1:9" in health["problems"]["model"]


async def test_a_message_that_is_given_up_degrades_the_desk_until_it_is_settled(tmp_path: Path) -> None:
    channel = Mute()
    made = settings(tmp_path, channels={"mute": {"access": "open"}})
    async with Service(made, channels={"mute": channel}) as service:
        accept = await asyncio.wait_for(channel.accept, 60)
        await accept(Inbound("hello", "ann's", channel="mute", person="ann"))
        async with asyncio.timeout(60):
            while "messages" not in (health := await service.health())["problems"]:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert health["status"] == "degraded" and "qwendesk messages failed" in health["problems"]["messages"]
        (ticket,) = await service.runtime.inbox_maintenance.failed_messages()
        assert await service.runtime.inbox_maintenance.dismiss(ticket.id)
        assert (await service.health())["status"] == "ok"
        assert not await service.runtime.inbox_maintenance.dismiss(ticket.id), "it is settled already"


async def test_a_stranger_is_shown_with_name_first_words_and_the_command_that_lets_them_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    channel = Mute()
    made = settings(tmp_path, channels={"mute": {}})
    async with Service(made, channels={"mute": channel}, on_request=show_request) as service:
        accept = await asyncio.wait_for(channel.accept, 60)
        text = "Is the\x1b[2J lamp\nstill there? " + "x" * 500
        for _ in range(2):
            inbound = Inbound(text, "c", channel="mute", person="77", display_name="Ana\x1b[31m")
            assert (await accept(inbound)).outcome == "refused"
        (guest,) = await service.runtime.access.requests()
    (line,) = capsys.readouterr().out.splitlines()
    assert "Ana" in line and "(77) on mute" in line and "lamp still there?" in line
    assert line.endswith(f"qwendesk pairing approve {guest.code}")
    assert "\x1b" not in line and len(line) < 250


async def test_the_general_model_is_warmed_and_named(tmp_path: Path) -> None:
    async with Service(settings(tmp_path), channels={}) as service:
        assert service.models
        assert await service.models.warm_up() == "scripted-general on scripted"


async def test_the_start_prints_the_settings_file_and_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Service(settings(tmp_path, model="scripted-general"), channels={}) as service:
        without = greeting(service)
        assert "none read; they would be in" in without and "scripted-general, engine scripted" in without
        file = tmp_path / "own.toml"
        await asyncio.to_thread(file.write_text, "", "utf-8")
        monkeypatch.setenv("QWENDESK_CONFIG", str(file))
        assert str(file) in greeting(service)
