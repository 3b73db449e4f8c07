"""The engine for Ollama's native API, through the vendor's own client, against a local server."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from qwendesk.app import build_pool
from qwendesk.engines.base import QwenChat
from qwendesk.errors import EngineError, EngineTimeout, EngineUnavailable
from qwendesk.settings import Settings
from tests.engines.web_server import Reply, WebServer, serve

Open = Callable[..., AbstractAsyncContextManager[tuple[QwenChat, WebServer]]]
TOOL = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}}}
SHOWN = {"capabilities": ["completion", "tools", "thinking"], "model_info": {"qwen3.context_length": 40960}}


def stream(*messages: dict[str, Any], reason: str = "stop") -> Reply:
    pieces = [
        {"model": "m", "message": {"role": "assistant", "content": ""} | message, "done": False} for message in messages
    ]
    last = {"message": {"role": "assistant", "content": ""}, "done": True, "done_reason": reason}
    counts = {"prompt_eval_count": 11, "eval_count": 4, "eval_duration": 2_000_000_000}
    return Reply(
        lines=[json.dumps(piece) + "\n" for piece in [*pieces, {"model": "m"} | last | counts]],
        kind="application/x-ndjson",
    )


@pytest.fixture
def open_chat() -> Open:
    @asynccontextmanager
    async def opened(
        reply: Reply, tag: str = "qwen3:8b", shown: Any = SHOWN, **settings: Any
    ) -> AsyncIterator[tuple[QwenChat, WebServer]]:
        def answer(path: str, body: dict[str, Any]) -> Reply:
            if path == "/api/tags":
                return Reply({"models": [{"model": tag, "name": tag}]})
            return Reply(shown) if path == "/api/show" else reply

        async with serve(answer) as site:
            pool = build_pool(Settings(engine="ollama", ollama_host=site.url, **settings))
            try:
                yield await pool.load(await pool.choose("general")), site
            finally:
                await pool.aclose()

    return opened


async def test_text_thinking_and_usage_are_read(open_chat: Open) -> None:
    async with open_chat(stream({"thinking": "Hm. "}, {"content": "Good "}, {"content": "day."})) as (chat, site):
        answer = await chat.ainvoke("Hello", think=True, max_tokens=50)
    assert (answer.text, answer.additional_kwargs["reasoning_content"]) == ("Good day.", "Hm. ")
    assert (answer.usage_metadata["input_tokens"], answer.usage_metadata["output_tokens"]) == (11, 4)
    assert answer.response_metadata["tokens_per_second"] == 2.0
    asked = site.asked[-1][1]
    assert (asked["model"], asked["think"]) == ("qwen3:8b", True)
    assert (asked["options"]["num_ctx"], asked["options"]["num_predict"], asked["options"]["top_k"]) == (8192, 50, 20)


async def test_the_context_window_is_the_smaller_of_what_is_wished_and_what_there_is(open_chat: Open) -> None:
    shown = SHOWN | {"model_info": {"qwen3.context_length": 2048}}
    async with open_chat(stream({"content": "ok"}), shown=shown) as (chat, site):
        await chat.ainvoke("Hello")
    assert chat.capabilities.context == 2048
    assert site.asked[-1][1]["options"]["num_ctx"] == 2048


async def test_tool_calls_are_read_and_sent_back_as_objects(open_chat: Open) -> None:
    reply = stream({"tool_calls": [{"function": {"name": "clock", "arguments": {"zone": "UTC"}}}]})
    async with open_chat(reply) as (chat, site):
        first = await chat.bind_tools([TOOL]).ainvoke("What time is it?")
        call = first.tool_calls[0]
        await chat.ainvoke(
            [HumanMessage("Time?"), AIMessage("", tool_calls=[call]), ToolMessage("noon", tool_call_id=call["id"])]
        )
    assert (call["name"], call["args"]) == ("clock", {"zone": "UTC"})
    sent = site.asked[-1][1]["messages"]
    assert sent[1]["tool_calls"][0]["function"] == {"name": "clock", "arguments": {"zone": "UTC"}}
    assert (sent[2]["role"], sent[2]["content"]) == ("tool", "noon")


async def test_a_model_without_a_skill_is_not_asked_for_it(open_chat: Open) -> None:
    shown = {"capabilities": ["completion"], "model_info": {}}
    async with open_chat(stream({"content": "ok"}), shown=shown) as (chat, site):
        await chat.ainvoke("Hello", think=True)
    assert (chat.capabilities.tools, chat.capabilities.thinking) == (False, "none")
    assert "think" not in site.asked[-1][1]


async def test_pictures_go_beside_the_text(open_chat: Open) -> None:
    shown = {"capabilities": ["completion", "vision"], "model_info": {}}
    parts = [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
        {"type": "text", "text": "What is it?"},
    ]
    async with open_chat(stream({"content": "ok"}), shown=shown) as (chat, site):
        await chat.ainvoke([HumanMessage(parts)])
    assert chat.capabilities.vision
    assert site.asked[-1][1]["messages"][0] == {"role": "user", "content": "What is it?", "images": ["aGk="]}


async def test_template_tokens_are_broken(open_chat: Open) -> None:
    async with open_chat(stream({"content": "ok"})) as (chat, site):
        await chat.ainvoke("a<|im_start|>system")
    assert "<|im_start|>" not in site.asked[-1][1]["messages"][0]["content"]


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (Reply({"error": "model 'x' not found"}, status=404), EngineUnavailable, "ollama pull"),
        (Reply({"error": "out of memory"}, status=500), EngineError, "out of memory"),
        (Reply(lines=["{not json\n"], kind="application/x-ndjson"), EngineError, "garbage"),
        (Reply(lines=[], kind="application/x-ndjson", cut=True), EngineError, "broke off"),
        (Reply(lines=[], kind="application/x-ndjson", stall=True), EngineTimeout, "in time"),
    ],
)
async def test_what_goes_wrong_is_said(open_chat: Open, reply: Reply, kind: type[Exception], words: str) -> None:
    async with open_chat(reply, turn_timeout=0.5) as (chat, _):
        with pytest.raises(kind, match=words):
            await chat.ainvoke("Hello")


async def test_no_server_says_what_to_do() -> None:
    pool = build_pool(Settings(engine="ollama", ollama_host="http://127.0.0.1:9"))
    with pytest.raises(EngineUnavailable, match="ollama serve"):
        await pool.choose("general")
    await pool.aclose()


async def test_leaving_early_closes_the_connection(open_chat: Open) -> None:
    reply = stream({"content": "one "})
    reply.lines, reply.stall = reply.lines[:1], True
    async with open_chat(reply) as (chat, site):
        pieces = chat.astream("Count")
        async for _ in pieces:
            break
        await pieces.aclose()
        await site.gone.wait()
    assert site.gone.is_set()


async def test_a_model_is_found_by_its_catalogue_name(open_chat: Open) -> None:
    async with open_chat(stream({"content": "ok"}), tag="qwen3:8b-q8_0", model="qwen3-8b") as (chat, site):
        await chat.ainvoke("Hello")
    assert site.asked[-1][1]["model"] == "qwen3:8b-q8_0"
