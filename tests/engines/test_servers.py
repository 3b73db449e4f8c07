"""The table of servers known by name."""

import json
from typing import Any

import pytest

from qwendesk.engines.registry import EngineRegistry
from qwendesk.engines.servers import SERVER_KINDS, is_server, server_entry
from qwendesk.errors import ConfigError, EngineUnavailable
from qwendesk.settings import ServerSettings, Settings
from qwendesk.wiring import build_pool, engine_parts
from tests.engines.web_server import Reply, serve

OK = [
    'data: {"choices": [{"index": 0, "delta": {"content": "ok"}, "finish_reason": "stop"}]}\n\n',
    "data: [DONE]\n\n",
]


async def sent(name: str, think: bool | None, budget: int | None, model: str = "Qwen/Qwen3-8B") -> dict[str, Any]:
    """Return the request that a server of that name gets."""

    def answer(path: str, body: dict[str, Any]) -> Reply:
        if "models" in path:
            return Reply({"object": "list", "data": [{"id": model, "object": "model"}]})
        return Reply(lines=OK, kind="text/event-stream")

    async with serve(answer) as site:
        settings = Settings(servers={name: ServerSettings(url=f"{site.url}/v1", api_key="key")})
        pool = build_pool(settings)
        chat = await pool.engine(name).load(model)
        await chat.ainvoke("Hello", think=think, think_budget=budget)
        await pool.aclose()
    return site.asked[-1][1]


@pytest.mark.parametrize(
    ("name", "on", "off"),
    [
        (
            "vllm",
            {"chat_template_kwargs": {"enable_thinking": True}, "thinking_token_budget": 64},
            {"chat_template_kwargs": {"enable_thinking": False}},
        ),
        (
            "sglang",
            {"chat_template_kwargs": {"enable_thinking": True}, "custom_params": {"thinking_budget": 64}},
            {"chat_template_kwargs": {"enable_thinking": False}},
        ),
        (
            "llamaserver",
            {"chat_template_kwargs": {"enable_thinking": True}, "thinking_budget_tokens": 64},
            {"chat_template_kwargs": {"enable_thinking": False}},
        ),
        ("dashscope", {"enable_thinking": True, "thinking_budget": 64}, {"enable_thinking": False}),
        ("openrouter", {"reasoning": {"max_tokens": 64}}, {"reasoning": {"enabled": False}}),
        ("together", {"reasoning": {"enabled": True}}, {"reasoning": {"enabled": False}}),
        ("fireworks", {}, {"reasoning_effort": "none"}),
        ("lmstudio", {}, {}),
        ("foundry", {}, {}),
    ],
)
async def test_each_is_told_to_think_in_its_own_words(name: str, on: dict[str, Any], off: dict[str, Any]) -> None:
    words = {key for kind in SERVER_KINDS for key in kind_words(kind)}
    for think, wanted in ((True, on), (False, off)):
        body = await sent(name, think, 64)
        assert {key: value for key, value in body.items() if key in words} == wanted


def kind_words(kind: str) -> set[str]:
    return {*SERVER_KINDS[kind].thinking_fields(True, 1), *SERVER_KINDS[kind].thinking_fields(False, 1)}


async def test_sampling_has_each_servers_names() -> None:
    assert {"top_k", "repeat_penalty"} <= (await sent("llamaserver", None, None)).keys()
    assert {"top_k", "repetition_penalty"} <= (await sent("vllm", None, None)).keys()
    assert not {"top_k", "repetition_penalty", "repeat_penalty"} & (await sent("foundry", None, None)).keys()


async def test_a_model_without_thinking_is_told_nothing_of_it() -> None:
    body = await sent("vllm", True, 64, model="Qwen/Qwen2.5-7B-Instruct")
    assert not {"chat_template_kwargs", "thinking_token_budget"} & body.keys()


@pytest.mark.parametrize("name", sorted(set(SERVER_KINDS) - {"openai", "foundry"}))
def test_each_has_an_address_and_a_document(name: str) -> None:
    server = server_entry(name, Settings(openrouter_api_key="k"))
    assert server.url.startswith(("http://127.0.0.1:", "https://")) and server.url.endswith("/v1")
    assert server.kind.docs.startswith("https://")


async def test_what_is_not_set_up_says_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DASHSCOPE_API_KEY", raising=False)
    pool = build_pool(Settings())
    for name, words in {
        "dashscope": "set DASHSCOPE_API_KEY",
        "foundry": "set QWENDESK_SERVERS__FOUNDRY__URL",
        "openai": "set OPENAI_BASE_URL, and OPENAI_API_KEY if needed",
    }.items():
        with pytest.raises(EngineUnavailable, match=words):
            await pool.models(name)
    await pool.aclose()


def test_keys_come_from_the_clouds_own_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASHSCOPE_API_KEY", "secret")
    assert server_entry("dashscope", Settings()).key == "secret"
    assert "secret" not in repr(Settings()) + repr(server_entry("dashscope", Settings()))


def test_a_server_of_ones_own_is_an_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QWENDESK_SERVERS__GPU2__URL", "http://gpu2:8000/v1")
    monkeypatch.setenv("QWENDESK_SERVERS__GPU2__KIND", "vllm")
    settings = Settings()
    assert is_server("gpu2", settings) and not is_server("gpu3", settings)
    server = server_entry("gpu2", settings)
    assert (server.url, server.kind) == ("http://gpu2:8000/v1", SERVER_KINDS["vllm"])
    assert EngineRegistry(engine_parts(settings)).split("gpu2:Qwen/Qwen3-8B") == ("gpu2", "Qwen/Qwen3-8B")


def test_an_unknown_kind_is_told() -> None:
    with pytest.raises(ConfigError, match=r"servers.gpu.*'vlm'.*vllm"):
        server_entry("gpu", Settings(servers={"gpu": ServerSettings(kind="vlm", url="http://gpu/v1")}))


async def test_a_cloud_offers_the_family_only() -> None:
    names = ["openai/gpt-5", "qwen/qwen3-8b:free", "qwen/qwen2.5-vl-7b-instruct"]
    listed = json.loads(json.dumps({"object": "list", "data": [{"id": name, "object": "model"} for name in names]}))
    async with serve(lambda path, body: Reply(listed)) as site:
        settings = Settings(servers={"openrouter": ServerSettings(url=site.url, api_key="key")})
        pool = build_pool(settings)
        assert [card.name for card in await pool.models("openrouter")] == names[1:]
        assert (await pool.engine("openrouter").load(names[0])).card.name == names[0], "but any can be named"
        await pool.aclose()
