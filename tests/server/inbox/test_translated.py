"""An operator who opens a ticket in a foreign language reads it in the own one a moment later."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

from qwendesk.desk.interpreter.interpreter import Interpreter
from qwendesk.desk.interpreter.reading import BackgroundReader
from qwendesk.desk.interpreter.stored import StoredTranslations
from qwendesk.desk.operators.operators import Operators
from qwendesk.errors import EngineUnavailable
from qwendesk.server.pages.inbox.inbox import Inbox
from tests.desk.interpreter.parts import Model, calls, translator
from tests.desk.tickets.conftest import Counter
from tests.server.browser import Browser, add

JAPANESE = "注文番号 JP-2231 の商品がまだ届きません。"
GERMAN = "Die Ware der Bestellung JP-2231 ist noch nicht angekommen."
PAGE = "/desk/tickets/1"


async def opened(counter: Counter, operators: Operators, inbox: Inbox, path: Path, model: Model, text: str) -> str:
    """Return the page as it is once no translation is on its way."""
    await add(operators, "chief", "admin")
    await add(operators, "ida", "operator", languages=["de", "fr"])
    await counter.write(text)
    made = translator(path, model)
    reader = BackgroundReader(Interpreter(made, StoredTranslations(counter.memory.scope), made.settings))
    async with aclosing(reader), Browser(operators, inbox=replace(inbox, reader=reader)) as ida:
        await ida.log_in("ida")
        async with asyncio.timeout(20):
            page = (await ida.get(PAGE)).text
            while "on-its-way" in page:
                page = (await ida.get(f"{PAGE}/live")).text
                await asyncio.sleep(0.02)
        number = calls(made)
        await ida.get(PAGE)
        assert calls(made) == number
    return page


async def test_the_translation_replaces_the_text_which_stays_one_click_away(
    counter: Counter, operators: Operators, inbox: Inbox, tmp_path: Path
) -> None:
    page = await opened(counter, operators, inbox, tmp_path, lambda text: GERMAN, JAPANESE)
    assert GERMAN in page and JAPANESE in page


async def test_a_refused_translation_shows_the_text_with_the_reason(
    counter: Counter, operators: Operators, inbox: Inbox, tmp_path: Path
) -> None:
    page = await opened(counter, operators, inbox, tmp_path, lambda text: "nein", JAPANESE)
    assert JAPANESE in page and "Not translated" in page


async def test_a_model_that_is_away_is_not_asked_without_end(
    counter: Counter, operators: Operators, inbox: Inbox, tmp_path: Path
) -> None:
    def away(text: str) -> str:
        raise EngineUnavailable("The server is away.")

    page = await opened(counter, operators, inbox, tmp_path, away, JAPANESE)
    assert "Not translated: " in page and "The server is away." in page


async def test_a_message_in_a_language_of_the_operator_is_not_translated(
    counter: Counter, operators: Operators, inbox: Inbox, tmp_path: Path
) -> None:
    asked = list[str]()

    def model(text: str) -> str:
        asked.append(text)
        return GERMAN

    french = "Bonjour, ma commande n'est pas encore arrivée et je voudrais savoir pourquoi."
    assert "Bonjour, ma commande" in await opened(counter, operators, inbox, tmp_path, model, french)
    assert asked == []
