"""Translate messages in the background for operators who look at them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from time import monotonic

from cachetools import TTLCache

from qwendesk.desk.interpreter.interpreter import Interpreter, OriginalMessage
from qwendesk.desk.interpreter.translator import languages_of_text
from qwendesk.errors import QwendeskError

_PAUSE_SECONDS = 60.0
"""Time after which a message that has no translation yet is looked at again."""
_MAX_LOOKED_AT = 10_000
_MAX_WAITING = 200
"""Messages that wait; older pages ask for theirs again."""
log = logging.getLogger(__name__)


class BackgroundReader:
    """Translates messages one after the other; their readers see the originals meanwhile.

    Args:
        interpreter: translates and stores.
    """

    def __init__(self, interpreter: Interpreter) -> None:
        self._interpreter = interpreter
        self._waiting: dict[tuple[str, str], tuple[OriginalMessage, frozenset[str]]] = {}
        self._looked_at: TTLCache[tuple[str, str], float] = TTLCache(_MAX_LOOKED_AT, _PAUSE_SECONDS)
        self._task: asyncio.Task[None] | None = None

    def read(self, messages: Iterable[OriginalMessage], languages: Sequence[str], *, loaded_at: float) -> bool:
        """Begin to translate stored messages; return whether one of them is not done yet.

        Args:
            messages: the messages without a translation, the newest first.
            languages: the languages that the reader reads; messages in others are translated into the first one.
            loaded_at: when the messages were loaded, by ``time.monotonic``; what is done since then is not seen yet.
        """
        if not languages:
            return False
        is_waiting = False
        for message in messages:
            key = (message.id or "", languages[0])
            done_at = self._looked_at.get(key)
            if not message.id or done_at is not None:
                is_waiting |= done_at is not None and done_at >= loaded_at
                continue
            if len(self._waiting) < _MAX_WAITING:
                self._waiting.setdefault(key, (message, frozenset(languages)))
            is_waiting = True
        if self._waiting and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._run())
        return is_waiting

    async def aclose(self) -> None:
        """Stop; what is not translated is translated when somebody looks at it again."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while self._waiting:
            key, (message, languages) = next(iter(self._waiting.items()))
            try:
                written = await asyncio.to_thread(languages_of_text, message.text, message.language)
                if not written or not written <= languages:
                    await self._interpreter.interpret_for_operator(message, key[1])
            except QwendeskError as error:
                log.warning("A message is shown as it was written: %s", error)
            finally:
                self._looked_at[key] = monotonic()
                self._waiting.pop(key, None)
