"""The webhook channel: signed calls in both directions."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import httpx
import pytest

from qwendesk.channels.base import Channel
from qwendesk.channels.webhook.channel import WebhookChannel, signed_headers, signing_key, verified_id
from qwendesk.errors import ConfigError
from qwendesk.messages import Outbound
from qwendesk.server.web import build_app
from qwendesk.testing.conformance.channel import ChannelConformance
from qwendesk.testing.conformance.channel_fixtures import RecordingDesk
from qwendesk.testing.simulators.base import UserMessage
from qwendesk.testing.simulators.webhook import SECRET, WebhookSimulator

BODY = b'{"text": "hello", "conversation": "c"}'


class TestWebhook(ChannelConformance):
    channel_class = WebhookChannel

    @pytest.fixture
    async def simulator(self) -> AsyncIterator[WebhookSimulator]:
        async with WebhookSimulator() as simulator:
            yield simulator

    async def test_a_forged_a_changed_and_an_old_call_are_refused(
        self, simulator: WebhookSimulator, channel: Channel, desk: RecordingDesk
    ) -> None:
        good = signed_headers(SECRET, "m", BODY)
        forged = signed_headers("whsec_" + "QUJD" * 10, "m", BODY)
        old = signed_headers(SECRET, "m", BODY, now=1_000_000)
        async with httpx.AsyncClient() as client:
            url = f"{simulator.desk_url}/channels/webhook/"
            for headers, body in ((forged, BODY), (good, BODY + b" "), (old, BODY), ({}, BODY)):
                assert (await client.post(url, content=body, headers=headers)).status_code == 401
            assert (await client.post(url, content=BODY, headers=good)).status_code == 200
        assert [inbound.text for inbound in desk.inbox] == ["hello"]

    async def test_what_is_sent_twice_is_shown_once(self, simulator: WebhookSimulator, channel: Channel) -> None:
        for _ in range(2):
            await channel.send(Outbound("same", "c", "hello"))
        assert simulator.texts() == ["hello"]

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            ({"text": 5, "conversation": "c"}, "'text' has to be a string"),
            ({"text": "hello"}, "'conversation' is missing"),
            ({"text": "hello", "conversation": 7}, "'conversation' is missing or no string"),
            ([], "JSON object with 'conversation'"),
            ({"conversation": "c", "attachments": {"mime": "image/png"}}, "'attachments' has to be a list"),
            ({"conversation": "c", "attachments": [{"mime": "image/png"}]}, "'mime' and 'data'"),
            ({"conversation": "c", "attachments": [{"mime": "image/png", "data": "é"}]}, "not base64"),
        ],
    )
    async def test_a_body_that_is_no_message_is_answered_with_the_reason(
        self, simulator: WebhookSimulator, channel: Channel, content: object, reason: str
    ) -> None:
        body = json.dumps(content).encode()
        async with httpx.AsyncClient() as client:
            url = f"{simulator.desk_url}/channels/webhook/"
            answer = await client.post(url, content=body, headers=signed_headers(SECRET, "m", body))
        assert answer.status_code == 400 and reason in answer.json()["error"]

    async def test_a_new_key_may_stand_beside_the_old_one(self, simulator: WebhookSimulator, channel: Channel) -> None:
        await simulator.write(UserMessage("hello"))
        headers = signed_headers(SECRET, "m", BODY)
        both = headers | {"webhook-signature": "v1,AAAA " + headers["webhook-signature"]}
        assert verified_id(SECRET, both, BODY) == "m"


def test_the_signature_is_the_one_of_the_specification() -> None:
    # the example of the Standard Webhooks specification
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    headers = signed_headers(secret, "msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}', now=1614265330)
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("secret", ["", "password", "whsec_", "whsec_c2hvcnQ=", "whsec_!!!", "whsec_é"])
def test_a_weak_secret_is_refused(secret: str) -> None:
    with pytest.raises(ConfigError, match="whsec_"):
        signing_key(secret)


@pytest.mark.parametrize(
    ("url", "secret", "named"),
    [
        ("shop.example/answers", SECRET, "'url'"),
        ("ftp://shop.example", SECRET, "'url'"),
        ("https://shop.example", "password", "secret"),
    ],
)
def test_settings_that_cannot_work_are_refused_before_anything_starts(url: str, secret: str, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        WebhookChannel.create(WebhookChannel.manifest.read({"url": url, "secret": secret}))


async def test_the_address_without_its_last_slash_takes_calls_too() -> None:
    async def health() -> dict[str, object]:
        return {}

    channel = WebhookChannel("https://shop.example/answers", SECRET)
    transport = httpx.ASGITransport(build_app(health, {"webhook": channel.routes()}))
    async with httpx.AsyncClient(transport=transport, base_url="http://desk") as client:
        answer = await client.post("/channels/webhook", content=BODY, headers=signed_headers(SECRET, "m", BODY))
    assert answer.status_code == 503 and "stopping" in answer.json()["error"]  # the channel is not started
    await channel.aclose()
