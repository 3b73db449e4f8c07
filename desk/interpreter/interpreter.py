"""Translate the messages of a ticket for their readers, each once; both texts are kept."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from functools import partial
from hashlib import sha256

from qwendesk.desk.interpreter.canned import CannedAnswers
from qwendesk.desk.interpreter.stored import StoredTranslations
from qwendesk.desk.interpreter.translator import Translation, TranslationStatus, Translator, parse_language
from qwendesk.errors import ConfigError
from qwendesk.routing.signals.language import base_language
from qwendesk.settings import TranslationSettings
from qwendesk.text_caches import Forgotten

_MAX_REMEMBERED = 500
"""Translations that a process remembers by the hash of their texts."""


@dataclass(frozen=True, slots=True)
class OriginalMessage:
    """A message as it was written."""

    text: str
    id: str | None = None
    """Id of the stored message, with which its translation is stored; None: it is not stored."""
    language: str | None = None
    """The language that its author is known to write, as a code."""
    languages: tuple[str, ...] = ()
    """All languages that its author is known to write, as codes."""
    names: tuple[str, ...] = ()
    """Names that stay unchanged, such as those of the customer and the operator."""


class Interpreter:
    """Translates between customers and operators.

    Args:
        translator: translates a text.
        stored: the translations of stored messages.
        settings: the table ``[translation]``.
        canned: texts that a person has written or reviewed in several languages; None: there are none.
    """

    def __init__(
        self,
        translator: Translator,
        stored: StoredTranslations,
        settings: TranslationSettings,
        canned: CannedAnswers | None = None,
    ) -> None:
        self._canned = canned
        self._translator = translator
        self._stored = stored
        self._settings = settings
        self._running: dict[str, asyncio.Task[Translation]] = {}
        self._remembered: OrderedDict[str, Translation] = OrderedDict()

    async def interpret_for_customer(self, message: OriginalMessage, language: str | None) -> Translation:
        """Return an operator's message as its customer gets it; the original if it cannot be translated.

        Args:
            message: the operator's message.
            language: the customer's language; None: it is not known, so the original is sent.
        """
        return await self._interpret(message, language, language, is_outgoing=True)

    async def interpret_for_operator(self, message: OriginalMessage, language: str | None) -> Translation:
        """Return a customer's message, or the bot's answer, in the language of an operator.

        Args:
            message: the message.
            language: the operator's preferred language; None: the original is shown.
        """
        return await self._interpret(message, language, message.language)

    async def outgoing_text(self, conversation_id: str, sequence: int | None) -> str | None:
        """Return the text of an operator's stored message as its customer gets it; None if there is no such message."""
        found = await self._stored.outgoing(conversation_id, sequence) if sequence is not None else None
        if found is None:
            return None
        message = OriginalMessage(
            found.text,
            found.message_id,
            next(iter(found.operator_languages), None),
            found.operator_languages,
            found.names,
        )
        return (await self.interpret_for_customer(message, found.customer_language)).text

    async def drop(self, _: Forgotten) -> None:
        """Drop the remembered texts, because a person is forgotten."""
        self._remembered.clear()

    async def _interpret(
        self, message: OriginalMessage, language: str | None, customer: str | None, *, is_outgoing: bool = False
    ) -> Translation:
        original = Translation(message.text, "off", language or "", message.language)
        if not language or not self._settings.enabled or not self._is_wanted(customer):
            return original
        try:
            target = parse_language(language)
        except ConfigError:  # a language that is not told apart: nothing could be checked
            return original
        if message.id and (stored := await self._stored.find(message.id, target, message.text)):
            return stored
        reviewed = await self._reviewed(message, target) if is_outgoing else None
        made = reviewed or await self._once(message, target)
        if message.id and made.status != "same":
            await self._stored.put(message.id, made)
        return made

    async def _reviewed(self, message: OriginalMessage, target: str) -> Translation | None:
        """Return what a person has written or reviewed for a canned answer; None: it is none, or another text."""
        found = await self._canned.counterpart(message.text, target) if self._canned else None
        if found is None:
            return None
        status: TranslationStatus = "same" if found.text.strip() == message.text.strip() else "done"
        return Translation(found.text, status, target, message.language)

    def _is_wanted(self, customer: str | None) -> bool:
        """Return whether messages of customers with a language are translated."""
        wanted = {base_language(code) for code in self._settings.languages}
        return not wanted or customer is None or base_language(customer) in wanted

    async def _once(self, message: OriginalMessage, target: str) -> Translation:
        """Translate a text that is not being translated by another call, and was not translated before."""
        parts = (target, message.language or "", *message.languages, "", *message.names, message.text)
        key = sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
        if found := self._remembered.get(key):
            return found
        task = self._running.get(key)
        if task is None:
            task = asyncio.create_task(self._translate(message, target))
            self._running[key] = task
            task.add_done_callback(partial(self._finish, key))
        # a caller that goes away does not stop the translation for the others
        return await asyncio.shield(task)

    async def _translate(self, message: OriginalMessage, target: str) -> Translation:
        try:
            return await self._translator.translate(
                message.text, target, message.language, names=message.names, languages=message.languages
            )
        except ConfigError as error:
            return Translation(message.text, "failed", target, message.language, reason=str(error))

    def _finish(self, key: str, task: asyncio.Task[Translation]) -> None:
        self._running.pop(key, None)
        if not task.cancelled() and task.exception() is None and task.result().status in ("done", "same"):
            self._remembered[key] = task.result()
            while len(self._remembered) > _MAX_REMEMBERED:
                self._remembered.popitem(last=False)
