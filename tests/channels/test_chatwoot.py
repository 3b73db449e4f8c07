"""The Chatwoot channel."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from qwendesk.channels.base import Channel
from qwendesk.channels.chatwoot import channel as channel_module
from qwendesk.channels.chatwoot.channel import ChatwootChannel, ChatwootFiles
from qwendesk.channels.http_api import HttpApi
from qwendesk.errors import ChannelError
from qwendesk.messages import Attachment
from qwendesk.testing.conformance.channel import ChannelConformance
from qwendesk.testing.conformance.channel_fixtures import PIXEL, RecordingDesk
from qwendesk.testing.simulators.base import UserMessage, serve
from qwendesk.testing.simulators.chatwoot import ChatwootSimulator


class TestChatwoot(ChannelConformance):
    channel_class = ChatwootChannel

    @pytest.fixture
    async def simulator(self) -> AsyncIterator[ChatwootSimulator]:
        async with ChatwootSimulator() as simulator:
            yield simulator

    async def test_a_conversation_that_people_have_taken_is_theirs(
        self, simulator: ChatwootSimulator, channel: Channel, desk: RecordingDesk
    ) -> None:
        await simulator.write(UserMessage("I want a person"))
        simulator.status["1001"] = "open"
        await simulator.write(UserMessage("are you there?"))
        assert len(desk.inbox) == 1

    async def test_notes_and_answers_of_agents_are_not_questions(
        self, simulator: ChatwootSimulator, channel: Channel, desk: RecordingDesk
    ) -> None:
        await simulator.write(UserMessage("hello"))
        body = {"event": "message_created", "id": 7, "account": {"id": 1}, "conversation": {"id": 1001}, "content": "x"}
        sender = {"sender": {"id": 3, "type": "user", "name": "Zoë"}}
        own = {"message_type": "outgoing", "sender": {"id": 4, "type": "agent_bot"}}
        for more in ({"message_type": "outgoing", "private": True}, own, {"event": "x"}):
            assert await simulator.call(json.dumps(body | sender | more).encode()) == 200
        assert len(desk.inbox) == 1
        assert await simulator.call(json.dumps(body | sender | {"message_type": "outgoing"}).encode()) == 200
        reply = desk.inbox[-1]
        assert reply.from_operator and (reply.display_name, reply.conversation, reply.text) == ("Zoë", "1001", "x")

    async def test_a_forged_and_an_old_call_are_refused(
        self, simulator: ChatwootSimulator, channel: Channel, desk: RecordingDesk
    ) -> None:
        await simulator.write(UserMessage("hello"))
        body = json.dumps(simulator.last_call | {"id": 99}).encode()
        assert await simulator.call(body, secret=b"other") == 401
        assert await simulator.call(body, now=1_000_000) == 401
        assert len(desk.inbox) == 1

    async def test_what_cannot_be_signed_is_not_read(
        self, simulator: ChatwootSimulator, channel: Channel, desk: RecordingDesk
    ) -> None:
        too_large = b"x" * (2**20 + 1)
        assert await simulator.call(too_large) == 413
        assert await simulator.call(too_large, now=1_000_000) == 401

    async def test_a_file_elsewhere_is_not_fetched(
        self, simulator: ChatwootSimulator, channel: Channel, desk: RecordingDesk
    ) -> None:
        await simulator.write(UserMessage("hello"))
        elsewhere = {"file_type": "image", "data_url": "http://169.254.169.254/latest/meta-data"}
        body = json.dumps(simulator.last_call | {"id": 99, "attachments": [elsewhere]}).encode()
        assert await simulator.call(body) == 200
        assert desk.inbox[1].unsupported_media == "file" and desk.inbox[1].attachments == ()

    @pytest.mark.parametrize(
        "place", ["http://169.254.169.254/x", "ftp://a.example/x", "http://127.0.0.1:9/x", "http://["]
    )
    async def test_a_file_that_is_sent_on_into_one_s_own_network_is_not_fetched(
        self, simulator: ChatwootSimulator, channel: Channel, desk: RecordingDesk, place: str
    ) -> None:
        simulator.stores["a.png"] = place
        await simulator.write(UserMessage("look", files=(Attachment("image", "image/png", PIXEL, "a.png"),)))
        (inbound,) = await desk.received()
        assert (inbound.text, inbound.unsupported_media, inbound.attachments) == ("look", "file", ())

    @pytest.mark.parametrize("kind", ["contact", "location", "video"])
    async def test_of_a_message_with_a_card_the_text_is_kept(
        self, simulator: ChatwootSimulator, channel: Channel, desk: RecordingDesk, kind: str
    ) -> None:
        await simulator.write(UserMessage("hello"))
        card = {"id": 4, "file_type": kind, "fallback_title": "+39 06 1234"}
        await simulator.call(json.dumps(simulator.last_call | {"id": 99, "attachments": [card]}).encode())
        assert (desk.inbox[1].text, desk.inbox[1].unsupported_media) == ("hello", kind)

    async def test_chatwoot_is_answered_before_it_gives_the_conversation_away(
        self, simulator: ChatwootSimulator, channel: Channel, desk: RecordingDesk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(channel_module, "FETCH_TIMEOUT_SECONDS", 0.05)
        monkeypatch.setattr(ChatwootFiles, "fetch", lambda *_: asyncio.Event().wait())
        await simulator.write(UserMessage("look", files=(Attachment("image", "image/png", PIXEL, "a.png"),)))
        assert (desk.inbox[0].text, desk.inbox[0].unsupported_media) == ("look", "file")
        assert simulator.webhook.statuses == [200]


async def test_a_file_is_followed_to_where_it_is_kept_but_not_for_ever() -> None:
    async def sent_on(request: Request) -> Response:
        count = int(request.path_params["count"])
        return RedirectResponse(f"/{count - 1}") if count else Response(b"bytes")

    async def redirect_to_store(request: Request) -> Response:
        return RedirectResponse(f"{store}/0")

    app = Starlette(routes=[Route("/store", redirect_to_store), Route("/{count}", sent_on)])
    calls = HttpApi("Chatwoot", "")
    async with serve(app) as home, serve(app) as store:
        assert await ChatwootFiles(home, calls, 99).fetch(f"{home}/3") == b"bytes"
        with pytest.raises(ChannelError, match="more than 3"):
            await ChatwootFiles(home, calls, 99).fetch(f"{home}/4")
        with pytest.raises(ChannelError, match="outside"):
            await ChatwootFiles(home, calls, 99).fetch(f"{store}/0")
        files = ChatwootFiles(home, calls, 99, allowed=lambda _: True)
        assert await files.fetch(f"{home}/store") == b"bytes"
        await calls.aclose()
