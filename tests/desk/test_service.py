"""``qwendesk serve`` and its commands, with a channel of a test's own."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner, Result

from qwendesk import Settings
from qwendesk.channels.base import Accept, Channel, ChannelCapabilities, Manifest
from qwendesk.channels.lifecycle import Backoff
from qwendesk.cli.main import app
from qwendesk.cli.serve import greeting
from qwendesk.desk.inbox.queue import DurableQueue, MessageHandler
from qwendesk.errors import ChannelError, ConfigError
from qwendesk.messages import Admission, Inbound, Outbound
from qwendesk.service import Service
from qwendesk.settings import STARTER_MODEL
from tests.databases import put_migrated

PROGRAM = [sys.executable, "-m", "qwendesk"]


class Loopback(Channel):
    """Hands over what a test says."""

    manifest = Manifest("loopback", "Loopback", ChannelCapabilities(max_length=40))

    def __init__(self, *failures: Exception) -> None:
        self.sent: list[str] = []
        self._failures = list(failures)
        self._stopped = asyncio.Event()
        self._started = asyncio.Event()
        self.accept: Accept | None = None

    async def start(self, accept: Accept) -> None:
        if self._failures:
            raise self._failures.pop(0)
        self.accept = accept
        self._started.set()
        await self._stopped.wait()

    async def stop(self) -> None:
        self._stopped.set()

    async def send(self, message: Outbound) -> str | None:
        self.sent.append(message.text)
        return message.key

    async def hears(self, text: str, person: str = "ann") -> Admission:
        async with asyncio.timeout(10):
            await self._started.wait()
        assert self.accept
        return await self.accept(Inbound(text, f"{person}'s", channel="loopback", person=person))


def settings(home: Path, **more: object) -> Settings:
    put_migrated(home / "qwendesk.db")
    return Settings(home=home, engine="scripted", port=0, shutdown_timeout=5, **more)  # type: ignore[arg-type]


async def test_a_channel_is_answered_and_health_is_reported(tmp_path: Path) -> None:
    channel = Loopback(ValueError("a bug in a library"))
    made = settings(tmp_path, channels={"loopback": {"access": "open"}})
    async with Service(made, channels={"loopback": channel}) as service:
        assert (await channel.hears("hello there")).outcome == "accepted"
        async with asyncio.timeout(20):
            while await service.runtime.acceptance.open_count():  # noqa: ASYNC110 - the desk tells nobody that it is idle
                await asyncio.sleep(0.02)
        assert "scripted-general" in "".join(channel.sent)
        assert all(len(text) <= 40 for text in channel.sent)
        assert service.web
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"http://127.0.0.1:{service.web.port}/healthz")
        running = {"channels": {"loopback": "running"}, "problems": {}}
        assert answer.json() == {"status": "ok", "component": "all", "waiting": 0, "failed": 0, **running}


async def test_a_start_that_fails_leaves_nothing_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    channel = Loopback()
    made = settings(tmp_path, channels={"loopback": {"access": "open"}})
    failing = Service(made, channels={"loopback": channel})
    with monkeypatch.context() as patched:

        async def fail(queue: DurableQueue, handle: MessageHandler) -> None:
            raise RuntimeError("a bug")

        patched.setattr(DurableQueue, "run", fail)
        with pytest.raises(RuntimeError, match="a bug"):
            async with failing:
                pass
    async with Service(made, channels={"loopback": channel}) as service:
        assert (await channel.hears("hello there")).outcome == "accepted"
        assert (await service.health())["status"] == "ok"


async def test_a_channel_refuses_strangers_by_default_and_refused_credentials_stop_it(tmp_path: Path) -> None:
    channel, refused = Loopback(), Loopback(ChannelError("The token does not hold.", permanent=True))
    async with Service(settings(tmp_path), channels={"loopback": channel, "other": refused}) as service:
        assert (await channel.hears("hello")).outcome == "refused"
        assert service.supervisors["other"].state == "refused"
        assert "token" in service.supervisors["other"].error
        assert "token" in (await service.health())["problems"]["other"]
        assert (await service.health())["status"] == "degraded"


class Mute(Loopback):
    """Cannot deliver anything."""

    async def send(self, message: Outbound) -> str | None:
        raise ChannelError("The bot was blocked.", permanent=True)


async def test_a_message_that_is_given_up_is_logged_without_its_content_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    channel = Mute()
    made = settings(tmp_path, channels={"loopback": {"access": "open"}})
    async with Service(made, channels={"loopback": channel}) as service:
        await channel.hears("my secret")
        async with asyncio.timeout(20):
            while not (await service.health())["failed"]:  # noqa: ASYNC110 - the desk tells nobody
                await asyncio.sleep(0.02)
    lines = [record.getMessage() for record in caplog.records if "given up" in record.getMessage()]
    assert lines == ["An answer on loopback is given up ('qwendesk messages failed'): The bot was blocked."]
    assert "my secret" not in caplog.text


@pytest.mark.parametrize("page", [True, False])
async def test_the_root_path_redirects_to_the_web_chat_if_there_is_one(tmp_path: Path, page: bool) -> None:
    made = settings(tmp_path, channels={"web": {}} if page else {})
    async with Service(made) as service:
        assert service.web
        async with httpx.AsyncClient(follow_redirects=True) as client:
            answer = await client.get(service.web.url)
        assert answer.status_code == 200 and answer.url.path == ("/channels/web/" if page else "/")
        assert "<html" in answer.text if page else "/healthz" in answer.text
        told = greeting(service)
        assert (f"{service.web.url}/channels/web/" in told and "shown a code" in told) is page
        assert ("channels list" in told and "qwendesk.toml" in told) is not page


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"engine": "nope"}, "No engine is called 'nope'"),
        ({"engine": "llamacpp", "model": "nope"}, "There is no model 'nope'"),
        ({"channels": {"console": {}}}, "'qwendesk chat' talks there"),
    ],
)
async def test_invalid_settings_are_reported_at_the_start(tmp_path: Path, wrong: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        async with Service(settings(tmp_path).model_copy(update=wrong)):
            pass


async def test_a_silent_model_server_does_not_delay_the_start(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        away = {"engine": "ollama", "ollama_host": f"http://127.0.0.1:{mute.getsockname()[1]}", "model": "qwen3:8b"}
        async with asyncio.timeout(10), Service(settings(tmp_path).model_copy(update=away), channels={}):
            pass
        mute.settimeout(0)
        with pytest.raises(BlockingIOError):
            mute.accept()  # nobody asked


@pytest.mark.parametrize("model", [None, "qwen3-8b", "llamacpp:qwen3-8b"])
async def test_a_desk_without_a_model_logs_the_command_that_pulls_it(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, model: str | None
) -> None:
    update = {"engine": "llamacpp", "model": model}
    async with Service(settings(tmp_path).model_copy(update=update), channels={}):
        assert f"'qwendesk models pull {'qwen3-8b' if model else STARTER_MODEL}" in caplog.text


async def test_a_port_in_use_is_reported_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"127.0.0.1:{port}.*in use.*--port"):
            async with Service(settings(tmp_path).model_copy(update={"port": port}), channels={}):
                pass
    assert not [record for record in caplog.records if record.name.startswith("uvicorn")]


async def test_channels_that_wait_for_their_platforms_are_stopped_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qwendesk.channels.lifecycle.Backoff", lambda: Backoff(3600.0))
    broken = {f"broken{number}": Loopback(*[ValueError("secret")] * 9) for number in range(3)}
    wrong = Loopback(ConfigError("There is no such folder."))
    async with AsyncExitStack() as stack:
        service = await stack.enter_async_context(Service(settings(tmp_path), channels={**broken, "wrong": wrong}))
        async with asyncio.timeout(60):
            while {supervisor.state for supervisor in service.supervisors.values()} != {"waiting", "refused"}:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        problems = (await service.health())["problems"]
        expected = dict.fromkeys(broken, "an unexpected error, which the log names")
        assert problems == {**expected, "wrong": "There is no such folder."}
        async with asyncio.timeout(60):  # a channel that is not stopped waits for an hour
            await stack.aclose()


def test_components_need_a_shared_database(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="QWENDESK_DATABASE_URL"):
        Service(settings(tmp_path), "worker", channels={})


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    environment = {**os.environ, "QWENDESK_ENGINE": "scripted", "QWENDESK_PORT": "0"}
    process = subprocess.Popen(
        [*PROGRAM, "serve"], env=environment, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    yield process
    if process.poll() is None:
        process.kill()
    process.communicate()


def test_serve_lists_what_runs_and_stops_at_sigterm(serving: subprocess.Popen[str]) -> None:
    assert serving.stdout
    lines = [serving.stdout.readline() for _ in range(6)]
    assert "Qwendesk runs (all)" in lines[0] and "settings" in lines[1] and "scripted" in lines[2]
    assert "/healthz" in lines[3] and "no channel is set up" in lines[4]
    assert "is ready" in lines[5]
    serving.send_signal(signal.SIGTERM)
    out, err = serving.communicate(timeout=30)
    assert serving.returncode == 0, err
    assert "Stopping" in out and err == ""


async def run(*arguments: str) -> Result:
    """Run a command in a thread, where it can have its own event loop."""
    return await asyncio.to_thread(CliRunner().invoke, app, arguments)


async def test_a_person_missing_in_an_allowlist_is_approved_in_the_settings_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("QWENDESK_CHANNELS__WEBHOOK__ACCESS", "allowlist")
    refused = await run("pairing", "approve", "webhook:eve")
    assert refused.exit_code == 1 and "add 'eve' to 'allow' in [channels.webhook]" in refused.stderr
    assert (await run("pairing", "deny", "webhook:eve")).exit_code == 0


async def test_people_are_approved_and_messages_retried_by_commands(tmp_path: Path) -> None:
    from qwendesk.desk.access import AccessPolicy
    from tests.desk.parts import running

    async with running(tmp_path, answers=False, access_policies={"test": AccessPolicy()}) as desk:
        await desk.say("hello", display_name="Ann Example")
        (guest,) = json.loads((await run("pairing", "list", "--json")).stdout)
        assert guest["display_name"] == "Ann Example" and guest["state"] == "waiting"
        approved = await run("pairing", "approve", guest["code"], "--role", "operator")
        assert approved.exit_code == 0 and "allowed as operator" in approved.stderr
        assert (await desk.say("hello")).outcome == "accepted"
        (id_,) = await desk.runtime.inbox.request_stop("test", "", "c1")
        claimed = await desk.runtime.inbox.claim(id_)
        assert claimed
        await desk.runtime.inbox.complete(id_, claimed.run, "dead", "out of luck")
        unknown = await run("pairing", "deny", "wbe:ann")
        assert unknown.exit_code == 1 and "No channel is called 'wbe'" in unknown.stderr and "web" in unknown.stderr
        assert (await run("pairing", "deny", "test:ann")).exit_code == 0
        await asyncio.sleep(2.1)  # what the door remembers of her
        assert (await desk.say("hello")).outcome == "refused"
    (ticket,) = json.loads((await run("messages", "failed", "--json")).stdout)
    assert ticket["error"] == "out of luck"
    assert "out of luck" in (await run("messages", "failed")).stdout
    assert (await run("messages", "retry", ticket["id"])).exit_code == 0
    again = await run("messages", "retry", ticket["id"])
    assert again.exit_code == 1 and "messages failed" in again.stderr
    assert json.loads((await run("messages", "failed", "--json")).stdout) == []
