"""An embedded llama.cpp that refuses, fails or breaks off: the kind of error decides whether another one is asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from qwendesk.engines.llamacpp.engine import LlamaCppChat
from qwendesk.engines.llamacpp.server import LlamaServer
from qwendesk.errors import EngineError, EngineFailed, EngineTimeout
from qwendesk.models.card import ModelCard
from qwendesk.settings import Settings
from tests.engines.web_server import Reply, WebServer, serve


def pieces(*texts: str, stall: bool = False) -> Reply:
    lines = [f"data: {json.dumps({'content': text, 'tokens': [1], 'stop': False})}\n\n" for text in texts]
    return Reply(lines=lines, kind="text/event-stream", stall=stall)


@asynccontextmanager
async def fake_chat(*answers: Reply, **limits: float) -> AsyncIterator[tuple[LlamaCppChat, WebServer]]:
    """Give a chat on a made-up llama.cpp that completes prompts by these answers, one after the other."""
    completions = iter(answers)

    def reply(path: str, body: dict[str, str]) -> Reply:
        if path == "/completion":
            return next(completions)
        return Reply({"prompt": "Hi"} if path == "/apply-template" else {"tokens": [1, 2]})

    async with serve(reply) as site:
        server = LlamaServer(None, site.url, "key")
        server.context = server.room = 512
        card = ModelCard(name="thinks", thinking="hybrid")
        yield LlamaCppChat(card=card, engine="llamacpp", server=server, settings=Settings(**limits)), site
        await server.aclose()


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (Reply({"error": {"code": 400, "message": "bad grammar"}}, status=400), EngineError, "refused: bad grammar"),
        (Reply({"error": {"code": 500, "message": "no room"}}, status=500), EngineFailed, "refused: no room"),
        (Reply(lines=['data: {"error": {"code": 500, "message": "no room"}}\n\n']), EngineFailed, "refused: no room"),
        (Reply(lines=["<html>"], status=502), EngineError, "refused: b'<html>'"),
        (Reply(lines=[], cut=True), EngineFailed, "broke off"),
        (pieces("One "), EngineFailed, "broke off in the middle"),
    ],
)
async def test_what_goes_wrong_is_said(reply: Reply, kind: type[Exception], words: str) -> None:
    async with fake_chat(reply) as (chat, _):
        with pytest.raises(kind, match=words) as caught:
            await chat.ainvoke("Hello")
        assert caught.type is kind
        assert chat._room._free == 512


async def test_an_answer_that_breaks_off_behind_closed_thinking_is_no_whole_one() -> None:
    async with fake_chat(pieces("<think>", "a", "b"), pieces("So ")) as (chat, _):
        with pytest.raises(EngineFailed, match="broke off in the middle"):
            await chat.ainvoke("Hello", think_budget=1)


# each case has a short limit only for what never comes, so that a busy machine gives up nothing else
_BEGIN = {"first_token_timeout": 1.0, "token_timeout": 0.5}
_GO_ON = {"token_timeout": 0.5}


@pytest.mark.parametrize(
    ("answers", "options", "limits", "words"),
    [
        (
            [Reply(lines=[], stall=True)],
            {},
            _BEGIN,
            "thinks on llama.cpp did not begin .* 1 s .*FIRST_TOKEN.*shorten",
        ),
        (
            [pieces("One ", stall=True)],
            {},
            _GO_ON,
            "thinks on llama.cpp fell silent for 0.5 s in the middle .*TOKEN_TIMEOUT",
        ),
        # thinking that may take no tokens: its end, which is put there, is no piece of the model's
        ([Reply(lines=[], stall=True)], {"think_budget": 0}, _BEGIN, "did not begin"),
        ([pieces("<think>", "a", "b"), Reply(lines=[], stall=True)], {"think_budget": 1}, _GO_ON, "fell silent"),
    ],
)
async def test_a_model_that_hangs_is_given_up_and_the_next_message_answered(
    answers: list[Reply], options: dict[str, Any], limits: dict[str, float], words: str
) -> None:
    end = Reply(lines=[*pieces("Two").lines, 'data: {"content": "", "stop": true}\n\n'], kind="text/event-stream")
    async with fake_chat(*answers, end, **limits) as (chat, site):
        with pytest.raises(EngineTimeout, match=words):
            await chat.ainvoke("Hello", **options)
        async with asyncio.timeout(30):
            await site.gone.wait()
        assert chat._room._free == 512
        chat._settings = Settings()  # the answer that has to come gets the time that a busy machine takes
        # the made-up prompt ends inside the thinking
        assert (await chat.ainvoke("Hello")).additional_kwargs["reasoning_content"] == "Two"


async def test_waiting_for_room_is_not_the_models_silence() -> None:
    end = Reply(lines=[*pieces("Two").lines, 'data: {"content": "", "stop": true}\n\n'], kind="text/event-stream")
    async with fake_chat(end, first_token_timeout=2) as (chat, _):
        async with chat._room.taken(512):
            waiting = asyncio.create_task(chat.ainvoke("Hello"))
            assert not (await asyncio.wait({waiting}, timeout=2.5))[0]
            chat._settings = Settings()  # the limit was for the waiting alone
        assert (await waiting).additional_kwargs["reasoning_content"] == "Two"
