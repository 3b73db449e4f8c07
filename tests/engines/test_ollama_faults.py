"""An Ollama that is down, stalls, breaks off, refuses or sends malformed responses: the error names the next step."""

import json

import pytest

from qwendesk.errors import EngineError, EngineFailed, EngineTimeout, EngineUnavailable
from qwendesk.settings import Settings
from qwendesk.wiring import build_pool
from tests.engines.web_server import Reply, serve
from tests.servers.fake_ollama import fake_chat, lines, stream

ONE = {"model": "m", "message": {"role": "assistant", "content": "One "}, "done": False}
KIND = "application/x-ndjson"


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (Reply({"error": "model 'qwen3:8b' not found"}, status=404), EngineUnavailable, "models pull ollama:qwen3:8b"),
        (Reply({"error": "model requires more system memory"}, status=500), EngineFailed, "QWENDESK_CONTEXT_TOKENS"),
        (Reply(lines=["<html>Bad gateway</html>" * 99], status=502), EngineFailed, "refused: .{300}$"),
        (Reply(lines=["{not json\n"], kind=KIND), EngineFailed, "malformed"),
        (Reply(lines=["[1, 2]\n"], kind=KIND), EngineFailed, "malformed"),
        (lines({"error": "llama runner process has terminated"}), EngineFailed, "refused.*terminated"),
        (Reply({"error": "input exceeds the context length"}, status=400), EngineError, "QWENDESK_CONTEXT_TOKENS"),
        (Reply({"error": "invalid format"}, status=400), EngineError, "refused: invalid format"),
        (Reply(lines=[], kind=KIND, cut=True), EngineFailed, "broke off"),
        (Reply(lines=[json.dumps(ONE) + "\n"], kind=KIND, cut=True), EngineFailed, "broke off"),
        (lines(ONE), EngineFailed, "broke off in the middle"),
        (Reply(lines=[], kind=KIND, stall=True), EngineTimeout, "FIRST_TOKEN_TIMEOUT"),
        (Reply(lines=[json.dumps(ONE) + "\n"], kind=KIND, stall=True), EngineTimeout, "TOKEN_TIMEOUT"),
    ],
)
async def test_what_goes_wrong_with_an_answer_is_said(reply: Reply, kind: type[Exception], words: str) -> None:
    async with fake_chat(reply, first_token_timeout=0.5, token_timeout=0.3) as (chat, _):
        with pytest.raises(kind, match=words) as caught:
            await chat.ainvoke("Hello")
    assert caught.type is kind


async def test_another_question_is_answered_after_a_fault() -> None:
    replies = [Reply(lines=[], kind=KIND, cut=True), stream({"content": "ok"})]
    async with fake_chat(lambda body: replies.pop(0)) as (chat, _):
        with pytest.raises(EngineError):
            await chat.ainvoke("Hello")
        assert (await chat.ainvoke("Hello")).text == "ok"


@pytest.mark.parametrize("host", ["http://127.0.0.1:9", "127.0.0.1:9"])
async def test_no_server_says_what_to_do(host: str) -> None:
    pool = build_pool(Settings(engine="ollama", ollama_host=host))
    with pytest.raises(EngineUnavailable, match="ollama serve"):
        await pool.choose("general")
    await pool.aclose()


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (Reply("welcome"), "malformed"),
        (Reply({"models": "none"}), "malformed"),
        (Reply({"error": "no"}, status=403), "refused: no"),
        (Reply(stall=True, lines=[]), "in time"),
    ],
)
async def test_something_else_at_the_address_is_said(reply: Reply, words: str) -> None:
    async with serve(lambda path, body: reply) as site:
        settings = Settings(engine="ollama", ollama_host=site.url, connect_timeout=0.3)
        pool = build_pool(settings)
        with pytest.raises(EngineError, match=words):
            await pool.models()
        await pool.aclose()


@pytest.mark.parametrize(
    "reply",
    [
        Reply(lines=["<!doctype html><html>Welcome</html>"], kind="text/html"),
        Reply(lines=["<html>Not found</html>"], kind="text/html", status=404),
        Reply(lines=["Ollama is running"], kind="text/plain"),
        *(Reply(body) for body in ({"data": []}, [1, 2], "hello", {"models": [{"name": 1}]})),
    ],
)
async def test_an_address_where_something_else_listens_is_named(reply: Reply) -> None:
    async with serve(lambda path, body: reply) as site:
        pool = build_pool(Settings(engine="ollama", ollama_host=site.url))
        with pytest.raises(EngineFailed, match=f"{site.url}' sent a malformed response.*OLLAMA_HOST"):
            await pool.choose("general")
        await pool.aclose()
