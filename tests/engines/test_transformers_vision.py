"""Images on the transformers engine lead to the same tokens as ``generate`` with the model's processor."""

from __future__ import annotations

import asyncio
import base64
import io
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from qwendesk.errors import EngineError
from qwendesk.settings import Settings
from qwendesk.wiring import build_pool
from tests.tiny_qwen import SEEING, make_seeing_model

GREEDY: dict[str, Any] = {"temperature": 0.0, "repetition_penalty": 1.0, "max_tokens": 16}
Load = Callable[..., Any]


def picture(colour: str, size: tuple[int, int] = (84, 56)) -> Image.Image:
    image = Image.new("RGB", size, colour)
    image.paste("white", (size[0] // 4, size[1] // 4, size[0] // 2, size[1] // 2))
    return image


def message(text: str, *images: Image.Image) -> HumanMessage:
    parts: list[Any] = []
    for image in images:
        held = io.BytesIO()
        image.save(held, "PNG")
        url = f"data:image/png;base64,{base64.b64encode(held.getvalue()).decode()}"
        parts.append({"type": "image_url", "image_url": {"url": url}})
    return HumanMessage([*parts, {"type": "text", "text": text}])


def reference(folder: Path, text: str, images: list[Image.Image]) -> str:
    from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
    made = AutoImageProcessor.from_pretrained(folder, backend="pil")(images=images, return_tensors="pt")
    pads = ["<|image_pad|>" * (int(grid.prod()) // 4) for grid in made["image_grid_thw"]]
    shown = "".join(f"<|vision_start|>{pad}<|vision_end|>" for pad in pads)
    prompt = f"<|im_start|>user\n{shown}{text}<|im_end|>\n<|im_start|>assistant\n"
    ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
    kinds = (ids == 151655).int()
    out = model.generate(
        input_ids=ids, mm_token_type_ids=kinds, **made, max_new_tokens=16, do_sample=False, pad_token_id=151643
    )
    return str(tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True))


@pytest.fixture(scope="module", params=SEEING)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_seeing_model(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture
async def chat(folder: Path, own_home: Path) -> AsyncIterator[Any]:
    pool = build_pool(Settings(engine="transformers", dtype="float32", threads=1))
    yield await pool.engine("transformers").load(str(folder))
    await pool.aclose()


async def test_pictures_are_seen_as_generate_sees_them(chat: Any, folder: Path) -> None:
    red, blue = picture("red"), picture("blue", (56, 112))
    cases = [("What is it?", [red]), ("What is it?", [blue]), ("Compare them.", [red, blue])]
    expected = [reference(folder, text, images) for text, images in cases]
    assert len(set(expected)) == 3, "the pictures have to make a difference"
    assert chat.capabilities.vision
    alone = [(await chat.ainvoke([message(text, *images)], **GREEDY)).text for text, images in cases]
    assert alone == expected
    together = await asyncio.gather(
        *(chat.ainvoke([message(text, *images)], **GREEDY) for text, images in cases), chat.ainvoke("Hi", **GREEDY)
    )
    assert [answer.text for answer in together[:3]] == expected


async def test_the_next_turn_does_not_look_again(chat: Any) -> None:
    first = message("What is it?", picture("green"))
    answer = await chat.ainvoke([first], **GREEDY)
    turn = [first, AIMessage("A square."), HumanMessage("Sure?")]
    again = await chat.ainvoke(turn, **GREEDY)
    assert again.usage_metadata["input_token_details"]["cache_read"] >= answer.usage_metadata["input_tokens"] - 1
    scheduler = (await chat.ready()).scheduler
    async with asyncio.timeout(60):
        while scheduler.busy:  # noqa: ASYNC110 - the thread tells nobody that it has nothing to do
            await asyncio.sleep(0.01)
    scheduler.forget_prompts()
    assert (await chat.ainvoke(turn, **GREEDY)).text == again.text
    other = await chat.ainvoke([message("What is it?", picture("black")), *turn[1:]], **GREEDY)
    assert other.usage_metadata["input_token_details"]["cache_read"] == 0, "another picture of the same size"


async def test_what_is_no_picture_is_an_error_that_says_so(chat: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for url in ("https://example.org/a.png", "data:image/png;base64,AAAA", "data:image/png;base64,???"):
        part = {"type": "image_url", "image_url": {"url": url}}
        with pytest.raises(EngineError, match="picture"):
            await chat.ainvoke([HumanMessage([part])], **GREEDY)
    bomb = message("What is it?", Image.new("1", (9400, 9400)))
    with pytest.raises(EngineError, match="pixels"):
        await chat.ainvoke([bomb], **GREEDY)


async def test_a_large_picture_is_made_smaller(chat: Any) -> None:
    answer = await chat.ainvoke([message("What is it?", picture("red", (3000, 2500)))], **GREEDY)
    assert answer.usage_metadata["input_tokens"] < chat.capabilities.context / 3
