"""Offer a larger model at the prompt, and fetch it while the conversation goes on."""

from __future__ import annotations

import asyncio

from qwendesk.cli.chat.console_channel import ConsoleChannel
from qwendesk.cli.models.larger_model import OfferDecisions, fetch_obstacle, missing_larger_model
from qwendesk.engines.pool import ModelPool
from qwendesk.errors import QwendeskError
from qwendesk.models.card import ModelCard, SelectedModel
from qwendesk.models.recommend import estimate_size_gb
from qwendesk.settings import STARTER_MODEL

_YES = ("y", "yes")
_NO = ("n", "no")


class LargerModelOffer:
    """The offer of one model: the next line may answer it.

    Args:
        pool: fetches and loads the model.
        card: the model.
        console: shows the offer and the progress.
    """

    def __init__(self, pool: ModelPool, card: ModelCard, console: ConsoleChannel) -> None:
        self._pool = pool
        self._card = card
        self._announce = console.announce
        self._show_status = console.show_status
        self._decisions = OfferDecisions(pool.settings)
        self._is_open = False
        self._fetching: asyncio.Task[None] | None = None
        self._fraction = 0.0

    async def begin(self) -> None:
        """Offer the model, or go on with a download that the person wished for."""
        name = self._card.name
        if await asyncio.to_thread(self._decisions.get, name) == "yes":
            self._announce(f"Fetching the rest of {name} in the background; it answers when it is here.")
            self._start()
            return
        self._is_open = True
        self._announce(
            f"{name} gets about twice as much right at half the speed ({estimate_size_gb(self._card):.1f} GB): "
            "y fetches it in the background, n ends this offer."
        )

    async def take(self, line: str) -> bool:
        """Return whether a line answers the offer; any other text leaves it for the next conversation."""
        if not self._is_open or line.startswith("/"):
            return False
        self._is_open = False
        name, word = self._card.name, line.strip().rstrip(".!").lower()
        if word in _YES:
            await asyncio.to_thread(self._decisions.remember, name, "yes")
            self._announce(f"Fetching {name}; ask meanwhile.")
            self._start()
        elif word in _NO:
            await asyncio.to_thread(self._decisions.remember, name, "no")
            self._announce(f"It is not offered again; 'qwendesk models pull {name}' fetches it.")
        return word in (*_YES, *_NO)

    async def stop(self) -> None:
        """Stop a download; what has arrived is kept."""
        if self._fetching is None or self._fetching.done():
            return
        self._fetching.cancel()
        await asyncio.gather(self._fetching, return_exceptions=True)
        self._announce(f"{self._fraction:.0%} of {self._card.name} are here; the next conversation fetches the rest.")

    def _start(self) -> None:
        self._fetching = asyncio.create_task(self._fetch())

    async def _fetch(self) -> None:
        name = self._card.name
        try:
            await self._pool.fetch(name, self._progress)
            await asyncio.to_thread(self._decisions.remember, name, None)
            self._show_status(f"Loading {name}")
            # a model in memory is preferred to loading another, and the next answer need not wait for it
            await self._pool.load(await self._pool.find(name))
        except QwendeskError as error:
            await asyncio.to_thread(self._decisions.remember, name, None)
            self._announce(f"{name} does not answer yet: {error}")
        else:
            self._announce(f"{name} is here and answers from now on.")
        finally:
            self._show_status(None)

    def _progress(self, text: str, fraction: float | None) -> None:
        self._fraction = fraction if fraction is not None else self._fraction
        self._show_status(text if fraction is None else f"{text} ({fraction:.0%})")


async def card_to_offer(pool: ModelPool, choice: SelectedModel | None) -> ModelCard | None:
    """Return the model that may replace the starter model.

    None: another model answers, it is here already, it was refused, or the machine has no room for it.

    Args:
        pool: the models of the desk.
        choice: the model that answers now.
    """
    is_starter = choice is not None and choice.card.name == STARTER_MODEL and not choice.pinned
    card = await missing_larger_model(pool) if is_starter else None
    if card is None or await asyncio.to_thread(OfferDecisions(pool.settings).get, card.name) == "no":
        return None
    return None if await asyncio.to_thread(fetch_obstacle, card, pool.settings) else card
