"""The fallback chain: another model answers if the selected one cannot."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from langchain_core.messages import AIMessageChunk, BaseMessage, HumanMessage

from qwendesk import Desk, Settings
from qwendesk.engines import concurrency
from qwendesk.engines.fallback import Cooldowns
from qwendesk.engines.llamacpp.server import LlamaServer
from qwendesk.engines.pool import ModelPool
from qwendesk.engines.scripted import ScriptedChat, ScriptedEngine
from qwendesk.errors import (
    ConfigError,
    EngineError,
    EngineFailed,
    EngineTimeout,
    EngineUnavailable,
    ModelStoreError,
    QwendeskError,
)
from qwendesk.messages import Finished, Notice
from qwendesk.models.card import ModelCard, SelectedModel
from qwendesk.settings import FallbackSettings, ServerSettings
from qwendesk.wiring import build_pool, engine_parts

BIG, SMALL = ModelCard(name="big", parameters=30), ModelCard(name="small", parameters=3)
SEES = ModelCard(name="sees", parameters=3, vision=True, roles=("vision",))


class ScriptedServer:
    """A scripted server that answers, or raises a given error."""

    def __init__(self, *cards: ModelCard) -> None:
        self.error: QwendeskError | None = None
        self.asked = 0
        self.engine = ScriptedEngine(self._answer, cards=cards)

    def _answer(self, messages: list[BaseMessage]) -> str:
        self.asked += 1
        if self.error:
            raise self.error
        return "So be it."


class Desks:
    """A pool of two servers, the second as fallback of the first, and its clock."""

    def __init__(self) -> None:
        self.first, self.second = ScriptedServer(BIG), ScriptedServer(SMALL, SEES)
        self.notices: list[str] = []
        self.now = 0.0
        fallback = FallbackSettings(chain=("first:big", "second:small", "second:sees"), cooldown=10, cooldown_max=15)
        self.settings = Settings(engine="first", fallback=fallback)
        self.engines = {"first": self.first.engine, "second": self.second.engine}
        self.pool = self.make_pool()

    def make_pool(self) -> ModelPool:
        return ModelPool(engine_parts(self.settings), self.engines, Cooldowns(10, 15, lambda: self.now))

    async def ask(self, content: Any = "Well?", requested: str | None = None) -> tuple[str, SelectedModel]:
        choice = await self.pool.choose("general", requested)
        assert choice
        answering = self.pool.fallback_chat(choice, lambda text, fraction: self.notices.append(text))
        pieces = [piece.text async for piece in answering.stream([HumanMessage(content)])]
        return "".join(pieces), answering.choice


@pytest.fixture
async def desks() -> AsyncIterator[Desks]:
    made = Desks()
    yield made
    await made.pool.aclose()


@pytest.mark.parametrize("kind", [EngineUnavailable, EngineFailed, EngineTimeout, ModelStoreError])
async def test_the_next_one_answers_and_says_why(desks: Desks, kind: type[QwendeskError]) -> None:
    desks.first.error = kind("it is down")
    text, choice = await desks.ask()
    assert (text, choice.engine, choice.card) == ("So be it.", "second", SMALL)
    assert choice.fallback_reason == "first:big could not answer: it is down; second:small answers instead"
    assert desks.notices == ["first:big cannot answer; asking second:small"]


async def test_a_question_that_is_refused_is_refused_everywhere(desks: Desks) -> None:
    desks.first.error = EngineError("this message is too long")
    with pytest.raises(EngineError, match="too long"):
        await desks.ask()
    assert desks.second.asked == 0


async def test_after_the_first_word_nobody_begins_again(desks: Desks, monkeypatch: pytest.MonkeyPatch) -> None:
    async def breaks_off(*args: Any, **options: Any) -> AsyncIterator[AIMessageChunk]:
        yield AIMessageChunk("So ")
        raise EngineFailed("it broke off")

    monkeypatch.setattr(ScriptedChat, "astream", breaks_off)
    said = []
    choice = await desks.pool.choose("general")
    assert choice
    with pytest.raises(EngineFailed, match="broke off"):
        async for piece in desks.pool.fallback_chat(choice).stream([HumanMessage("Well?")]):
            said.append(piece.text)
    assert said == ["So "]


async def test_a_model_that_failed_rests_longer_each_time_until_it_answers(desks: Desks) -> None:
    desks.first.error = EngineUnavailable("it is down")
    await desks.ask()
    desks.now = 9
    await desks.ask()
    assert desks.first.asked == 1, "it rests"
    desks.now = 11
    await desks.ask()
    assert desks.first.asked == 2
    desks.now = 22
    _, choice = await desks.ask()
    assert desks.first.asked == 2, "it rests twice as long, but not longer than 15 s"
    assert choice.fallback_reason == "first:big failed lately; second:small answers instead"
    desks.now, desks.first.error = 27, None
    assert (await desks.ask())[1].engine == "first"
    desks.first.error = EngineUnavailable("again")
    await desks.ask()
    desks.now = 38
    await desks.ask()
    assert desks.first.asked == 5, "the first rest is short again after a success"


def test_questions_that_fail_together_count_once() -> None:
    now = 0.0
    cooldowns = Cooldowns(10, 600, lambda: now)
    for _ in range(8):
        cooldowns.record_failure("first:big")
    assert cooldowns.remaining("first:big") == 10
    now = 10
    cooldowns.record_failure("first:big")
    assert cooldowns.remaining("first:big") == 20


async def test_one_that_was_asked_for_by_name_has_no_stand_in(desks: Desks) -> None:
    desks.first.error = EngineUnavailable("it is down")
    for _ in range(2):
        with pytest.raises(EngineUnavailable, match="it is down"):
            await desks.ask(requested="first:big")
    assert (desks.first.asked, desks.second.asked) == (2, 0)


async def test_a_picture_goes_to_one_that_sees(desks: Desks) -> None:
    desks.first.error = EngineFailed("it is down")
    picture = [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}]
    assert (await desks.ask(picture))[1].card == SEES


async def test_a_recording_goes_to_nobody_who_is_deaf(desks: Desks) -> None:
    desks.first.error = EngineFailed("it is down")
    recording = [{"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}]
    with pytest.raises(EngineFailed, match="it is down"):
        await desks.ask(recording)
    assert desks.second.asked == 0


async def test_where_nobody_can_every_reason_is_told(desks: Desks) -> None:
    desks.first.error, desks.second.error = EngineFailed("smoke"), EngineFailed("fire")
    with pytest.raises(EngineUnavailable, match=r"first:big could .*: smoke. .*:small .*: fire. .*:sees .*: fire."):
        await desks.ask()


async def test_a_server_that_does_not_even_list_its_models(desks: Desks, monkeypatch: pytest.MonkeyPatch) -> None:
    tried = 0

    async def refuses() -> list[ModelCard]:
        nonlocal tried
        tried += 1
        raise EngineUnavailable("No server answers.")

    monkeypatch.setattr(desks.first.engine, "models", refuses)
    for _ in range(3):
        assert (await desks.ask())[1].engine == "second"
    assert tried == 1, "it rests, so that nobody waits for it"


async def test_the_receipt_names_each_link_that_was_tried(desks: Desks) -> None:
    desks.first.error, desks.second.error = EngineFailed("smoke"), EngineTimeout("fire")
    third = ScriptedServer(BIG)
    desks.engines["third"] = third.engine
    desks.pool = desks.make_pool()
    desks.settings.fallback.chain = ("first:big", "second:small", "third:nobody", "third:big")
    told = "first:big could not answer: smoke; second:small could not answer: fire; third:nobody could not answer: "
    text, choice = await desks.ask()
    assert (text, choice.engine) == ("So be it.", "third")
    assert choice.fallback_reason and choice.fallback_reason.startswith(told)
    assert choice.fallback_reason.endswith("; third:big answers instead") and "there are: big" in choice.fallback_reason
    assert desks.notices[-1] == "third:nobody cannot answer; asking third:big"
    # a paused model is not asked, and the receipt names the reason
    _, choice = await desks.ask()
    reason = choice.fallback_reason or ""
    assert "second:small failed lately and is asked again in 10 s: fire" in reason
    third.error = EngineFailed("flood")
    with pytest.raises(EngineUnavailable, match=r"first:big failed lately.* fire\. .*third:big could .* flood\."):
        await desks.ask()


async def test_where_no_engine_is_there_every_reason_is_told(desks: Desks, monkeypatch: pytest.MonkeyPatch) -> None:
    async def down(self: ScriptedEngine) -> Any:
        raise EngineUnavailable(f"{self.name} is down.")

    monkeypatch.setattr(ScriptedEngine, "models", down)
    desks.settings.fallback.chain = ("second:small", "llamacpp:qwen3-4b", "no-such-model")
    with pytest.raises(EngineUnavailable) as caught:
        await desks.ask()
    text = str(caught.value)
    assert text.startswith("No model could answer. scripted is down. second:small could not answer: scripted is down.")
    assert "llamacpp:qwen3-4b has not been fetched." in text and "no-such-model could not answer" in text


async def test_an_unknown_engine_is_told_all_there_are() -> None:
    settings = Settings(engine="nope", servers={"gpu2": ServerSettings(url="http://gpu2/v1", kind="sglang")})
    pool = build_pool(settings, {"mine": ScriptedServer(BIG).engine})
    with pytest.raises(ConfigError, match=r"'nope'; there are: .*dashscope, .*gpu2, .*mine, .*sglang, .*vllm"):
        await pool.choose("general")
    with pytest.raises(ConfigError, match=r"There is no model 'vlm:foo'.*Nor is an engine called 'vlm'.*vllm"):
        await build_pool(Settings()).choose("general", "vlm:foo")


async def test_a_chain_may_name_what_is_not_there() -> None:
    mind = ScriptedServer(BIG)
    mind.error = EngineFailed("smoke")
    settings = Settings(engine="first", fallback=FallbackSettings(chain=("no-such-model", "first:big")))
    pool = build_pool(settings, {"first": mind.engine})
    with pytest.raises(EngineError, match=r"smoke\. .*no-such-model"):
        choice = await pool.choose("general")
        assert choice
        [piece async for piece in pool.fallback_chat(choice).stream([HumanMessage("Well?")])]
    await pool.aclose()


async def test_the_receipt_and_a_notice_tell_of_it() -> None:
    made = Desks()
    made.first.error = EngineFailed("smoke")
    async with Desk(made.settings, engines=made.engines) as desk:
        events = [event async for event in desk.stream("Hello there, how are you?")]
    notices = [event.text for event in events if isinstance(event, Notice)]
    receipt = next(event.reply.receipt for event in events if isinstance(event, Finished))
    assert "first:big cannot answer; asking second:small" in notices
    assert (receipt.engine, receipt.model) == ("second", "small")
    assert receipt.fallback == "first:big could not answer: smoke; second:small answers instead"


async def pool_of(script: Any, **settings: Any) -> tuple[ModelPool, Callable[[ModelCard], SelectedModel]]:
    engine = ScriptedEngine(script, cards=[BIG, SMALL])
    pool = build_pool(Settings(engine="first", **settings), {"first": engine})
    return pool, lambda card: SelectedModel("first", card)


async def test_a_busy_model_keeps_no_other_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(concurrency, "FIRST_NOTICE_SECONDS", 0.0)
    go, begun, heard = asyncio.Event(), asyncio.Event(), asyncio.Queue[str]()

    async def slow(messages: list[BaseMessage]) -> str:
        if messages[-1].text == "slow":
            begun.set()
            await go.wait()
        return "done"

    pool, choice = await pool_of(slow, max_concurrent_requests={"first:big": 1})

    async def ask(card: ModelCard, text: str) -> str:
        answering = pool.fallback_chat(choice(card), lambda told, fraction: heard.put_nowait(told))
        return "".join([piece.text async for piece in answering.stream([HumanMessage(text)])])

    first = asyncio.create_task(ask(BIG, "slow"))
    await begun.wait()
    second = asyncio.create_task(ask(BIG, "quick"))
    assert await heard.get() == "big is busy; waiting: next in line"
    assert await ask(SMALL, "quick") == "done"
    assert not second.done()
    go.set()
    assert await asyncio.gather(first, second) == ["done", "done"]
    await pool.aclose()


async def test_who_leaves_in_the_middle_frees_the_place() -> None:
    pool, choice = await pool_of(lambda messages: "one two three", max_concurrent_requests={"first": 1})
    begun = 0
    async with asyncio.timeout(30):
        for _ in range(3):
            async with aclosing(pool.fallback_chat(choice(BIG)).stream([HumanMessage("Well?")])) as pieces:
                async for _ in pieces:
                    begun += 1
                    break
    assert begun == 3
    await pool.aclose()


def model_files(folder: Path) -> tuple[str, str]:
    """Return the paths of two files, of which ``LlamaServer.start`` has to be replaced to load them."""
    files = [folder / f"{name}.gguf" for name in ("big", "small")]
    for file in files:
        file.touch()
    return str(files[0]), str(files[1])


def unconnected() -> LlamaServer:
    return LlamaServer(None, "http://127.0.0.1:9", "key")


async def test_a_model_that_is_being_loaded_keeps_no_other_waiting(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    begun, go = asyncio.Event(), asyncio.Event()
    big, small = model_files(tmp_path)

    async def start(file: Path, **options: Any) -> LlamaServer:
        if file.stem == "big":
            begun.set()
            await go.wait()
        return unconnected()

    monkeypatch.setattr(LlamaServer, "start", start)
    engine = build_pool(Settings(threads=1)).engine("llamacpp")
    loading = asyncio.create_task(engine.load(big))
    await begun.wait()
    async with asyncio.timeout(60):
        model = await engine.load(small)
        assert await engine.load(small) is model
    assert not loading.done()
    go.set()
    assert await loading is not model


async def test_who_leaves_while_a_model_is_loaded_loses_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    begun, go, started, closed = asyncio.Event(), asyncio.Event(), list[str](), list[str]()

    big, _ = model_files(tmp_path)

    async def start(file: Path, **options: Any) -> LlamaServer:
        started.append(file.stem)
        begun.set()
        await go.wait()
        return unconnected()

    async def aclose(self: LlamaServer) -> None:
        closed.append("big")

    monkeypatch.setattr(LlamaServer, "start", start)
    monkeypatch.setattr(LlamaServer, "aclose", aclose)
    engine = build_pool(Settings(threads=1)).engine("llamacpp")
    leaving = asyncio.create_task(engine.load(big))
    await begun.wait()
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    closing = asyncio.create_task(engine.aclose())
    staying = asyncio.create_task(engine.load(big))
    await asyncio.sleep(0)
    go.set()
    await staying
    await closing
    assert (started, closed) == (["big"], ["big"])
