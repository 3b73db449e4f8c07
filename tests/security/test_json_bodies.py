"""JSON that is nested too deeply, or says numbers that are none, is refused with 400 wherever JSON comes in."""

from __future__ import annotations

import asyncio
import hmac
import json
import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from urllib.parse import urlencode

import httpx
import pytest
from starlette.applications import Starlette

from qwendesk.channels.base import Channel
from qwendesk.channels.chatwoot.channel import ChatwootChannel
from qwendesk.channels.ingest import MAX_JSON_DEPTH, read_json
from qwendesk.channels.slack.channel import SlackChannel
from qwendesk.channels.telegram.channel import TelegramChannel
from qwendesk.channels.web.socket import read_frame
from qwendesk.channels.webhook.channel import WebhookChannel, signed_headers
from qwendesk.messages import Admission, Inbound
from qwendesk.testing.conformance.channel_fixtures import serve_routes
from qwendesk.testing.simulators.telegram import TOKEN, TelegramSimulator
from qwendesk.testing.simulators.webhook import SECRET

HOSTILE = {
    "arrays": "[" * 100_000 + "]" * 100_000,
    "arrays without an end": "[" * 100_000,
    "objects": '{"a":' * 50_000 + "1" + "}" * 50_000,
    "just too deep": "[" * (MAX_JSON_DEPTH + 1) + "]" * (MAX_JSON_DEPTH + 1),
    "deep behind a message": '{"conversation":"c","text":"hello","id":' + "[" * 900 + "]" * 900 + "}",
    "not a number": '{"id": NaN}',
    "infinite": '{"id": 1e999}',
    "many digits": '{"id": ' + "9" * 5000 + "}",
    "no JSON": '{"id"',
    "not UTF-8": "\udcff",
}


def _webhook(body: bytes) -> Mapping[str, str]:
    return signed_headers(SECRET, "m", body)


def _slack(body: bytes) -> Mapping[str, str]:
    moment = str(int(time.time()))
    signature = hmac.new(b"secret", f"v0:{moment}:".encode() + body, sha256).hexdigest()
    return {"x-slack-request-timestamp": moment, "x-slack-signature": f"v0={signature}"}


def _chatwoot(body: bytes) -> Mapping[str, str]:
    moment = str(int(time.time()))
    signature = hmac.new(b"secret", f"{moment}.".encode() + body, sha256).hexdigest()
    return {"X-Chatwoot-Timestamp": moment, "X-Chatwoot-Signature": f"sha256={signature}"}


CALLED: dict[str, tuple[Callable[[], Channel], Callable[[bytes], Mapping[str, str]]]] = {
    "webhook": (lambda: WebhookChannel("https://a.example", SECRET), _webhook),
    "slack": (lambda: SlackChannel("xoxb", "", "secret", "https://slack.example/api"), _slack),
    "chatwoot": (lambda: ChatwootChannel("https://c.example", "token", "secret"), _chatwoot),
}


async def _accept(inbound: Inbound) -> Admission:
    raise AssertionError("nothing of this is a message")


@pytest.mark.parametrize("name", CALLED)
@pytest.mark.parametrize("kind", HOSTILE)
async def test_a_signed_body_that_cannot_be_read_is_answered_with_400(name: str, kind: str) -> None:
    make, sign = CALLED[name]
    channel = make()
    if name == "slack" and kind == "not UTF-8":
        pytest.skip("Slack signs text")
    body = HOSTILE[kind].encode("utf-8", "surrogateescape")
    app = Starlette(routes=list(channel.routes()))
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://desk")
    async with client, asyncio.TaskGroup() as tasks:
        if name != "slack":  # it would connect; it reads the body first
            tasks.create_task(channel.start(_accept))
            await asyncio.sleep(0)
        assert (await client.post("/", content=body, headers=sign(body))).status_code == 400
        await channel.stop()


@pytest.mark.parametrize("kind", ["arrays", "infinite"])
async def test_a_slack_form_that_cannot_be_read_is_answered_with_400(kind: str) -> None:
    channel = SlackChannel("xoxb", "", "secret", "https://slack.example/api")
    body = urlencode({"payload": HOSTILE[kind]}).encode()
    form = {"content-type": "application/x-www-form-urlencoded"}
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(Starlette(routes=list(channel.routes()))), base_url="http://desk"
    ) as client:
        assert (await client.post("/", content=body, headers={**_slack(body), **form})).status_code == 400


@pytest.mark.parametrize("kind", HOSTILE)
async def test_a_telegram_update_that_cannot_be_read_is_answered_with_400(kind: str) -> None:
    body = HOSTILE[kind].encode("utf-8", "surrogateescape")
    assert await _updated(body) == 400


async def test_a_telegram_update_is_read_up_to_a_limit() -> None:
    assert await _updated(b" " * (2**20 + 1)) == 413
    assert await _updated(json.dumps({"update_id": 1}).encode()) == 200


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_frame_of_the_web_chat_that_cannot_be_read_is_refused(kind: str) -> None:
    with pytest.raises(ValueError, match="JSON"):
        read_frame(HOSTILE[kind].encode("utf-8", "surrogateescape"))


def test_what_is_not_deep_is_read() -> None:
    deep = "[" * MAX_JSON_DEPTH + "1" + "]" * MAX_JSON_DEPTH
    assert json.dumps(read_json(deep)) == deep
    assert read_json('{"a": [1.5, {"b": null}], "c": "\\u00e9"}') == {"a": [1.5, {"b": None}], "c": "é"}


async def _updated(body: bytes) -> int:
    """Return the status with which the webhook of a running Telegram channel answers."""
    async with TelegramSimulator() as simulator, serve_routes(simulator) as routes:
        settings = TelegramChannel.manifest.read({**simulator.settings(), "webhook_url": "https://desk.example.org"})
        channel = TelegramChannel.create(settings)
        routes.extend(channel.routes())
        running = asyncio.create_task(channel.start(_accept))
        shown = {"X-Telegram-Bot-Api-Secret-Token": hmac.new(TOKEN.encode(), b"qwendesk webhook", sha256).hexdigest()}
        try:
            async with httpx.AsyncClient() as client, asyncio.timeout(20):
                while True:
                    answer = await client.post(f"{simulator.desk_url}/", content=body, headers=shown)
                    if answer.status_code != 503:
                        return answer.status_code
                    await asyncio.sleep(0.02)
        finally:
            await channel.stop()
            await running
            await channel.aclose()
