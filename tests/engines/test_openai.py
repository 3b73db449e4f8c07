"""The engine for OpenAI-compatible servers, through the vendor's client, against a simulated server."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from qwendesk.engines.chat import QwenChat
from qwendesk.errors import EngineError, EngineFailed, EngineTimeout, EngineUnavailable
from qwendesk.settings import FallbackSettings, ServerSettings, Settings
from qwendesk.wiring import build_pool
from tests.engines.web_server import Reply, WebServer, serve

Open = Callable[..., AbstractAsyncContextManager[tuple[QwenChat, WebServer]]]
MODEL = "Qwen/Qwen3-8B"
SSE = "text/event-stream"
Server = Callable[..., AbstractAsyncContextManager[tuple[QwenChat, WebServer]]]
TOOL = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}}}


def stream(*deltas: dict[str, Any], finish: str = "stop", **usage: int) -> Reply:
    chunks: list[dict[str, Any]] = [{"choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    chunks.append({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    if usage:
        chunks.append({"choices": [], "usage": usage | {"total_tokens": sum(usage.values())}})
    lines = [f"data: {json.dumps({'id': 'x', 'object': 'chat.completion.chunk'} | chunk)}\n\n" for chunk in chunks]
    return Reply(lines=[*lines, "data: [DONE]\n\n"], kind="text/event-stream")


def word(text: str) -> str:
    chunk = {"id": "x", "object": "chat.completion.chunk", "choices": [{"index": 0, "delta": {"content": text}}]}
    return f"data: {json.dumps(chunk)}\n\n"


@pytest.fixture
def own_server() -> Server:
    """Serve a simulated vLLM whose replies are a function of the request."""

    @asynccontextmanager
    async def opened(answer: Callable[[dict[str, Any]], Reply], **served: Any) -> AsyncIterator[Any]:
        def reply(path: str, body: dict[str, Any]) -> Reply:
            listed = {"object": "list", "data": [{"id": MODEL, "object": "model"} | served]}
            return Reply(listed) if "models" in path else answer(body)

        async with serve(reply) as site:
            pool = build_pool(Settings(engine="vllm", servers={"vllm": ServerSettings(url=f"{site.url}/v1")}))
            try:
                yield await pool.load(await pool.choose("general")), site
            finally:
                await pool.aclose()

    return opened


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
    assert [(call["name"], call["args"]) for call in answer.tool_calls] == [
        ("clock", {"zone": "UTC"}),
        ("clock", {}),
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
        (Reply({"error": {"message": "bad picture"}}, status=400), EngineError, "bad picture"),
        (Reply({"error": "busy"}, status=429, headers={"Retry-After": "7"}), EngineFailed, "try again in 7 s"),
        (Reply({"error": "busy"}, status=429), EngineFailed, "try again later"),
        (Reply({"error": "no memory"}, status=500), EngineFailed, r"failed \(500\): look at its log"),
        (Reply(lines=["<html>Bad gateway" * 999], kind="text/html", status=502), EngineFailed, r"failed \(502\)"),
        (Reply(lines=["<html>Welcome"], kind="text/html"), EngineFailed, "does the address end in /v1"),
        (Reply(lines=["data: {not json\n\n"], kind=SSE), EngineFailed, "malformed"),
        (Reply(lines=['data: {"error": {"message": "out of memory"}}\n\n'], kind=SSE), EngineFailed, "out of memory"),
        (Reply(lines=['data: {"choices": []}\n\n'], kind=SSE, cut=True), EngineFailed, "broke off"),
        (Reply(lines=[word("Hel")], kind=SSE, cut=True), EngineFailed, "broke off"),
        (Reply(lines=[word("Hel")], kind=SSE), EngineFailed, "broke off in the middle"),
        (Reply(lines=[], kind=SSE, stall=True), EngineTimeout, "QWENDESK_FIRST_TOKEN_TIMEOUT"),
        (Reply(lines=[word("Hel")], kind=SSE, stall=True), EngineTimeout, "QWENDESK_TOKEN_TIMEOUT"),
    ],
)
async def test_what_goes_wrong_is_said(open_chat: Open, reply: Reply, kind: type[Exception], words: str) -> None:
    # only a server that says nothing is waited for in vain
    timeout = 0.3 if kind is EngineTimeout else 60.0
    # with a fallback chain no request is retried
    chain = FallbackSettings(chain=("llamacpp:qwen3-4b",))
    async with open_chat(reply, first_token_timeout=timeout, token_timeout=timeout, fallback=chain) as (chat, site):
        with pytest.raises(kind, match=words) as caught:
            await chat.ainvoke("Hello")
    assert type(caught.value) is kind
    assert sum("chat" in path for path, _ in site.asked) == 1


@pytest.mark.parametrize(
    "reply",
    [
        Reply(lines=["<!doctype html><html>Welcome</html>"], kind="text/html"),
        Reply(lines=[]),
        *(Reply(body) for body in ({"hello": 1}, [1, 2], "hello", {"data": None}, {"data": [1]}, {"data": [{"x": 1}]})),
    ],
)
async def test_an_address_where_something_else_listens_is_named(reply: Reply) -> None:
    async with serve(lambda path, body: reply) as site:
        pool = build_pool(Settings(engine="vllm", servers={"vllm": ServerSettings(url=f"{site.url}/v1")}))
        with pytest.raises(
            EngineFailed, match="Another program may be listening there.*/v1.*set QWENDESK_SERVERS__VLLM__URL"
        ):
            await pool.choose("general")
        await pool.aclose()


async def test_a_wrong_path_is_told_as_such() -> None:
    page = Reply(lines=["<!doctype html>Not found"], kind="text/html", status=404)
    async with serve(lambda path, body: page) as site:
        settings = Settings(engine="vllm", servers={"vllm": ServerSettings(url=f"{site.url}/v2")})
        pool = build_pool(settings)
        chat = await pool.engine("vllm").load("qwen")
        with pytest.raises(EngineUnavailable, match=r"v2' does not have it: .* address ends .*\(mostly in /v1\)"):
            await chat.ainvoke("Hello")
        await pool.aclose()


async def test_without_a_chain_a_busy_server_is_asked_again(own_server: Server) -> None:
    replies = iter([Reply({"error": "busy"}, status=429, headers={"Retry-After": "0.01"}), stream({"content": "ok"})])
    async with own_server(lambda body: next(replies)) as (chat, _):
        assert (await chat.ainvoke("Hello")).text == "ok"


async def test_a_conversation_that_a_server_finds_too_long_is_made_shorter(own_server: Server) -> None:
    def answer(body: dict[str, Any]) -> Reply:
        tokens = sum(len(message["content"]) for message in body["messages"])
        if tokens + body["max_tokens"] <= 2000:
            return stream({"content": "ok"})
        told = (
            f"This model's maximum context length is 2000 tokens. However, you requested {tokens + body['max_tokens']}"
        )
        return Reply({"message": f"{told} tokens ({tokens} in the messages, ...)", "code": 400}, status=400)

    talk = [message for n in range(40) for message in (HumanMessage(f"{n} " + "x" * 90), AIMessage("y" * 90))]
    async with own_server(answer) as (chat, site):
        reply = await chat.ainvoke([SystemMessage("Be brief."), *talk, HumanMessage("Well?")], max_tokens=100)
        sent = [message["content"] for message in site.asked[-1][1]["messages"]]
        with pytest.raises(EngineError, match=r"needs 9000 tokens.*room for 2000.*QWENDESK_CONTEXT_TOKENS"):
            await chat.ainvoke("x" * 9000)
    assert (reply.text, sent[0], sent[-1]) == ("ok", "Be brief.", "Well?")
    assert reply.response_metadata["dropped_messages"] == 82 - len(sent) > 0
    assert sum(map(len, sent)) > 1000, "no more was left out than had to be"


async def test_a_long_answer_is_asked_for_only_where_there_is_room(own_server: Server) -> None:
    served = {"max_model_len": 1000}
    async with own_server(lambda body: stream({"content": "ok"}), **served) as (chat, site):
        await chat.ainvoke("x" * 1500, max_tokens=4000)
    assert site.asked[-1][1]["max_tokens"] < 500
    assert chat.capabilities.context == 1000


@pytest.mark.parametrize(
    "pieces",
    [
        [{"index": 0, "id": "a", "function": {"name": "clock", "arguments": "{}"}}, {"index": 1, "id": "b"}],
        [{"function": {"name": "clock", "arguments": "{"}}, {"function": {"arguments": "}"}}],
        [{"index": 0, "id": "a", "function": {"name": "clock", "arguments": n}} for n in ("{", "}")],
        [{"index": 0, "function": {"name": "clock", "arguments": {}}}],
        [{"index": 0, "function": {"name": "clo"}}, {"index": 0, "function": {"name": "ck", "arguments": "{}"}}],
    ],
    ids=["two", "no index, no id", "all in each piece", "an object", "the name in pieces"],
)
async def test_pieces_of_calls_in_all_habits(open_chat: Open, pieces: list[dict[str, Any]]) -> None:
    reply = stream(*({"tool_calls": [piece]} for piece in pieces), finish="tool_calls")
    async with open_chat(reply) as (chat, _):
        answer = await chat.bind_tools([TOOL]).ainvoke("What time is it?")
    first = answer.tool_calls[0]
    assert (first["name"], first["args"]) == ("clock", {})
    assert first["id"]


async def test_two_calls_under_one_index_are_two(open_chat: Open) -> None:
    calls = [
        {"index": 0, "id": key, "function": {"name": "clock", "arguments": f'{{"zone": "{key}"}}'}} for key in "ab"
    ]
    async with open_chat(stream(*({"tool_calls": [call]} for call in calls), finish="tool_calls")) as (chat, _):
        answer = await chat.bind_tools([TOOL]).ainvoke("What time is it?")
    assert [call["args"] for call in answer.tool_calls] == [{"zone": "a"}, {"zone": "b"}]


async def test_each_call_has_an_id_of_its_own_whatever_the_server_sends(open_chat: Open) -> None:
    calls = [{"index": index, "id": "0", "function": {"name": "clock", "arguments": "{}"}} for index in (0, 1)]
    ids = set[str | None]()
    for _ in range(2):
        reply = stream(*({"tool_calls": [call]} for call in calls), finish="tool_calls")
        async with open_chat(reply) as (chat, _requests):
            answer = await chat.bind_tools([TOOL]).ainvoke("What time is it?")
        ids |= {call["id"] for call in answer.tool_calls}
    assert len(ids) == 4 and "0" not in ids


async def test_without_usage_the_pieces_are_counted(open_chat: Open) -> None:
    async with open_chat(stream({"content": "Good "}, {"content": "day."})) as (chat, _):
        answer = await chat.ainvoke("Hello")
    assert answer.usage_metadata["output_tokens"] == 2


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
