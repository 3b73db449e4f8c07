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

from qwendesk.app import build_pool
from qwendesk.engines.base import Options, QwenChat
from qwendesk.engines.catalogue import Sampling
from qwendesk.engines.threads import be_patient, free_threads
from qwendesk.errors import QwendeskError
from qwendesk.settings import STARTER_MODEL, Settings, load_settings

QUICK = "--quick" in sys.argv
ROUNDS = 7 if QUICK else 15
TOKENS = 24 if QUICK else 96
STILL: dict[str, Any] = {"temperature": 0.0, "repetition_penalty": 1.0}
TARGETS = {
    "llamacpp_ratio": (">=", 0.97),
    "transformers_ratio": (">=", 0.97),
    "batch8_speedup": (">=", 3.0),
    "turn20_ttft_ratio.llamacpp": ("<=", 0.15),
    "turn20_ttft_ratio.transformers": ("<=", 0.15),
    "loop_block_ms_p999": ("<=", 20.0),
    "memory_ratio": ("<=", 1.1),
}
PROMPT = "Tell me a long story about a small town by the sea."


async def rate(chat: QwenChat, text: str = PROMPT) -> float:
    """Return the tokens a second of one answer, from its first piece to its last."""
    times: list[float] = []
    tokens = 0
    async for piece in chat.astream(text, max_tokens=TOKENS, **STILL):
        if piece.text:
            times.append(time.perf_counter())
        if piece.usage_metadata:
            tokens = piece.usage_metadata["output_tokens"]
    return (tokens - 1) / (times[-1] - times[0])


async def compare(
    raw: Callable[[], Awaitable[float]],
    engine: Callable[[], Awaitable[float]],
    rounds: int = ROUNDS,
    warm: bool = False,
) -> float:
    """Return the engine's rate over the library's.

    Both take turns, so that each run of the engine stands between two of the library, and the median of the ratios of
    neighbours counts: both see the same machine, and one disturbance spoils few ratios. ``warm``: both have run before.
    """
    if not warm:
        await raw(), await engine()
    before, ratios = await raw(), []
    for _ in range(rounds):
        own, after = await engine(), await raw()
        ratios.append(own * 2 / (before + after))
        before = after
    return statistics.median(ratios)


async def first_token(chat: QwenChat, messages: list[BaseMessage]) -> float:
    """Return the seconds until the first token of an answer."""
    begun = time.perf_counter()
    await chat.ainvoke(messages, max_tokens=1, **STILL)
    return time.perf_counter() - begun


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
    server, prompt = chat._server._server, await chat._prompter.prompt([HumanMessage(PROMPT)], [])
    body = chat._request(prompt, Options(Sampling(**STILL), max_tokens=TOKENS)) | {"stream": True}

    def complete() -> float:
        pieces: list[Any] = []
        begun = time.perf_counter()
        server.handle_completions(json.dumps(body), pieces.append)
        spent = time.perf_counter() - begun
        last = pieces[-1] if isinstance(pieces[-1], dict) else json.loads(pieces[-1])
        return float(last["timings"]["predicted_n"]) / spent

    result["llamacpp_ratio"] = await compare(lambda: asyncio.to_thread(complete), lambda: together(chat, [PROMPT]))
    result["turn20_ttft_ratio"]["llamacpp"] = await turn20(chat)
    await pool.aclose()


def random_model(folder: Path) -> Path:
    """Write a Qwen2 of about 200 million random weights, with a tokenizer of single bytes."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM
    from transformers.utils import logging

    untyped: Any = logging
    untyped.disable_progress_bar()
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(letters)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    template = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}"
    made: Any = PreTrainedTokenizerFast
    wrapped = made(tokenizer_object=tokenizer, eos_token="<|im_end|>", chat_template=template)
    config = Qwen2Config(
        vocab_size=1024,
        hidden_size=896,
        intermediate_size=4864,
        num_hidden_layers=12,
        num_attention_heads=14,
        num_key_value_heads=2,
        max_position_embeddings=16384,
        tie_word_embeddings=False,
        eos_token_id=wrapped.eos_token_id,
    )
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(config)
    with torch.no_grad():
        # only letters are answered: an answer that ends by itself, or shows nothing, could not be timed
        model.lm_head.weight[97:].zero_()
        model.lm_head.weight[:33].zero_()
    model.save_pretrained(folder)
    wrapped.save_pretrained(folder)
    return folder


async def transformers(result: dict[str, Any]) -> None:
    """Measure the engine on random weights against loops over the library."""
    be_patient()
    try:
        import torch
    except ImportError as error:
        print(f"transformers is left out: {error}", file=sys.stderr)
        return
    threads = await free_threads()
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as scratch:
        folder = str(random_model(Path(scratch)))
        pool = build_pool(Settings(engine="transformers", context_tokens=8192, threads=threads, home=Path(scratch)))
        chat = await pool.engine("transformers").load(folder)
        library = Library(folder, threads)
        result["transformers_ratio"] = await compare(lambda: asyncio.to_thread(library.one, PROMPT), lambda: rate(chat))
        prompts = [PROMPT + " and so on" * n for n in range(8)]
        result["batch8_speedup"] = await compare(
            lambda: asyncio.to_thread(library.many, prompts),
            lambda: together(chat, prompts),
            rounds=1 if QUICK else 5,
            warm=True,
        )
        result["loop_block_ms_p999"] = await longest_block(_repeat(lambda: together(chat, prompts), ROUNDS // 3 + 1))
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


class Library:
    """The same weights under transformers alone, loaded as the engine loads them."""

    def __init__(self, folder: str, threads: int) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        from qwendesk.engines.hf.place import Place

        place = Place.chosen(Settings(home=Path(folder)))
        self._threads = threads
        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=place.dtype, attn_implementation="sdpa")
        self._model = model.eval()

    def one(self, text: str) -> float:
        """Return the tokens a second of a bare loop over the model, from the first token to the last."""
        import torch

        torch.set_num_threads(self._threads)
        with torch.inference_mode():
            out = self._model(**self._prompt(text), use_cache=True, logits_to_keep=1)
            begun = time.perf_counter()
            for _ in range(TOKENS - 1):
                token = out.logits[:, -1].argmax(-1, keepdim=True)
                out = self._model(
                    input_ids=token, past_key_values=out.past_key_values, use_cache=True, logits_to_keep=1
                )
            return (TOKENS - 1) / (time.perf_counter() - begun)

    def many(self, texts: list[str]) -> float:
        """Return the tokens a second of one ``generate`` after the other."""
        import torch

        torch.set_num_threads(self._threads)
        begun, made = time.perf_counter(), 0
        for text in texts:
            prompt = self._prompt(text)
            out = self._model.generate(**prompt, max_new_tokens=TOKENS, do_sample=False, pad_token_id=0)
            made += out.shape[1] - prompt["input_ids"].shape[1]
        return made / (time.perf_counter() - begun)

    def _prompt(self, text: str) -> Any:
        chat = [{"role": "user", "content": text}]
        return self._tokenizer.apply_chat_template(chat, return_tensors="pt", return_dict=True)


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
