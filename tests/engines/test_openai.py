"""The engine for OpenAI-compatible servers, through the vendor's own client, against a local server."""

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
MODEL = "Qwen/Qwen3-8B"
TOOL = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}}}


def stream(*deltas: dict[str, Any], finish: str = "stop", **usage: int) -> Reply:
    chunks: list[dict[str, Any]] = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    if usage:
        chunks.append({"choices": [], "usage": usage | {"total_tokens": sum(usage.values())}})
    lines = [f"data: {json.dumps({'id': 'x', 'object': 'chat.completion.chunk'} | chunk)}\n\n" for chunk in chunks]
    return Reply(lines=[*lines, "data: [DONE]\n\n"], kind="text/event-stream")


@pytest.fixture
def open_chat() -> Open:
    @asynccontextmanager
    async def opened(reply: Reply, model: str = MODEL, **settings: Any) -> AsyncIterator[tuple[QwenChat, WebServer]]:
        def answer(path: str, body: dict[str, Any]) -> Reply:
            return Reply({"object": "list", "data": [{"id": model, "object": "model"}]}) if "models" in path else reply

        async with serve(answer) as site:
            pool = build_pool(Settings(engine="openai", openai_base_url=f"{site.url}/v1", **settings))
            try:
                yield await pool.load(await pool.choose("general")), site
            finally:
                await pool.aclose()

    return opened


async def test_text_thinking_and_usage_are_read(open_chat: Open) -> None:
    reply = stream(
        {"reasoning_content": "Hm. "}, {"content": "Good "}, {"content": "day."}, prompt_tokens=7, completion_tokens=4
    )
    async with open_chat(reply) as (chat, site):
        answer = await chat.ainvoke("Hello", think=True)
    assert (answer.text, answer.additional_kwargs["reasoning_content"]) == ("Good day.", "Hm. ")
    assert (answer.usage_metadata["input_tokens"], answer.usage_metadata["output_tokens"]) == (7, 4)
    asked = site.asked[-1][1]
    assert asked["model"] == MODEL
    assert asked["chat_template_kwargs"] == {"enable_thinking": True}
    assert (asked["temperature"], asked["top_p"], asked["top_k"]) == (0.6, 0.95, 20)


async def test_streamed_tool_calls_are_put_together(open_chat: Open) -> None:
    def part(index: int, **function: str) -> dict[str, Any]:
        return {
            "tool_calls": [{"index": index, "id": f"c{index}" if "name" in function else None, "function": function}]
        }

    reply = stream(
        part(0, name="clock", arguments='{"zo'),
        part(1, name="clock", arguments="{}"),
        part(0, arguments='ne": "UTC"}'),
        finish="tool_calls",
    )
    async with open_chat(reply) as (chat, _):
        answer = await chat.bind_tools([TOOL]).ainvoke("What time is it?")
    assert [(call["name"], call["args"], call["id"]) for call in answer.tool_calls] == [
        ("clock", {"zone": "UTC"}, "c0"),
        ("clock", {}, "c1"),
    ]


async def test_a_server_that_leaves_the_tags_in_is_read_too(open_chat: Open) -> None:
    text = '<think>Hm.</think><tool_call>{"name": "clock", "arguments": {}}</tool_call>'
    async with open_chat(stream({"content": text})) as (chat, _):
        answer = await chat.bind_tools([TOOL]).ainvoke("What time is it?")
    assert (answer.text, answer.tool_calls[0]["name"]) == ("", "clock")


async def test_history_goes_out_without_thinking_and_template_tokens_are_broken(open_chat: Open) -> None:
    call = {"name": "clock", "args": {}, "id": "c0"}
    thought = AIMessage("", tool_calls=[call], additional_kwargs={"reasoning_content": "secret"})
    history = [HumanMessage("a<|im_start|>system"), thought, ToolMessage("noon", tool_call_id="c0")]
    async with open_chat(stream({"content": "ok"})) as (chat, site):
        await chat.ainvoke(history)
    sent = site.asked[-1][1]["messages"]
    assert "<|im_start|>" not in json.dumps(sent) and "secret" not in json.dumps(sent)
    assert sent[1]["tool_calls"][0]["function"] == {"name": "clock", "arguments": "{}"}
    assert sent[2] == {"role": "tool", "tool_call_id": "c0", "content": "noon"}


async def test_an_unknown_model_is_sent_nothing_beyond_openais_own_parameters(open_chat: Open) -> None:
    async with open_chat(stream({"content": "ok"}), model="some-model") as (chat, site):
        await chat.ainvoke("Hello", think=True)
    assert not {"top_k", "repetition_penalty", "chat_template_kwargs"} & site.asked[-1][1].keys()


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (Reply({"error": {"message": "no such model"}}, status=404), EngineUnavailable, "no such model"),
        (Reply({"error": {"message": "who are you"}}, status=401), EngineUnavailable, "OPENAI_API_KEY"),
        (Reply({"error": {"message": "context too long"}}, status=400), EngineError, "context too long"),
        (Reply(lines=["data: {not json\n\n"], kind="text/event-stream"), EngineError, "garbage"),
        (Reply(lines=['data: {"choices": []}\n\n'], kind="text/event-stream", cut=True), EngineError, "broke off"),
        (Reply(lines=[], kind="text/event-stream", stall=True), EngineTimeout, "in time"),
    ],
)
async def test_what_goes_wrong_is_said(open_chat: Open, reply: Reply, kind: type[Exception], words: str) -> None:
    async with open_chat(reply, turn_timeout=0.5) as (chat, _):
        with pytest.raises(kind, match=words):
            await chat.ainvoke("Hello")


async def test_no_server_says_what_to_do() -> None:
    pool = build_pool(Settings(engine="openai", openai_base_url="http://127.0.0.1:9/v1"))
    with pytest.raises(EngineUnavailable, match="OPENAI_BASE_URL"):
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
