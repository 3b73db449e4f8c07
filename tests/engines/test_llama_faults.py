"""Failures of the embedded llama.cpp; the class of the error decides whether another model is asked."""

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


END = Reply(lines=[*pieces("Two").lines, 'data: {"content": "", "stop": true}\n\n'], kind="text/event-stream")
"""A complete answer; the simulated prompt ends inside the thinking."""


async def answers_whole_context(chat: LlamaCppChat) -> bool:
    """Tell whether the next answer, which needs the whole context, is complete."""
    return (await chat.ainvoke("Hello", max_tokens=512)).additional_kwargs["reasoning_content"] == "Two"


@asynccontextmanager
async def fake_chat(*answers: Reply, **limits: float) -> AsyncIterator[tuple[LlamaCppChat, WebServer, Settings]]:
    """Yield a chat on a simulated llama.cpp that completes prompts with these answers, in order."""
    completions, settings = iter(answers), Settings(**limits)

    def reply(path: str, body: dict[str, str]) -> Reply:
        if path == "/completion":
            return next(completions)
        return Reply({"prompt": "Hi"} if path == "/apply-template" else {"tokens": [1, 2]})

    async with serve(reply) as site:
        server = LlamaServer(None, site.url, "key")
        server.context = server.total_context = 512
        card = ModelCard(name="thinks", thinking="hybrid")
        yield LlamaCppChat(card=card, engine="llamacpp", server=server, settings=settings), site, settings
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
    async with fake_chat(reply, END) as (chat, _, _):
        with pytest.raises(kind, match=words) as caught:
            await chat.ainvoke("Hello")
        assert caught.type is kind
        assert await answers_whole_context(chat)


async def test_an_answer_that_breaks_off_behind_closed_thinking_is_no_whole_one() -> None:
    async with fake_chat(pieces("<think>", "a", "b"), pieces("So ")) as (chat, _, _):
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
            "thinks on llama.cpp sent nothing for 0.5 s in the middle .*TOKEN_TIMEOUT",
        ),
        # with a budget of 0 the closing tag is inserted, and does not count as a piece of the model
        ([Reply(lines=[], stall=True)], {"think_budget": 0}, _BEGIN, "did not begin"),
        ([pieces("<think>", "a", "b"), Reply(lines=[], stall=True)], {"think_budget": 1}, _GO_ON, "sent nothing"),
    ],
)
async def test_a_model_that_hangs_is_given_up_and_the_next_message_answered(
    answers: list[Reply], options: dict[str, Any], limits: dict[str, float], words: str
) -> None:
    async with fake_chat(*answers, END, **limits) as (chat, site, settings):
        with pytest.raises(EngineTimeout, match=words):
            await chat.ainvoke("Hello", **options)
        async with asyncio.timeout(30):
            await site.gone.wait()
        settings.first_token_timeout = settings.token_timeout = 60
        assert await answers_whole_context(chat)


async def test_waiting_for_context_does_not_count_as_time_of_the_model() -> None:
    async with fake_chat(pieces("One ", stall=True), END) as (chat, _, settings):
        first: Any = chat.astream("Hello", max_tokens=512)
        await anext(first)
        settings.first_token_timeout = 2
        waiting = asyncio.create_task(answers_whole_context(chat))
        assert not (await asyncio.wait({waiting}, timeout=2.5))[0]
        settings.first_token_timeout = 60
        await first.aclose()
        assert await waiting
