"""Recordings on the transformers engine lead to the same tokens as ``generate`` with the model's processor."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
import soundfile
from langchain_core.messages import AIMessage, HumanMessage

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from qwendesk.errors import EngineError
from qwendesk.settings import Settings
from qwendesk.wiring import build_pool
from tests.tiny_qwen import make_hearing_model

pytestmark = pytest.mark.asyncio(loop_scope="module")
GREEDY: dict[str, Any] = {"temperature": 0.0, "repetition_penalty": 1.0, "max_tokens": 16}
RATE = 16_000


def tone(pitch: float, seconds: float = 1.0, rate: int = RATE) -> Any:
    times = np.arange(int(seconds * rate)) / rate
    return (0.4 * np.sin(2 * np.pi * pitch * times) * (1 + np.sin(9 * times))).astype(np.float32)


def saved(samples: Any, rate: int = RATE, kind: str = "WAV", **options: Any) -> bytes:
    held = io.BytesIO()
    soundfile.write(held, samples, rate, format=kind, **options)
    return held.getvalue()


def message(text: str, *recordings: bytes) -> HumanMessage:
    data = [base64.b64encode(recording).decode() for recording in recordings]
    parts: list[Any] = [{"type": "input_audio", "input_audio": {"data": one, "format": "wav"}} for one in data]
    return HumanMessage([*parts, {"type": "text", "text": text}])


@cache
def library(folder: Path) -> tuple[Any, Any]:
    from transformers import AutoProcessor, Qwen2AudioForConditionalGeneration

    model = Qwen2AudioForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    return AutoProcessor.from_pretrained(folder), model


def reference(folder: Path, text: str, sounds: list[Any]) -> str:
    processor, model = library(folder)
    chat = [{"role": "user", "content": [*({"type": "audio"} for _ in sounds), {"type": "text", "text": text}]}]
    prompt = processor.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
    made = processor(text=prompt, audio=sounds or None, sampling_rate=RATE, return_tensors="pt")
    out = model.generate(**made, max_new_tokens=16, do_sample=False, pad_token_id=151643)
    return str(processor.decode(out[0, made["input_ids"].shape[1] :], skip_special_tokens=True))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_hearing_model(tmp_path_factory.mktemp("qwen2-audio"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def chat(folder: Path) -> AsyncIterator[Any]:
    """Load the model once, because loading takes seconds."""
    settings = Settings(home=folder.parent, engine="transformers", dtype="float32", threads=1, context_tokens=1024)
    pool = build_pool(settings)
    yield await pool.engine("transformers").load(str(folder))
    await pool.aclose()


async def forget(chat: Any) -> None:
    """Forget the caches of earlier answers."""
    scheduler = (await chat.ready()).scheduler
    async with asyncio.timeout(60):
        while scheduler.busy:  # noqa: ASYNC110 - the thread tells nobody that it has nothing to do
            await asyncio.sleep(0.01)
    scheduler.forget_prompts()


async def test_recordings_are_heard_as_generate_hears_them(chat: Any, folder: Path) -> None:
    low, high = tone(200), tone(900, 0.6)
    cases = [("What is it?", [low]), ("What is it?", [high]), ("Compare them.", [low, high]), ("Hello?", [])]
    expected = [reference(folder, text, sounds) for text, sounds in cases]
    assert len(set(expected)) == 4, "the recordings have to make a difference"
    assert chat.capabilities.audio and not chat.capabilities.vision
    asked = [message(text, *(saved(one, subtype="FLOAT") for one in sounds)) for text, sounds in cases]
    assert [(await chat.ainvoke([one], **GREEDY)).text for one in asked] == expected
    assert [(await chat.ainvoke([one], **GREEDY)).text for one in asked] == expected, "continued from a cache"
    await forget(chat)
    together = await asyncio.gather(*(chat.ainvoke([one], **GREEDY) for one in asked))
    assert [answer.text for answer in together] == expected


async def test_the_next_turn_does_not_listen_again(chat: Any) -> None:
    first = message("What is it?", saved(tone(300)))
    answer = await chat.ainvoke([first], **GREEDY)
    turn = [first, AIMessage("A tone."), HumanMessage("Sure?")]
    again = await chat.ainvoke(turn, **GREEDY)
    assert again.usage_metadata["input_token_details"]["cache_read"] >= answer.usage_metadata["input_tokens"] - 1
    await forget(chat)
    assert (await chat.ainvoke(turn, **GREEDY)).text == again.text
    other = await chat.ainvoke([message("What is it?", saved(tone(301))), *turn[1:]], **GREEDY)
    assert other.usage_metadata["input_token_details"]["cache_read"] < 30, "another recording of the same length"


async def test_any_rate_channels_and_format_are_taken(chat: Any) -> None:
    plain = (await chat.ainvoke([message("What is it?", saved(tone(200), subtype="FLOAT"))], **GREEDY)).usage_metadata
    stereo = np.stack([tone(200, rate=44_100)] * 2, axis=1)
    for recording in (saved(stereo, 44_100), saved(stereo, 44_100, "FLAC"), saved(tone(200), kind="OGG")):
        answer = await chat.ainvoke([message("What is it?", recording)], **GREEDY)
        assert answer.usage_metadata["input_tokens"] == plain["input_tokens"]


async def test_a_long_recording_is_heard_in_stretches(chat: Any, folder: Path) -> None:
    """The tiny model processes segments of two seconds, a real one thirty."""
    sound = tone(250, 5.0)
    stretches = [sound[: 2 * RATE], sound[2 * RATE : 4 * RATE], sound[4 * RATE :]]
    answer = await chat.ainvoke([message("What is it?", saved(sound, subtype="FLOAT"))], **GREEDY)
    assert answer.text == reference(folder, "What is it?", stretches)


async def test_tokens_of_recordings_are_counted(chat: Any) -> None:
    asked = [message("What is it?", saved(tone(200)))]
    answer = await chat.ainvoke(asked, **GREEDY)
    assert await chat.count_tokens(asked) == answer.usage_metadata["input_tokens"]


async def test_what_cannot_be_heard_is_an_error_and_the_next_message_is_answered(chat: Any) -> None:
    whole = saved(tone(200))
    for data, reason in ((whole[: len(whole) // 2], "broken off"), (saved(tone(200, 30)), "at most")):
        with pytest.raises(EngineError, match=reason):
            await chat.ainvoke([message("What is it?", data)], **GREEDY)
    assert (await chat.ainvoke([message("What is it?", whole)], **GREEDY)).text


async def test_a_model_without_ears_says_so(chat: Any) -> None:
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    with pytest.raises(EngineError, match="choose a model that does"):
        await chat.ainvoke([HumanMessage([part])], **GREEDY)
