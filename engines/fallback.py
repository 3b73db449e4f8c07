"""Ask a model, and where it cannot answer, the next one of the chain."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass, replace
from typing import Any, cast

from langchain_core.messages import AIMessageChunk, BaseMessage

from qwendesk.engines.base import Progress, QwenChat
from qwendesk.engines.selected_model import Choice
from qwendesk.errors import EngineFailed, EngineTimeout, EngineUnavailable, ModelStoreError, QwendeskError

FALLS_OVER: tuple[type[QwendeskError], ...] = (EngineUnavailable, EngineFailed, EngineTimeout, ModelStoreError)
"""Errors for which another model may do better; a question that was refused is refused everywhere."""


class Cooldowns:
    """Which models failed lately and are not asked for a while.

    Args:
        first: seconds after the first failure; each further one doubles them.
        most: longest time.
        clock: a clock in seconds.
    """

    def __init__(self, first: float, most: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._first, self._most, self._clock = first, most, clock
        self._failed: dict[str, tuple[int, float]] = {}
        self._why: dict[str, str] = {}

    def rests(self, name: str) -> float:
        """Return for how many seconds the model is not to be asked; 0: ask it."""
        return max(0.0, self._failed.get(name, (0, 0.0))[1] - self._clock())

    def told(self, name: str) -> str:
        """Say of a model that rests since when it does and why."""
        return f"{name} failed lately and is asked again in {self.rests(name):.0f} s: {self._why.get(name, '')}"

    def failed(self, name: str, why: str = "") -> None:
        """Note a failure; of questions that were asked side by side, all of which fail, only the first counts."""
        if self.rests(name):
            return
        times = self._failed.get(name, (0, 0.0))[0]
        # a server that is down for days must not lead to a number without end
        seconds = min(self._most, self._first * 2.0 ** min(times, 32))
        self._failed[name] = times + 1, self._clock() + seconds
        self._why[name] = why

    def answered(self, name: str) -> None:
        """Forget the failures."""
        self._failed.pop(name, None)


_SENSES = {"image_url": "vision", "input_audio": "audio"}
"""What a model needs for the parts of a message."""


@dataclass(frozen=True, slots=True)
class Reach:
    """How the chain gets at models; the pool has it."""

    load: Callable[[Choice, Progress], Awaitable[QwenChat]]
    place: Callable[[Choice, Callable[[str], None]], AbstractAsyncContextManager[None]]
    """A place in the model's line."""
    others: Callable[[Choice, frozenset[str]], AsyncIterator[Choice]]
    """The models that may stand in for one, and that see or hear where that is needed."""
    cooldowns: Cooldowns


class Answering:
    """One answer of a model, or of who stands in for it; ``choice`` is who it is.

    A model that fails before anything of its answer was seen is passed over; after that its error is the answer's.
    """

    def __init__(self, reach: Reach, choice: Choice, progress: Progress) -> None:
        self._reach = reach
        self._progress = progress
        self.choice = choice

    async def stream(self, messages: Sequence[BaseMessage], **options: Any) -> AsyncGenerator[AIMessageChunk, None]:
        """Yield the answer's pieces; ``options`` are those of ``QwenChat``.

        Raises:
            EngineError: nobody could answer; the text says who was asked and why each could not.
        """
        asked, tried, errors = self.choice, list(self.choice.passed_over), list[QwendeskError]()
        async with aclosing(self._candidates(asked, messages)) as candidates:
            async for choice in candidates:
                if choice is not asked and self._reach.cooldowns.rests(choice.name):
                    tried.append(self._reach.cooldowns.told(choice.name))
                    continue
                self._step(choice, asked, tried)
                seen = False
                try:
                    async with aclosing(self._ask(choice, messages, options)) as pieces:
                        async for piece in pieces:
                            seen = True
                            yield piece
                except QwendeskError as error:
                    self._note(choice, error, seen, standby=choice is not asked)
                    tried.append(f"{choice.name} could not answer: {error}")
                    errors.append(error)
                else:
                    self._reach.cooldowns.answered(choice.name)
                    return
        raise nobody(tried) if len(tried) > 1 else errors[0]

    async def _candidates(self, asked: Choice, messages: Sequence[BaseMessage]) -> AsyncGenerator[Choice, None]:
        yield asked
        if not asked.pinned:
            async for other in self._reach.others(asked, _senses(messages)):
                yield other

    def _step(self, choice: Choice, asked: Choice, tried: Sequence[str]) -> None:
        """Say who is asked now, where it is not the one who was asked for."""
        if choice is asked:
            return
        # the reasons may name addresses inside of a network: they are for the receipt
        self._progress(f"{self.choice.name} cannot answer; asking {choice.name}", None)
        self.choice = standing_in(choice, tried)

    async def _ask(
        self, choice: Choice, messages: Sequence[BaseMessage], options: dict[str, Any]
    ) -> AsyncGenerator[AIMessageChunk, None]:
        model = await self._reach.load(choice, self._progress)
        fitting = options if choice.card.tools else {key: value for key, value in options.items() if key != "tools"}
        async with self._reach.place(choice, lambda text: self._progress(text, None)):
            stream = cast(AsyncGenerator[AIMessageChunk, None], model.astream(list(messages), **fitting))
            async with aclosing(stream):
                async for piece in stream:
                    yield piece

    def _note(self, choice: Choice, error: QwendeskError, seen: bool, *, standby: bool) -> None:
        """Let the model rest; raise the error where nobody else may be asked."""
        if isinstance(error, FALLS_OVER):
            self._reach.cooldowns.failed(choice.name, str(error))
        if seen or not (standby or isinstance(error, FALLS_OVER)):
            raise error


def _senses(messages: Sequence[BaseMessage]) -> frozenset[str]:
    """Return what a model has to be able to, beside reading: the names of a card's fields."""
    parts = [part for message in messages if isinstance(message.content, list) for part in message.content]
    kinds = {part.get("type") for part in parts if isinstance(part, dict)}
    return frozenset(sense for kind, sense in _SENSES.items() if kind in kinds)


def standing_in(choice: Choice, tried: Sequence[str]) -> Choice:
    """Return the choice of a model that answers in the place of others; ``tried`` says why each of them does not."""
    return replace(choice, fallback=f"{'; '.join(tried)}; {choice.name} stands in", passed_over=tuple(tried))


def nobody(tried: Sequence[str]) -> EngineUnavailable:
    """Return the error for a chain of which nobody could answer."""
    return EngineUnavailable("No model could answer. " + " ".join(f"{each.rstrip('. ')}." for each in tried))
