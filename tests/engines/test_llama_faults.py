"""An embedded llama.cpp that refuses, fails or breaks off: the kind of error decides whether another one is asked."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from qwendesk.engines.catalogue import ModelCard
from qwendesk.engines.llama_prompt import LlamaPrompter
from qwendesk.engines.llama_room import Room
from qwendesk.engines.llama_server import LlamaServer
from qwendesk.engines.llamacpp import LlamaCppChat
from qwendesk.errors import EngineError, EngineFailed
from tests.engines.web_server import Reply, WebServer, serve


def pieces(*texts: str) -> Reply:
    lines = [f"data: {json.dumps({'content': text, 'tokens': [1], 'stop': False})}\n\n" for text in texts]
    return Reply(lines=lines, kind="text/event-stream")


@asynccontextmanager
async def fake_chat(*answers: Reply) -> AsyncIterator[tuple[LlamaCppChat, WebServer]]:
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
        chat = LlamaCppChat(card=card, engine="llamacpp")
        chat._server, chat._prompter, chat._room = server, LlamaPrompter(server, card), Room(512)
        yield chat, site
        await chat.aclose()


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
