"""A simulated Ollama on loopback with the chat replies of a test."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from qwendesk.engines.chat import QwenChat
from qwendesk.settings import Settings
from qwendesk.wiring import build_pool
from tests.engines.web_server import Reply, WebServer, serve

SHOWN = {"capabilities": ["completion", "tools", "thinking"], "model_info": {"qwen3.context_length": 40960}}
LOADED = {"model": "m", "message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "load"}
Answer = Callable[[dict[str, Any]], Reply]


def stream(*messages: dict[str, Any], reason: str = "stop", counts: tuple[int, int] = (11, 4)) -> Reply:
    """Return an answer in pieces."""
    pieces = [
        {"model": "m", "message": {"role": "assistant", "content": ""} | message, "done": False} for message in messages
    ]
    last = {"model": "m", "message": {"role": "assistant", "content": ""}, "done": True, "done_reason": reason}
    numbers = {"prompt_eval_count": counts[0], "eval_count": counts[1], "eval_duration": 2_000_000_000}
    return lines(*pieces, last | numbers)


def lines(*values: Any) -> Reply:
    """Return values as the server streams them."""
    return Reply(lines=[json.dumps(value) + "\n" for value in values], kind="application/x-ndjson")


@asynccontextmanager
async def fake_ollama(
    answer: Answer | Reply, tag: str = "qwen3:8b", shown: Any = SHOWN, pulled: Reply | None = None
) -> AsyncIterator[WebServer]:
    """Serve one model; with ``pulled`` it appears after a pull."""
    there = pulled is None

    def reply(path: str, body: dict[str, Any]) -> Reply:
        nonlocal there
        if path == "/api/pull" and pulled:
            there = True
            return pulled
        if path == "/api/chat":
            if not body["messages"]:
                return Reply(LOADED)
            return answer if isinstance(answer, Reply) else answer(body)
        known = {
            "/api/tags": {"models": [{"model": tag, "name": tag, "digest": "d1"}] if there else []},
            "/api/ps": {"models": [{"model": tag, "name": tag, "size": 6 * 10**9, "size_vram": 2 * 10**9}]},
            "/api/show": shown,
        }
        return Reply(known[path])

    async with serve(reply) as site:
        yield site


@asynccontextmanager
async def fake_chat(answer: Answer | Reply, **options: Any) -> AsyncIterator[tuple[QwenChat, WebServer]]:
    """Yield a chat on a simulated server; the options are those of ``fake_ollama`` and the settings."""
    own = {name: options.pop(name) for name in ("tag", "shown", "pulled") if name in options}
    async with fake_ollama(answer, **own) as site:
        pool = build_pool(Settings(engine="ollama", ollama_host=site.url, **options))
        try:
            yield await pool.load(await pool.choose("general")), site
        finally:
            await pool.aclose()
