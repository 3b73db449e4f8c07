"""The transformers engine on tiny models of the real architectures generates the same tokens as ``generate``."""

from __future__ import annotations

import asyncio
import gc
import json
import shutil
import sys
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from qwendesk.app import Desk
from qwendesk.engines.chat import GenerationOptions
from qwendesk.engines.transformers import model_cache
from qwendesk.engines.transformers.engine import TransformersChat
from qwendesk.engines.transformers.request import GenerationRequest, TokenPiece
from qwendesk.engines.transformers.sequence import Sequence
from qwendesk.errors import ConfigError, EngineError, EngineFailed, EngineTimeout, EngineUnavailable
from qwendesk.messages import Event, Inbound, Notice
from qwendesk.models.card import Sampling
from qwendesk.settings import Settings
from qwendesk.wiring import build_pool
from tests.tiny_qwen import MODELS, make_model

GREEDY: dict[str, Any] = {"temperature": 0.0, "repetition_penalty": 1.0}
TEXTS = ["Hello there", "Count to ten, please.", "Why is the sky blue? " * 12, "ok"]

Tiny = Callable[[str], Path]
Load = Callable[..., Any]


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    made: dict[str, Path] = {}

    def make(kind: str) -> Path:
        if kind not in made:
            made[kind] = make_model(kind, tmp_path_factory.mktemp(kind))
        return made[kind]

    return make


@pytest.fixture
async def load(tiny: Tiny, own_home: Path) -> AsyncIterator[Load]:
    pools = []

    async def load(kind: str | Path, **settings: Any) -> TransformersChat:
        pools.append(build_pool(Settings(engine="transformers", dtype="float32", threads=1, **settings)))
        name = str(tiny(kind) if isinstance(kind, str) and kind in MODELS else kind)
        chat = await pools[-1].engine("transformers").load(name)
        assert isinstance(chat, TransformersChat)
        return chat

    yield load
    for pool in pools:
        await pool.aclose()


async def idle(chat: TransformersChat) -> Any:
    """Return the model's scheduler when it has nothing to do."""
    scheduler = (await chat.ready()).scheduler
    async with asyncio.timeout(60):
        while scheduler.busy:  # noqa: ASYNC110 - the thread tells nobody that it has nothing to do
            await asyncio.sleep(0.01)
    return scheduler


async def forget(chat: TransformersChat) -> None:
    """Drop the caches of earlier answers before the next one begins."""
    (await idle(chat)).forget_prompts()


def record_sequences(scheduler: Any, monkeypatch: pytest.MonkeyPatch) -> list[Sequence[Any]]:
    """Return the list to which the sequences of all later forward passes are added, in order."""
    sequences, forward = list[Sequence[Any]](), scheduler.runner.forward

    def recorded(work: Any) -> Any:
        sequences.extend(sequence for sequence, _ in work if sequence not in sequences)
        return forward(work)

    monkeypatch.setattr(scheduler.runner, "forward", recorded)
    return sequences


async def tokens_of(chat: TransformersChat, text: str, count: int = 24, **options: Any) -> list[int]:
    """Return the tokens that the engine generates."""
    model = await chat.ready()
    prompt = model.renderer.fit([HumanMessage(text)], GenerationOptions(Sampling(), max_tokens=count))
    done: asyncio.Queue[TokenPiece] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    emit = lambda piece: loop.call_soon_threadsafe(done.put_nowait, piece)  # noqa: E731
    request = GenerationRequest(prompt.tokens, emit, Sampling(**GREEDY), max_tokens=count, **options)
    with pytest.MonkeyPatch.context() as patched:
        sequences = record_sequences(model.scheduler, patched)
        model.scheduler.submit(request)
        while not (await done.get()).finish:
            pass
    return sequences[0].tokens[len(prompt.tokens) :]


def references(folder: Path, count: int = 24) -> list[list[int]]:
    """Return the tokens of ``generate`` for each text."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    found = []
    for text in TEXTS:
        chat = [{"role": "user", "content": text}]
        prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
        out = model.generate(**prompt, max_new_tokens=count, do_sample=False, eos_token_id=[151645, 151643])
        found.append([int(token) for token in out[0, prompt["input_ids"].shape[1] :]])
    return found


@pytest.mark.parametrize("kind", MODELS)
async def test_greedy_tokens_are_those_of_generate(kind: str, load: Load, tiny: Tiny) -> None:
    chat = await load(kind)
    expected = references(tiny(kind))
    assert len({tuple(tokens) for tokens in expected}) == len(TEXTS), "the texts have to lead to different answers"
    assert [await tokens_of(chat, text) for text in TEXTS] == expected
    assert [await tokens_of(chat, text) for text in TEXTS] == expected, "continued from a cache"
    assert await tokens_of(chat, TEXTS[0], in_thinking=True, think_budget=1000) == expected[0]


@pytest.mark.parametrize("kind", MODELS)
async def test_a_batch_of_different_lengths_gives_the_same(kind: str, load: Load) -> None:
    chat = await load(kind)

    async def ask(number: int) -> str:
        text = TEXTS[number % len(TEXTS)] + " so?" * number
        answer: str = (await chat.ainvoke(text, **GREEDY, max_tokens=8 + 3 * number)).text
        return answer

    alone = [await ask(number) for number in range(10)]
    await forget(chat)
    assert await asyncio.gather(*(ask(number) for number in range(10))) == alone


async def test_the_next_turn_prefills_only_what_is_new(load: Load) -> None:
    chat = await load("qwen3")
    first = [SystemMessage("You help. " * 30), HumanMessage("Name a colour.")]
    answer = await chat.ainvoke(first, max_tokens=8, think=False, **GREEDY)
    turn = [*first, AIMessage(answer.text), HumanMessage("Another one?")]
    again = await chat.ainvoke(turn, max_tokens=8, think=False, **GREEDY)
    # the prompt ends in empty thinking, which is not part of a history, so only the tokens before it are reused
    assert again.usage_metadata["input_token_details"]["cache_read"] >= answer.usage_metadata["input_tokens"] - 5
    await forget(chat)
    fresh = await chat.ainvoke(turn, max_tokens=8, think=False, **GREEDY)
    assert fresh.usage_metadata["input_token_details"]["cache_read"] == 0
    assert fresh.text == again.text


async def test_a_system_text_is_shared_and_stays(load: Load) -> None:
    chat = await load("qwen2")
    system = SystemMessage("You help. " * 40)
    for question in ("One?", "Two, which is quite different?", "One?"):
        last = await chat.ainvoke([system, HumanMessage(question + " Really?" * 60)], max_tokens=4, **GREEDY)
    assert last.usage_metadata["input_token_details"]["cache_read"] == last.usage_metadata["input_tokens"] - 1


async def test_each_answer_has_its_own_seed_and_settings(load: Load) -> None:
    chat = await load("qwen3")
    hot = {"temperature": 1.5, "top_k": 0, "top_p": 1.0, "max_tokens": 12}
    alone = [(await chat.ainvoke("Hi", seed=seed, **hot)).text for seed in (1, 2)]
    greedy = (await chat.ainvoke("Hi", **GREEDY, max_tokens=12)).text
    mixed = await asyncio.gather(
        chat.ainvoke("Hi", seed=2, **hot),
        chat.ainvoke("Hi", **GREEDY, max_tokens=12),
        chat.ainvoke("Hi", seed=1, **hot),
    )
    assert alone[0] != alone[1]
    assert [answer.text for answer in mixed] == [alone[1], greedy, alone[0]]


async def test_who_leaves_early_stops_within_a_token(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    chat = await load("qwen2")
    sequences = record_sequences((await chat.ready()).scheduler, monkeypatch)
    stream = chat.astream("Tell me a story.", max_tokens=3000, temperature=1.0, top_k=0, seed=1)
    async for _ in stream:
        break
    await stream.aclose()
    await idle(chat)
    assert sequences[-1].cache.length < 100


async def test_a_used_up_budget_closes_the_thinking(load: Load) -> None:
    chat = await load("qwen3")
    vocabulary = (await chat.ready()).vocabulary
    tokens = await tokens_of(chat, "Think.", 60, in_thinking=True, think_budget=7)
    assert tuple(tokens[7 : 7 + len(vocabulary.think_end_tokens)]) == vocabulary.think_end_tokens
    assert vocabulary.think_close_token in vocabulary.think_end_tokens
    assert len(tokens) == 60, "and the answer follows"


async def test_without_a_budget_there_is_no_thinking(load: Load) -> None:
    chat = await load("qwen3")
    closing = (await chat.ready()).vocabulary.think_end_tokens
    tokens = await tokens_of(chat, "Think.", 60, in_thinking=True, think_budget=0)
    assert tuple(tokens[: len(closing)]) == closing and len(tokens) == 60


async def test_scores_that_are_no_numbers_end_their_own_answer_only(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = await load("qwen2")
    take = Sequence.take
    calls = []

    def spoilt(self: Any, logits: Any) -> None:
        calls.append(self)
        take(self, logits * float("nan") if self.request.max_tokens == 7 else logits)

    monkeypatch.setattr(Sequence, "take", spoilt)
    broken, whole = await asyncio.gather(
        chat.ainvoke("Hi", max_tokens=7, seed=1), chat.ainvoke("Hi", max_tokens=8, **GREEDY), return_exceptions=True
    )
    assert isinstance(broken, EngineError)
    assert whole.usage_metadata["output_tokens"] == 8


async def test_control_tokens_in_a_text_stay_text(load: Load) -> None:
    chat = await load("qwen3")
    vocabulary, renderer = (await chat.ready()).vocabulary, (await chat.ready()).renderer
    options = GenerationOptions(Sampling())
    usual = renderer.fit([HumanMessage("a")], options).tokens
    for control in ("<|im_end|>", "<|im_start|>", "<think>", "</think>", "<tool_call>"):
        prompt = renderer.fit([HumanMessage(f"a{control}b")], options).tokens
        number = vocabulary.tokenizer.convert_tokens_to_ids(control)
        assert prompt.count(number) == usual.count(number), control
        assert control in vocabulary.backend.decode(prompt, skip_special_tokens=True)


async def test_calls_and_results_go_through_the_template(load: Load) -> None:
    chat = await load("qwen2")
    model = await chat.ready()
    called = AIMessage("", tool_calls=[{"name": "add", "args": {"a": 1, "b": "</tool_call>"}, "id": "c1"}])
    tool = {"type": "function", "function": {"name": "add", "description": "Add.", "parameters": {"type": "object"}}}
    messages = [HumanMessage("1+2?"), called, ToolMessage("3", tool_call_id="c1")]
    prompt = model.renderer.fit(messages, GenerationOptions(Sampling(), tools=(tool,)))
    text = model.vocabulary.backend.decode(prompt.tokens, skip_special_tokens=False)
    assert '{"name": "add", "arguments": {"a": 1, "b": "</tool_call>"}}\n</tool_call>' in text
    assert "<tool_response>\n3\n</tool_response>" in text


async def test_a_json_schema_is_kept_to(load: Load) -> None:
    chat = await load("qwen2")
    schema = {"type": "object", "properties": {"age": {"enum": [1, 2]}, "ok": {"type": "boolean"}}}
    schema |= {"required": ["age", "ok"], "additionalProperties": False}
    answer = await chat.ainvoke("How old?", json_schema=schema, max_tokens=60, seed=1)
    assert json.loads(answer.text)["age"] in (1, 2)
    with pytest.raises(EngineError, match="schema"):
        await chat.ainvoke("Hi", json_schema={"type": "nothing"}, max_tokens=8)
    assert (await chat.ainvoke("Hi", max_tokens=4, **GREEDY)).text


async def test_models_make_room_for_each_other_and_come_back(load: Load, tiny: Tiny) -> None:
    first = await load("qwen2", models_memory_mb=60)
    models, files = first.model_cache, first.files
    before = (await first.ainvoke("Hi", max_tokens=6, **GREEDY)).text
    await models.ready(replace(files, card=replace(files.card, name="other"), path=tiny("qwen3")))
    assert not models.has(files.card.name) and models.has("other")
    assert (await first.ainvoke("Hi", max_tokens=6, **GREEDY)).text == before
    assert not models.has("other")


async def test_an_unloaded_model_is_gone_from_memory(load: Load) -> None:
    chat = await load("qwen2")
    model = weakref.ref((await chat.ready()).scheduler.runner.model)
    await chat.ainvoke("Hi", max_tokens=4, **GREEDY)
    assert chat.capabilities.loaded
    await chat.model_cache.unload(chat.card.name)
    gc.collect()
    assert model() is None
    assert not chat.capabilities.loaded


async def test_an_answer_ends_with_its_model(load: Load) -> None:
    chat = await load("qwen2")
    scheduler = await idle(chat)
    asked = asyncio.create_task(chat.ainvoke("Hi", max_tokens=3000, temperature=1.0, seed=1))
    async with asyncio.timeout(5):
        while not scheduler.busy:  # noqa: ASYNC110 - the thread tells nobody that it has begun
            await asyncio.sleep(0.01)
    await chat.model_cache.aclose()
    with pytest.raises(EngineError, match="unloaded"):
        await asked


async def test_a_model_too_large_for_the_limit_is_refused(load: Load) -> None:
    with pytest.raises(EngineUnavailable, match="QWENDESK_MODELS_MEMORY_MB"):
        await load("qwen2", models_memory_mb=10)


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
async def test_an_adapter_changes_the_model(load: Load, tiny: Tiny, own_home: Path) -> None:
    peft = pytest.importorskip("peft")
    from transformers import AutoModelForCausalLM

    config = peft.LoraConfig(r=4, lora_alpha=256, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    torch.manual_seed(1)
    adapted = peft.get_peft_model(AutoModelForCausalLM.from_pretrained(tiny("qwen3")), config)
    adapted.save_pretrained(own_home / "adapters" / "polite")
    plain = await load("qwen3")
    polite = await load(f"{tiny('qwen3')}+polite")
    says = [(await chat.ainvoke("Hi", max_tokens=8, **GREEDY)).text for chat in (plain, polite)]
    assert says[0] != says[1]
    with pytest.raises(ConfigError, match="rude"):
        await load(f"{tiny('qwen3')}+rude")


def spoil(folder: Path, fault: str) -> None:
    from safetensors.torch import load_file, save_file

    weights, meta = folder / "model.safetensors", {"format": "pt"}
    if fault == "truncated":
        weights.write_bytes(weights.read_bytes()[:1_000_000])
    elif fault == "missing":
        weights.unlink()
    elif fault == "renamed":
        save_file({f"other.{name}": value for name, value in load_file(weights).items()}, weights, meta)
    elif fault == "garbage":
        weights.write_bytes(b"no weights at all")
    else:
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | {"vocab_size": 1000}))
        state = load_file(weights)
        state["model.embed_tokens.weight"] = state["model.embed_tokens.weight"][:1000].clone()
        save_file(state, weights, meta)


@pytest.mark.parametrize("fault", ["truncated", "missing", "renamed", "tokenizer", "garbage"])
async def test_broken_files_are_errors_that_say_so(fault: str, load: Load, tiny: Tiny, own_home: Path) -> None:
    folder = own_home / "broken"
    shutil.copytree(tiny("qwen2"), folder)
    spoil(folder, fault)
    with pytest.raises(EngineUnavailable, match="tokenizer" if fault == "tokenizer" else "transformers cannot load"):
        await load(folder)


async def test_a_text_of_ten_million_characters_is_refused_at_once(load: Load) -> None:
    chat = await load("qwen2")
    async with asyncio.timeout(5):
        with pytest.raises(EngineError, match="QWENDESK_CONTEXT_TOKENS"):
            await chat.ainvoke("word " * 2_000_000, max_tokens=8)


async def test_no_network_is_told_at_once(load: Load, monkeypatch: pytest.MonkeyPatch, own_home: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(own_home / "hub"))
    async with asyncio.timeout(20):
        with pytest.raises(EngineUnavailable, match="not on this machine"):
            await load("Qwen/Qwen3-0.6B", huggingface_url="http://127.0.0.1:9", connect_timeout=1)


@pytest.mark.parametrize("missing", ["torch", "huggingface_hub"])
async def test_a_missing_package_is_an_error_that_says_what_to_install(
    missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.startswith("qwendesk.engines.transformers.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    engine = build_pool(Settings(engine="transformers")).engine("transformers")
    with pytest.raises(ConfigError, match=r"qwendesk\[transformers\]"):
        await (engine.models() if missing == "huggingface_hub" else engine.load("qwen2.5-0.5b"))


@pytest.mark.parametrize("quantize", ["8bit", "4bit"])
@pytest.mark.parametrize("device", ["cpu", None])
async def test_smaller_weights_need_their_device(
    load: Load, quantize: str, device: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(EngineError, match=f"{quantize} need an NVIDIA GPU.*QWENDESK_QUANTIZE.*llamacpp"):
        await load("qwen2", quantize=quantize, device=device)


async def test_a_failing_step_ends_its_answers_only(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    chat = await load("qwen2")
    runner = (await chat.ready()).scheduler.runner
    with monkeypatch.context() as patched:
        patched.setattr(runner, "forward", lambda work: 1 / 0)
        with pytest.raises(EngineError, match="division by zero"):
            await chat.ainvoke("Hi", max_tokens=4)
    assert (await chat.ainvoke("Hi", max_tokens=4, **GREEDY)).usage_metadata["output_tokens"] == 4


@pytest.mark.parametrize(
    ("hang_at", "limits", "words"),
    [
        (
            0,
            {"first_token_timeout": 2},
            "qwen2.* on transformers did not begin to answer in time: 2 s.*FIRST_TOKEN_TIMEOUT",
        ),
        (
            3,
            {"token_timeout": 2},
            "qwen2.* on transformers sent nothing for 2 s in the middle.*QWENDESK_TOKEN_TIMEOUT",
        ),
    ],
)
async def test_a_model_that_hangs_is_given_up_and_loaded_anew(
    hang_at: int, limits: dict[str, float], words: str, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat, go, passes = await load("qwen2"), threading.Event(), []
    hanging = await chat.ready()
    forward = hanging.scheduler.runner.forward

    def slow(work: Any) -> Any:
        passes.append(work)
        if len(passes) > hang_at:
            go.wait(100)
        return forward(work)

    monkeypatch.setattr(hanging.scheduler.runner, "forward", slow)
    # on a busy machine the hanging pass begins well after the limit
    monkeypatch.setattr(model_cache, "HANGING_FRACTION", 0.1)
    for name, value in limits.items():
        monkeypatch.setattr(chat.model_cache.settings, name, value)
    with pytest.raises(EngineTimeout, match=words):
        await chat.ainvoke("Hi", **GREEDY)
    for name in limits:
        monkeypatch.setattr(chat.model_cache.settings, name, 60)
    assert (await chat.ainvoke("Hi", max_tokens=4, **GREEDY)).usage_metadata["output_tokens"] == 4
    assert await chat.ready() is not hanging
    go.set()
    await asyncio.to_thread(hanging.scheduler.thread.join, 20)
    assert hanging.scheduler.runner is None, "its memory is freed when it comes back"


async def test_a_model_that_hangs_counts_as_long_as_it_holds_its_memory(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat, go = await load("qwen2"), threading.Event()
    hanging = await chat.ready()
    # memory for one and a half models
    monkeypatch.setattr(chat.model_cache.settings, "models_memory_mb", hanging.bytes * 3 // 2 // model_cache.MIB)
    forward = hanging.scheduler.runner.forward
    monkeypatch.setattr(hanging.scheduler.runner, "forward", lambda work: go.wait(100) and forward(work))
    monkeypatch.setattr(model_cache, "HANGING_FRACTION", 0.1)
    with monkeypatch.context() as patched:
        patched.setattr(chat.model_cache.settings, "first_token_timeout", 2)
        with pytest.raises(EngineTimeout):
            await chat.ainvoke("Hi", **GREEDY)
    with pytest.raises(EngineUnavailable, match="qwen2.* hangs and keeps its memory"):
        await chat.ainvoke("Hi", **GREEDY)
    go.set()
    await asyncio.to_thread(hanging.scheduler.thread.join, 100)
    assert (await chat.ainvoke("Hi", max_tokens=4, **GREEDY)).usage_metadata["output_tokens"] == 4


async def test_what_counts_as_hanging_is_the_limit_that_ran_out(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    chat = await load("qwen2")
    slow, asked = await chat.ready(), list[float]()
    monkeypatch.setattr(slow.scheduler, "hangs", lambda seconds: bool(asked.append(seconds)))
    monkeypatch.setattr(slow.scheduler, "submit", lambda request: None)
    monkeypatch.setattr(chat.model_cache.settings, "first_token_timeout", 1)
    monkeypatch.setattr(chat.model_cache.settings, "token_timeout", 0.1)
    with pytest.raises(EngineTimeout, match="did not begin"):
        await chat.ainvoke("Hi", **GREEDY)
    assert asked == [pytest.approx(0.9)]


async def test_a_model_that_is_only_slow_stays(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    chat, go = await load("qwen2"), threading.Event()
    slow = await chat.ready()
    forward = slow.scheduler.runner.forward

    def stalling(work: Any) -> Any:
        # many short passes without a token, like those of a long prompt
        time.sleep(0.01)
        return forward(work) if go.is_set() else [None for _ in work]

    monkeypatch.setattr(slow.scheduler.runner, "forward", stalling)
    monkeypatch.setattr(chat.model_cache.settings, "first_token_timeout", 2)
    with pytest.raises(EngineTimeout, match="shorten the message"):
        await chat.ainvoke("Hi", max_tokens=4, **GREEDY)
    go.set()
    monkeypatch.setattr(chat.model_cache.settings, "first_token_timeout", 60)
    assert (await chat.ainvoke("Hi", max_tokens=4, **GREEDY)).usage_metadata["output_tokens"] == 4
    assert await chat.ready() is slow


async def test_a_model_that_hangs_at_its_first_token_does_not_load_forever(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qwendesk.engines.transformers.runner import PackedRunner

    go = threading.Event()
    with monkeypatch.context() as patched:
        patched.setattr(PackedRunner, "forward", lambda self, work: go.wait(20) and 1 / 0)
        with pytest.raises(EngineTimeout, match="did not begin"):
            await load("qwen2", first_token_timeout=0.5)
        go.set()
    assert (await (await load("qwen2")).ainvoke("Hi", max_tokens=4, **GREEDY)).text


async def test_a_request_that_cannot_begin_is_told_and_keeps_nobody(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = await load("qwen2")
    runner = (await chat.ready()).scheduler.runner
    await forget(chat)
    with monkeypatch.context() as patched:
        patched.setattr(runner, "new_cache", lambda: 1 / 0)
        async with asyncio.timeout(10):
            with pytest.raises(EngineFailed, match="division by zero"):
                await chat.ainvoke("Hi", max_tokens=4)
    assert (await chat.ainvoke("Hi", max_tokens=4, **GREEDY)).usage_metadata["output_tokens"] == 4


async def test_who_leaves_while_a_model_is_loaded_leaves_one_that_is_kept(
    load: Load, tiny: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qwendesk.engines.transformers import model_cache

    chat, begun, go, times = await load("qwen2"), threading.Event(), threading.Event(), []
    make = model_cache.load_model

    def slow(*args: Any) -> Any:
        times.append(args)
        begun.set()
        go.wait(20)
        return make(*args)

    monkeypatch.setattr(model_cache, "load_model", slow)
    other = replace(chat.files, card=replace(chat.files.card, name="other"), path=tiny("qwen3"))
    leaving = asyncio.create_task(chat.model_cache.ready(other))
    await asyncio.to_thread(begun.wait, 20)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    go.set()
    await chat.model_cache.ready(other)
    assert len(times) == 1 and chat.model_cache.has("other")


async def test_a_model_that_is_being_fetched_keeps_none_that_is_ready_waiting(
    tiny: Tiny, own_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from qwendesk.engines.transformers import model_files

    pool, begun, go = build_pool(Settings(dtype="float32", threads=1)), threading.Event(), threading.Event()
    engine = pool.engine("transformers")
    chat = await engine.load(str(tiny("qwen2")))
    find = model_files.find_model_files

    def slow(name: str, *args: Any) -> Any:
        begun.set()
        go.wait(20)
        return find(name, *args)

    monkeypatch.setattr(model_files, "find_model_files", slow)
    fetching = asyncio.create_task(engine.load(str(tiny("qwen3"))))
    await asyncio.to_thread(begun.wait, 20)
    async with asyncio.timeout(60):
        assert await engine.load(str(tiny("qwen2"))) is chat
    go.set()
    assert await fetching is not chat
    await pool.aclose()


async def test_a_model_that_cannot_make_a_token_is_not_ready(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Sequence, "take", lambda self, logits: 1 / 0)
    with pytest.raises(EngineFailed, match="division by zero"):
        await load("qwen2")
    assert not [thread for thread in threading.enumerate() if thread.name == "qwendesk-transformers"]


async def test_a_thread_tells_what_it_fetches(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def find(name: str, parts: Any, progress: Any) -> Any:
        progress(f"Fetching {name}", None)
        raise EngineUnavailable("It is not there.")

    # imported here, because another test imports the module again
    monkeypatch.setattr(import_module("qwendesk.engines.transformers.model_files"), "find_model_files", find)
    events: list[Event] = []
    async with Desk(Settings(home=tmp_path, engine="transformers", model="Qwen/Qwen3-0.6B")) as desk:
        with pytest.raises(EngineUnavailable, match="not there"):
            async for event in desk.turns.run(Inbound("Hello there, how are you?", "c")):
                events.append(event)
    assert any(isinstance(event, Notice) and event.text == "Fetching Qwen/Qwen3-0.6B" for event in events)
