"""The Ollama engine, through the vendor's client, against a simulated server."""

import asyncio
import base64
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage
from ollama import ShowResponse

from qwendesk.engines.ollama.client import OllamaClient
from qwendesk.errors import EngineError, EngineUnavailable
from qwendesk.settings import Settings, load_settings
from qwendesk.testing.conformance.channel_fixtures import PIXEL
from qwendesk.wiring import build_pool
from tests.engines.web_server import Reply, serve
from tests.servers.fake_ollama import SHOWN, fake_chat, fake_ollama, lines, stream

TOOL = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}}}
BARE = {"capabilities": ["completion"], "model_info": {}}
CALLED = [
    HumanMessage("Time?"),
    AIMessage("", tool_calls=[{"name": "clock", "args": {"zone": "UTC"}, "id": "c1"}]),
    ToolMessage("noon", tool_call_id="c1"),
]


async def test_text_thinking_and_usage_are_read() -> None:
    async with fake_chat(stream({"thinking": "Hm. "}, {"content": "Good "}, {"content": "day."})) as (chat, site):
        answer = await chat.ainvoke("Hello", think=True, max_tokens=50)
    assert (answer.text, answer.additional_kwargs["reasoning_content"]) == ("Good day.", "Hm. ")
    assert (answer.usage_metadata["input_tokens"], answer.usage_metadata["output_tokens"]) == (11, 4)
    assert answer.response_metadata["tokens_per_second"] == 2.0
    asked = site.asked[-1][1]
    assert (asked["model"], asked["think"]) == ("qwen3:8b", True)
    assert (asked["options"]["num_ctx"], asked["options"]["num_predict"], asked["options"]["top_k"]) == (8192, 50, 20)


async def test_the_context_window_is_the_smaller_of_what_is_wished_and_what_there_is() -> None:
    shown = SHOWN | {"model_info": {"qwen3.context_length": 2048}}
    async with fake_chat(stream({"content": "ok"}), shown=shown) as (chat, site):
        await chat.ainvoke("Hello")
    assert chat.capabilities.context == 2048
    windows = [body["options"]["num_ctx"] for path, body in site.asked if path == "/api/chat"]
    assert windows == [2048, 2048], "loading and asking with another window would load the model twice"


@pytest.mark.parametrize(("setting", "sent"), [("30m", "30m"), ("0", 0), ("-1", -1), ("1h30m", "1h30m")])
async def test_how_long_a_model_is_kept_is_a_setting(setting: str, sent: Any) -> None:
    async with fake_chat(stream({"content": "ok"}), ollama_keep_alive=setting, threads=3) as (chat, site):
        await chat.ainvoke("Hello")
    assert site.asked[-1][1]["keep_alive"] == sent
    assert site.asked[-1][1]["options"]["num_thread"] == 3


def test_a_time_that_the_server_would_not_read_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QWENDESK_OLLAMA_KEEP_ALIVE", "half an hour")
    with pytest.raises(Exception, match="ollama_keep_alive"):
        load_settings()


async def test_tool_calls_are_read_and_sent_back_as_objects() -> None:
    reply = stream({"tool_calls": [{"function": {"name": "clock", "arguments": {"zone": "UTC"}}}]})
    async with fake_chat(reply) as (chat, site):
        call = (await chat.bind_tools([TOOL]).ainvoke("What time is it?")).tool_calls[0]
        await chat.ainvoke(CALLED)
    assert (call["name"], call["args"]) == ("clock", {"zone": "UTC"})
    sent = site.asked[-1][1]["messages"]
    assert sent[1]["tool_calls"][0]["function"] == {"name": "clock", "arguments": {"zone": "UTC"}}
    assert (sent[2]["role"], sent[2]["content"]) == ("tool", "noon")


async def test_a_model_without_tools_is_told_of_them_in_the_prompt() -> None:
    called = stream({"content": "<tool_call>"}, {"content": '{"name": "clock", "arguments": {}}</tool_call>'})
    async with fake_chat(called, shown=BARE) as (chat, site):
        answer = await chat.bind_tools([TOOL]).ainvoke([SystemMessage("Be kind."), *CALLED, HumanMessage("And now?")])
    assert (answer.tool_calls[0]["name"], answer.text) == ("clock", "")
    assert chat.card.tools
    asked = site.asked[-1][1]
    assert not asked["tools"]
    system, _, call, result, _ = asked["messages"]
    assert system["content"].startswith("Be kind.\n\n# Tools") and '"name": "clock"' in system["content"]
    assert call["content"] == '<tool_call>\n{"name": "clock", "arguments": {"zone": "UTC"}}\n</tool_call>'
    assert result == {"role": "user", "content": "<tool_response>\nnoon\n</tool_response>"}


@pytest.mark.parametrize(("word", "think"), [("tools", None), ("thinking", True)])
async def test_a_server_that_refuses_is_asked_again_without(word: str, think: bool | None) -> None:
    def answer(body: dict[str, Any]) -> Reply:
        if body.get("tools") or body.get("think"):
            return Reply({"error": f"registry.ollama.ai/library/qwen3:8b does not support {word}"}, status=400)
        return stream({"content": "ok"})

    async with fake_chat(answer, shown={"model_info": {}}) as (chat, site):
        model = chat.bind_tools([TOOL]) if word == "tools" else chat
        texts = [(await model.ainvoke("Hello", think=think)).text for _ in range(2)]
    assert texts == ["ok", "ok"]
    assert len([path for path, _ in site.asked if path == "/api/chat"]) == 1 + 3, "the second time it is known"


async def test_a_model_without_thinking_is_not_asked_for_it() -> None:
    async with fake_chat(stream({"content": "ok"}), shown=BARE) as (chat, site):
        await chat.ainvoke("Hello", think=True)
    assert chat.card.thinking == "none"
    assert "think" not in site.asked[-1][1]


async def test_thinking_over_its_budget_is_closed_and_answered_after() -> None:
    thinking = stream(*({"thinking": f"step {n} "} for n in range(50)))
    thinking.stall = True

    def answer(body: dict[str, Any]) -> Reply:
        return stream({"content": "Nine."}, counts=(30, 2)) if body["messages"][-1]["role"] == "assistant" else thinking

    async with fake_chat(answer) as (chat, site):
        reply = await chat.ainvoke("How many?", think=True, think_budget=3, max_tokens=40)
        await asyncio.wait_for(site.gone.wait(), 10)  # the first answer was stopped
    thought = reply.additional_kwargs["reasoning_content"]
    assert thought.startswith("step 0 step 1 step 2 \n\nConsidering") and "step 3" not in thought
    assert (reply.text, reply.usage_metadata["output_tokens"]) == ("Nine.", 5)
    again = site.asked[-1][1]
    assert again["messages"][-1] == {"role": "assistant", "thinking": thought, "content": "\n"}
    assert again["options"]["num_predict"] == 37


async def test_a_budget_of_nothing_is_no_thinking() -> None:
    async with fake_chat(stream({"content": "Nine."})) as (chat, site):
        await chat.ainvoke("How many?", think=True, think_budget=0)
    assert site.asked[-1][1]["think"] is False


async def test_a_budget_as_long_as_the_answer_ends_the_answer() -> None:
    async with fake_chat(stream(*[{"thinking": "step "}] * 9)) as (chat, _):
        reply = await chat.ainvoke("How many?", think=True, think_budget=4, max_tokens=4)
    assert (reply.text, reply.response_metadata["finish_reason"]) == ("", "length")


async def test_pictures_go_beside_the_text() -> None:
    held = base64.b64encode(PIXEL).decode("ascii")
    parts = [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{held}"}},
        {"type": "text", "text": "What is it?"},
    ]
    shown = {"capabilities": ["completion", "vision"], "model_info": {}}
    async with fake_chat(stream({"content": "ok"}), shown=shown) as (chat, site):
        await chat.ainvoke([HumanMessage(parts)])
    assert chat.capabilities.vision
    assert site.asked[-1][1]["messages"][0] == {"role": "user", "content": "What is it?", "images": [held]}


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}, "'input_audio'"),
        ({"type": "image_url", "image_url": {"url": "https://example.org/cat.png"}}, "in the message itself"),
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,!"}}, "cannot be read"),
    ],
)
async def test_what_it_cannot_take_is_refused_and_not_left_out(part: dict[str, Any], words: str) -> None:
    async with fake_chat(stream({"content": "ok"})) as (chat, _):
        with pytest.raises(EngineError, match=words):
            await chat.ainvoke([HumanMessage([{"type": "text", "text": "What is it?"}, part])])
    assert not chat.capabilities.audio


async def test_template_tokens_are_broken() -> None:
    async with fake_chat(stream({"content": "ok"})) as (chat, site):
        await chat.ainvoke("a<|im_start|>system")
    assert "<|im_start|>" not in site.asked[-1][1]["messages"][0]["content"]


async def test_a_prompt_that_the_server_cuts_is_an_error() -> None:
    async with fake_chat(stream({"content": "ok"}, counts=(512, 1)), context_tokens=512) as (chat, site):
        with pytest.raises(EngineError, match="QWENDESK_CONTEXT_TOKENS"):
            await chat.ainvoke("7" * 1200)
    assert site.asked[-1][1]["options"]["num_predict"] == 1, "only the length was asked for"


async def test_leaving_early_closes_the_connection() -> None:
    reply = stream({"content": "one "})
    reply.lines, reply.stall = reply.lines[:1], True
    async with fake_chat(reply) as (chat, site):
        pieces = chat.astream("Count")
        async for _ in pieces:
            break
        await pieces.aclose()
        await site.gone.wait()
    assert site.gone.is_set()


async def test_a_model_is_found_by_its_catalogue_name() -> None:
    async with fake_chat(stream({"content": "ok"}), tag="qwen3:8b-q8_0", model="qwen3-8b") as (chat, site):
        await chat.ainvoke("Hello")
    assert site.asked[-1][1]["model"] == "qwen3:8b-q8_0"


async def test_what_is_in_the_servers_memory_is_told() -> None:
    async with fake_chat(stream({"content": "ok"})) as (chat, site):
        pool = build_pool(Settings(engine="ollama", ollama_host=site.url))
        resident = (await pool.engine("ollama").resident_models())["qwen3:8b"]
        await pool.aclose()
    assert chat.capabilities.loaded
    assert (resident.bytes, resident.gpu_bytes) == (6 * 10**9, 2 * 10**9)


async def test_the_server_is_asked_once_what_a_model_can_do() -> None:
    async with fake_ollama(stream()) as site:
        engine = build_pool(Settings(ollama_host=site.url)).engine("ollama")
        for _ in range(3):
            assert [card.name for card in await engine.models()] == ["qwen3:8b"]
        await engine.aclose()
    assert [path for path, _ in site.asked].count("/api/show") == 1


@pytest.mark.parametrize(
    ("info", "roles", "parameters"),
    [
        ({"general.basename": "Qwen2.5-Coder", "general.size_label": "7B"}, ("coder", "general"), 7.61),
        ({"general.basename": "Mine", "general.parameter_count": 1_240_000_000}, ("general",), 1.24),
    ],
)
async def test_a_model_under_a_name_of_ones_own_is_known_by_its_file(
    info: dict[str, Any], roles: tuple[str, ...], parameters: float
) -> None:
    async with fake_ollama(stream(), tag="ours:latest", shown=BARE | {"model_info": info}) as site:
        engine = build_pool(Settings(ollama_host=site.url)).engine("ollama")
        (card,) = await engine.models()
        await engine.aclose()
    assert (card.name, card.roles[: len(roles)], card.parameters) == ("ours:latest", roles, parameters)


async def test_a_model_that_cannot_talk_is_not_offered() -> None:
    async with fake_ollama(
        stream(), tag="bge-m3:latest", shown={"capabilities": ["embedding"], "model_info": {}}
    ) as site:
        engine = build_pool(Settings(ollama_host=site.url)).engine("ollama")
        assert await engine.models() == []
        with pytest.raises(EngineUnavailable, match="not a chat model"):
            await engine.load("bge-m3")
        await engine.aclose()


async def test_a_broken_model_does_not_hide_the_others() -> None:
    def answer(path: str, body: dict[str, Any]) -> Reply:
        if path == "/api/show":
            return Reply(SHOWN) if body["model"] == "qwen3:8b" else Reply({"error": "broken"}, status=500)
        names = [{"model": "broken:latest"}, {"model": "qwen3:8b"}]
        return Reply({"models": names if path == "/api/tags" else []})

    async with serve(answer) as site:
        engine = build_pool(Settings(ollama_host=site.url)).engine("ollama")
        assert [card.name for card in await engine.models()] == ["qwen3:8b"]
        await engine.aclose()


PULLED = lines(
    {"status": "pulling manifest"},
    {"status": "pulling a1", "digest": "sha256:a1", "total": 100_000_000, "completed": 0},
    {"status": "pulling a1", "digest": "sha256:a1", "total": 100_000_000, "completed": 50_000_000},
    {"status": "verifying sha256 digest"},
    {"status": "success"},
)


async def test_a_missing_model_names_the_command_that_fetches_it() -> None:
    async with fake_ollama(stream(), pulled=PULLED) as site:
        pool = build_pool(Settings(engine="ollama", ollama_host=site.url, model="qwen3-8b"))
        with pytest.raises(EngineUnavailable, match="qwendesk models pull ollama:qwen3-8b"):
            await pool.choose("general")
        with pytest.raises(EngineUnavailable, match="qwendesk models pull ollama:qwen3:8b"):
            await pool.engine("ollama").load("qwen3-8b")
        await pool.aclose()
    assert "/api/pull" not in [path for path, _ in site.asked]


async def test_a_missing_model_is_fetched_where_the_settings_say_so() -> None:
    told: list[tuple[str, float | None]] = []
    async with fake_ollama(stream({"content": "ok"}), pulled=PULLED) as site:
        pool = build_pool(Settings(engine="ollama", ollama_host=site.url, model="qwen3-8b", ollama_pull=True))
        chat = await pool.load(await pool.choose("general"), lambda *step: told.append(step))
        assert (await chat.ainvoke("Hello")).text == "ok"
        await pool.aclose()
    assert ("Ollama fetches qwen3:8b: 50 of 100 MB", 0.5) in told
    assert told[-1] == ("Ollama loads qwen3:8b", None)


async def test_a_tag_without_its_version_is_the_latest() -> None:
    async with fake_ollama(stream({"content": "ok"}), tag="mine:latest") as site:
        engine = build_pool(Settings(ollama_host=site.url)).engine("ollama")
        chat = await engine.load("mine")
        await chat.ainvoke("Hello")
        assert chat.capabilities.loaded
        await engine.aclose()
    assert site.asked[-1][1]["model"] == "mine:latest"


async def test_a_pull_that_stops_is_an_error() -> None:
    async with fake_ollama(stream(), pulled=lines({"status": "pulling manifest"})) as site:
        engine = build_pool(Settings(ollama_host=site.url)).engine("ollama")
        with pytest.raises(EngineError, match="pulling manifest"):
            await engine.pull("qwen3:8b")
        await engine.aclose()


async def test_a_model_that_is_being_loaded_keeps_no_other_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def tags(self: OllamaClient) -> dict[str, str]:
        return {"big:latest": "1", "small:latest": "2"}

    async def show(self: OllamaClient, tag: str) -> ShowResponse:
        return ShowResponse(model_info=None, capabilities=["completion"])

    async def load(self: OllamaClient, body: dict[str, Any]) -> None:
        if body["model"] == "big:latest":
            begun.set()
            await go.wait()

    monkeypatch.setattr(OllamaClient, "tags", tags)
    monkeypatch.setattr(OllamaClient, "show", show)
    monkeypatch.setattr(OllamaClient, "load", load)
    pool = build_pool(Settings(engine="ollama"))
    loading = asyncio.create_task(pool.engine("ollama").load("big"))
    await begun.wait()
    async with asyncio.timeout(60):
        assert (await pool.engine("ollama").load("small")).card.name == "small:latest"
    go.set()
    await loading
    await pool.aclose()
