"""How near the embedded engines come to the libraries under them, as ratios of one run.

python -m benchmarks.engines [--json] [--quick]; exits with 1 where a target is missed. --quick measures the same with
fewer repetitions and shorter answers, within three minutes on two quiet cores. llama.cpp is measured on the starter
model (qwendesk models pull qwen2.5-coder-0.5b; left out where it is not there), transformers on a model of random
weights (left out where torch is not installed).
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from benchmarks.engines_raw import Library, RawLlama, random_model
from qwendesk.engines.chat import QwenChat
from qwendesk.engines.cpu_threads import available_threads, use_passive_waiting
from qwendesk.errors import QwendeskError
from qwendesk.settings import STARTER_MODEL, Settings, load_settings
from qwendesk.wiring import build_pool

QUICK = "--quick" in sys.argv
SECONDS = 30 if QUICK else 120
"""How long an engine and its library take turns."""
FEW = 6
"""Tokens of each such turn: the shorter the turns, the less of a machine's changing speed is in their ratio."""
BEGINNINGS = 20 if QUICK else 100
TOKENS = 24 if QUICK else 96
STILL: dict[str, Any] = {"temperature": 0.0, "repetition_penalty": 1.0}
TARGETS = {
    "llamacpp_ratio": (">=", 0.95),
    "transformers_ratio": (">=", 0.95),
    "batch8_speedup": (">=", 3.0),
    "turn20_ttft_ratio.llamacpp": ("<=", 0.15),
    "turn20_ttft_ratio.transformers": ("<=", 0.15),
    "loop_block_ms_p999": ("<=", 20.0),
    "memory_ratio": ("<=", 1.1),
}
PROMPT = "Tell me a long story about a small town by the sea."


async def rate(chat: QwenChat) -> float:
    """Return the tokens a second of one short answer, from its first token to its last."""
    times: list[float] = []
    tokens = 0
    async for piece in chat.astream(PROMPT, max_tokens=FEW, **STILL):
        if piece.text:
            times.append(time.perf_counter())
        if piece.usage_metadata:
            tokens = piece.usage_metadata["output_tokens"]
    return (tokens - 1) / (times[-1] - times[0])


async def compare(
    raw: Callable[[], Awaitable[float]], engine: Callable[[], Awaitable[float]], seconds: float, *, warm: bool = False
) -> float:
    """Return the engine's rate over the library's.

    Both take turns, so that each run of the engine stands between two of the library, and the median of the ratios of
    neighbours counts: both see the same machine, and one disturbance spoils few ratios. ``warm``: both have run before.
    """
    if not warm:
        await raw(), await engine()
    until = time.perf_counter() + seconds
    before, ratios = await raw(), list[float]()
    while not ratios or time.perf_counter() < until:
        own, after = await engine(), await raw()
        ratios.append(own * 2 / (before + after))
        before = after
    return statistics.median(ratios)


async def first_token(chat: QwenChat, messages: list[BaseMessage]) -> float:
    """Return the seconds until the first token of an answer."""
    begun = time.perf_counter()
    await chat.ainvoke(messages, max_tokens=1, **STILL)
    return time.perf_counter() - begun


async def beginning(chat: QwenChat) -> float:
    """Return how many milliseconds longer the engine takes to the first token than the library does."""
    raw, longer = await RawLlama.under(chat, PROMPT, 1, STILL), list[float]()
    for _ in range(BEGINNINGS):
        own = await first_token(chat, [HumanMessage(PROMPT)])
        longer.append(own - await asyncio.to_thread(raw.seconds))
    return statistics.median(longer) * 1e3


async def turn20(chat: QwenChat) -> float:
    """Return the time to the first token of turn 20 of a chat over that of the same prompt seen for the first time."""
    question = "Tell me a little more about the town, its people, its harbour and its ships. " * (1 if QUICK else 3)
    messages: list[BaseMessage] = [SystemMessage("You are a patient guide.")]
    for turn in range(20):
        messages.append(HumanMessage(f"{turn}. {question}"))
        again = await first_token(chat, messages) if turn == 19 else 0.0
        if turn < 19:
            messages.append(AIMessage((await chat.ainvoke(messages, max_tokens=4, **STILL)).text))
    fresh = [await first_token(chat, [SystemMessage(f"{n} is the day today."), *messages[1:]]) for n in range(2)]
    return again / min(fresh)


async def longest_block(work: Awaitable[Any]) -> float:
    """Return by how many milliseconds the event loop was late while ``work`` ran, at the 99.9th percentile."""
    late: list[float] = []

    async def tick() -> None:
        while True:
            begun = time.perf_counter()
            await asyncio.sleep(0.001)
            late.append((time.perf_counter() - begun - 0.001) * 1e3)

    ticking = asyncio.create_task(tick())
    await work
    ticking.cancel()
    with suppress(asyncio.CancelledError):
        await ticking
    late.sort()
    return late[int(len(late) * 0.999)]


async def llamacpp(result: dict[str, Any]) -> None:
    """Measure the engine on the starter model against the library's own call."""
    pool = build_pool(load_settings(engine="llamacpp", context_tokens=4096))
    try:
        chat: Any = await pool.engine("llamacpp").load(STARTER_MODEL)
    except QwendeskError as error:
        print(f"llama.cpp is left out: {error}", file=sys.stderr)
        return
    raw = await RawLlama.under(chat, PROMPT, FEW, STILL)
    result["llamacpp_ratio"] = await compare(lambda: asyncio.to_thread(raw.rate), lambda: rate(chat), SECONDS)
    result["llamacpp_first_token_ms"] = await beginning(chat)
    result["turn20_ttft_ratio"]["llamacpp"] = await turn20(chat)
    await pool.aclose()


async def transformers(result: dict[str, Any]) -> None:
    """Measure the engine on random weights against loops over the library."""
    use_passive_waiting()
    try:
        import torch
    except ImportError as error:
        print(f"transformers is left out: {error}", file=sys.stderr)
        return
    threads = await available_threads()
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as scratch:
        folder = str(random_model(Path(scratch)))
        pool = build_pool(Settings(engine="transformers", context_tokens=8192, threads=threads, home=Path(scratch)))
        chat = await pool.engine("transformers").load(folder)
        library = Library(folder, threads)
        result["transformers_ratio"] = await compare(
            lambda: asyncio.to_thread(library.one, PROMPT, FEW), lambda: rate(chat), SECONDS
        )
        prompts = [PROMPT + " and so on" * n for n in range(8)]
        result["batch8_speedup"] = await compare(
            lambda: asyncio.to_thread(library.many, prompts, TOKENS),
            lambda: together(chat, prompts),
            0 if QUICK else SECONDS,
            warm=True,
        )
        result["loop_block_ms_p999"] = await longest_block(_repeat(lambda: together(chat, prompts), 3 if QUICK else 6))
        result["turn20_ttft_ratio"]["transformers"] = await turn20(chat)
        result["memory_ratio"] = await growth(chat)
        await pool.aclose()


async def together(chat: QwenChat, prompts: list[str]) -> float:
    """Return the tokens a second of many chats at once."""
    begun = time.perf_counter()
    answers = await asyncio.gather(*(chat.ainvoke(prompt, max_tokens=TOKENS, **STILL) for prompt in prompts))
    made = sum(answer.usage_metadata["output_tokens"] for answer in answers if answer.usage_metadata)
    return made / (time.perf_counter() - begun)


async def growth(chat: QwenChat) -> float:
    """Return the memory after 200 turns of different chats over that after 20."""
    after: list[int] = []
    for turn in range(200):
        await chat.ainvoke(f"{turn}: " + "What about the harbour?", max_tokens=1, **STILL)
        if turn in (19, 199):
            after.append(psutil.Process().memory_info().rss)
    return after[1] / after[0]


async def _repeat(work: Callable[[], Awaitable[Any]], times: int) -> None:
    for _ in range(times):
        await work()


def _missed(result: dict[str, Any]) -> list[str]:
    found = []
    for name, (way, target) in TARGETS.items():
        value: Any = result
        for part in name.split("."):
            value = value.get(part) if value is not None else None
        if value is not None and not (value >= target if way == ">=" else value <= target):
            found.append(f"{name} is {value}, the target {way} {target}")
    return found


def main() -> None:
    result: dict[str, Any] = {"turn20_ttft_ratio": {}}

    async def measure() -> None:
        begun = time.perf_counter()
        await transformers(result)
        await llamacpp(result)
        result["seconds"] = time.perf_counter() - begun

    asyncio.run(measure())
    rounded = json.loads(json.dumps(result), parse_float=lambda text: round(float(text), 3))
    print(json.dumps(rounded) if "--json" in sys.argv else json.dumps(rounded, indent=2))
    for line in _missed(rounded):
        print(line, file=sys.stderr)
    sys.exit(bool(_missed(rounded)))


if __name__ == "__main__":
    main()
