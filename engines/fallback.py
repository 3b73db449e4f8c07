"""Ask the selected model; if it cannot answer, ask the next one of the fallback chain."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass, replace
from typing import Any, cast

from langchain_core.messages import AIMessageChunk, BaseMessage

from qwendesk.engines.base import Progress
from qwendesk.engines.chat import QwenChat
from qwendesk.errors import EngineFailed, EngineTimeout, EngineUnavailable, ModelStoreError, QwendeskError
from qwendesk.models.card import SelectedModel

FALLBACK_ERRORS: tuple[type[QwendeskError], ...] = (EngineUnavailable, EngineFailed, EngineTimeout, ModelStoreError)
"""Errors after which another model is asked; every model would refuse a message that one refused."""
_MODALITIES = {"image_url": "vision", "input_audio": "audio"}
"""The capability that a model needs for each type of message part."""
_MAX_DOUBLINGS = 32


class Cooldowns:
    """Pauses of models that failed lately.

    Args:
        first: seconds of the pause after the first failure; each further failure doubles it.
        longest: seconds of the longest pause.
        clock: a clock in seconds.
    """

    def __init__(self, first: float, longest: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._first, self._longest, self._clock = first, longest, clock
        self._failed: dict[str, tuple[int, float]] = {}
        self._reasons: dict[str, str] = {}

    def remaining(self, name: str) -> float:
        """Return the seconds that are left of the model's pause; 0 if it may be asked."""
        return max(0.0, self._failed.get(name, (0, 0.0))[1] - self._clock())

    def explain(self, name: str) -> str:
        """Return why a model is paused, and for how long."""
        return f"{name} failed lately and is asked again in {self.remaining(name):.0f} s: {self._reasons.get(name, '')}"

    def record_failure(self, name: str, reason: str = "") -> None:
        """Start or double the pause; failures during a pause (of concurrent requests) are not counted."""
        if self.remaining(name):
            return
        times = self._failed.get(name, (0, 0.0))[0]
        # bounded, because a server that is down for days would overflow the float
        seconds = min(self._longest, self._first * 2.0 ** min(times, _MAX_DOUBLINGS))
        self._failed[name] = times + 1, self._clock() + seconds
        self._reasons[name] = reason

    def record_success(self, name: str) -> None:
        """Reset the count of failures."""
        self._failed.pop(name, None)


@dataclass(frozen=True, slots=True)
class ModelAccess:
    """The functions of the pool that the fallback chain uses."""

    load: Callable[[SelectedModel, Progress], Awaitable[QwenChat]]
    slot: Callable[[SelectedModel, Callable[[str], None]], AbstractAsyncContextManager[None]]
    """Wait for and hold a slot of the model's request queue."""
    fallbacks: Callable[[SelectedModel, frozenset[str]], AsyncIterator[SelectedModel]]
    """Yield the models that may replace one and that have the given capabilities."""
    cooldowns: Cooldowns


class FallbackChat:
    """One answer of the selected model or of its replacement; ``choice`` is the model that answers.

    A model that fails before the first piece of its answer is replaced; a later error ends the answer.
    """

    def __init__(self, access: ModelAccess, choice: SelectedModel, progress: Progress) -> None:
        self._access = access
        self._progress = progress
        self.choice = choice

    async def stream(self, messages: Sequence[BaseMessage], **options: Any) -> AsyncGenerator[AIMessageChunk, None]:
        """Yield the pieces of the answer; ``options`` are those of ``QwenChat``.

        Raises:
            EngineError: no model could answer; the text lists the models that were asked and why each could not.
        """
        asked, reasons, errors = self.choice, list(self.choice.skipped), list[QwendeskError]()
        async with aclosing(self._candidates(asked, messages)) as candidates:
            async for choice in candidates:
                if choice is not asked and self._access.cooldowns.remaining(choice.name):
                    reasons.append(self._access.cooldowns.explain(choice.name))
                    continue
                self._announce(choice, asked, reasons)
                has_begun = False
                try:
                    async with aclosing(self._ask(choice, messages, options)) as pieces:
                        async for piece in pieces:
                            has_begun = True
                            yield piece
                except QwendeskError as error:
                    self._record(choice, error, has_begun, is_fallback=choice is not asked)
                    reasons.append(f"{choice.name} could not answer: {error}")
                    errors.append(error)
                else:
                    self._access.cooldowns.record_success(choice.name)
                    return
        raise no_model_answered(reasons) if len(reasons) > 1 else errors[0]

    async def _candidates(
        self, asked: SelectedModel, messages: Sequence[BaseMessage]
    ) -> AsyncGenerator[SelectedModel, None]:
        yield asked
        if not asked.pinned:
            async for other in self._access.fallbacks(asked, _required_modalities(messages)):
                yield other

    def _announce(self, choice: SelectedModel, asked: SelectedModel, reasons: Sequence[str]) -> None:
        """Report a model that replaces the selected one."""
        if choice is asked:
            return
        # reasons can name addresses of the internal network: they go into the receipt, not into progress
        self._progress(f"{self.choice.name} cannot answer; asking {choice.name}", None)
        self.choice = as_fallback(choice, reasons)

    async def _ask(
        self, choice: SelectedModel, messages: Sequence[BaseMessage], options: dict[str, Any]
    ) -> AsyncGenerator[AIMessageChunk, None]:
        model = await self._access.load(choice, self._progress)
        supported = options if choice.card.tools else {key: value for key, value in options.items() if key != "tools"}
        async with self._access.slot(choice, lambda text: self._progress(text, None)):
            stream = cast(AsyncGenerator[AIMessageChunk, None], model.astream(list(messages), **supported))
            async with aclosing(stream):
                async for piece in stream:
                    yield piece

    def _record(self, choice: SelectedModel, error: QwendeskError, has_begun: bool, *, is_fallback: bool) -> None:
        """Pause the model; raise the error if no other model may be asked."""
        if isinstance(error, FALLBACK_ERRORS):
            self._access.cooldowns.record_failure(choice.name, str(error))
        if has_begun or not (is_fallback or isinstance(error, FALLBACK_ERRORS)):
            raise error


def as_fallback(choice: SelectedModel, reasons: Sequence[str]) -> SelectedModel:
    """Return a model that answers in place of others; ``reasons`` says why each of them does not."""
    return replace(
        choice, fallback_reason=f"{'; '.join(reasons)}; {choice.name} answers instead", skipped=tuple(reasons)
    )


def no_model_answered(reasons: Sequence[str]) -> EngineUnavailable:
    """Return the error for a chain without a model that can answer."""
    return EngineUnavailable("No model could answer. " + " ".join(f"{each.rstrip('. ')}." for each in reasons))


def _required_modalities(messages: Sequence[BaseMessage]) -> frozenset[str]:
    """Return the fields of a model card that have to be true for these messages."""
    parts = [part for message in messages if isinstance(message.content, list) for part in message.content]
    kinds = {part.get("type") for part in parts if isinstance(part, dict)}
    return frozenset(modality for kind, modality in _MODALITIES.items() if kind in kinds)
