"""What a platform's answer over HTTP means, and calls that nobody signed."""

from __future__ import annotations

from collections.abc import Sequence

import httpx
import pytest
from starlette.applications import Starlette

from qwendesk.channels.base import Channel
from qwendesk.channels.chatwoot.channel import ChatwootChannel
from qwendesk.channels.slack.channel import SlackChannel
from qwendesk.channels.web.pages import ChatPage
from qwendesk.channels.webhook.channel import WebhookChannel
from qwendesk.safe_fetch import parse_retry_after
from qwendesk.testing.simulators.webhook import SECRET

_NOW = 1_445_412_480.0
_DIGITS = "1" * 5000
_CHANNELS: Sequence[Channel] = (
    SlackChannel("xoxb", "", "secret", "https://slack.example/api"),
    WebhookChannel("https://a.example", SECRET),
    ChatwootChannel("https://c.example", "token", "secret"),
)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("7", 7.0),
        ("Wed, 21 Oct 2015 07:28:30 GMT", 30.0),
        ("Wed, 21 Oct 2015 07:28:30", 30.0),
        ("Wed, 21 Oct 2015 07:00:00 GMT", 0.0),
        ("soon", None),
        ("", None),
        ("Wed, 99 Foo 2015", None),
        ("²", None),
    ],
)
def test_a_wait_is_read_in_seconds_or_as_a_date(said: str, seconds: float | None) -> None:
    assert parse_retry_after(said, _NOW) == seconds


@pytest.mark.parametrize("channel", _CHANNELS, ids=lambda channel: channel.manifest.name)
@pytest.mark.parametrize("moment", ["abc", _DIGITS, "", "1²", "-5", None])
@pytest.mark.parametrize("signature", ["v0=x", "grün".encode("latin-1"), b"\xff", ""])
async def test_a_call_that_nobody_signed_is_refused_whatever_it_holds(
    channel: Channel, moment: str | None, signature: str | bytes
) -> None:
    assert await _posted(channel, moment, signature, b"\xff") == 401


@pytest.mark.parametrize("channel", _CHANNELS[:2], ids=lambda channel: channel.manifest.name)
async def test_of_a_call_without_a_signature_no_body_is_read(channel: Channel) -> None:
    # one that was read would be found too large
    assert await _posted(channel, None, "", b"x" * (29 * 2**20)) == 401


@pytest.mark.parametrize("origin", ["http://[", "http://[::1", "http://a]b"])
def test_an_origin_that_is_none_may_not_talk(origin: str) -> None:
    assert not ChatPage("", "", "").allows(origin, "desk.example")


async def _posted(channel: Channel, moment: str | None, signature: str | bytes, body: bytes) -> int:
    kinds = {"x-slack": "request-timestamp", "x-chatwoot": "timestamp", "webhook": "timestamp"}
    headers: list[tuple[str, str | bytes]] = [("webhook-id", "m")]
    for kind, name in kinds.items():
        headers.append((f"{kind}-signature", signature))
        if moment is not None:
            headers.append((f"{kind}-{name}", moment.encode()))
    app = Starlette(routes=list(channel.routes()))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://desk") as client:
        raw = [(name.encode(), value if isinstance(value, bytes) else value.encode()) for name, value in headers]
        return (await client.post("/", content=body, headers=raw)).status_code
