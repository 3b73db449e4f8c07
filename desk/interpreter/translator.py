"""Translate a message by a model, line by line, and check every line."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, Protocol

from langchain_core.messages import HumanMessage, SystemMessage

from qwendesk.agents.roles import is_small
from qwendesk.desk.interpreter.checks import TranslationFault, check_unit, check_whole, weight
from qwendesk.desk.interpreter.glossary import FILE_NAME, Glossary, read_glossary
from qwendesk.desk.interpreter.marks import Masked, Restored, mask, restore
from qwendesk.desk.interpreter.notes import reading_notes
from qwendesk.desk.interpreter.parts import Part, has_words, own_and_quoted, split_message
from qwendesk.desk.interpreter.tokens import find_tokens, without_tokens
from qwendesk.engines.pool import ModelPool
from qwendesk.errors import ConfigError, EngineError, QwendeskError, did_you_mean
from qwendesk.prompts import render
from qwendesk.routing.signals.language import (
    are_similar,
    base_language,
    english_name,
    identify_language,
    language_code,
    language_codes,
)
from qwendesk.settings import TranslationSettings

TranslationStatus = Literal["same", "done", "refused", "failed", "off"]
"""``same``: the original is in the language already. ``refused``: the result failed a check. ``failed``: no model
answered in time. ``off``: translation is switched off for the message."""
_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"translation": {"type": "string"}},
    "required": ["translation"],
    "additionalProperties": False,
}
_MIN_IDENTIFIED_WEIGHT = 20.0
"""Weight of a text from which its own language is trusted before the one that its author is known to write."""
_MIN_KEPT_WEIGHT = 40.0
"""Weight of a line from which it stays as it is if it is in the language of the translation."""
_TRIES = 3
"""Most times that a line is translated."""
_FORCED = "the model left codes or numbers out at first: look at their places"
_TOKENS_PER_CHAR = 3
_TAGS = re.compile(r"</?text>")


@dataclass(frozen=True, slots=True)
class Translation:
    """A text in another language, or why there is none."""

    text: str
    """The translation; the original where the status is not ``done``."""
    status: TranslationStatus
    language: str
    """The language of the translation, as an ISO 639-1 code."""
    source_language: str | None = None
    """The language of the original; None if it is not known."""
    reason: str = ""
    """Why there is no translation, in words."""
    doubts: tuple[str, ...] = ()
    """What a reader should look at, in words."""
    model: str | None = None
    """The model that translated, as ``engine:name``."""


class Translator(Protocol):
    """The port of a translator."""

    async def translate(
        self,
        text: str,
        language: str,
        source_language: str | None = None,
        *,
        names: Iterable[str] = (),
        languages: Iterable[str] = (),
        model: str | None = None,
    ) -> Translation:
        """Return a text in a language; it raises no error for a text that cannot be translated.

        Args:
            text: the text.
            language: the code of the language to translate into.
            source_language: the language that the author is known to write; a longer text's own one comes first.
            names: names that stay unchanged besides those of the glossary, such as the people's own.
            languages: all languages that the author is known to write.
            model: the model to ask; None: that of the settings.

        Raises:
            ConfigError: the language is unknown, or the settings are invalid.
        """


@dataclass(frozen=True, slots=True)
class _Job:
    """What is the same for all lines of a message."""

    language: str
    source: str | None
    glossary: Glossary
    model: str | None


@dataclass(frozen=True, slots=True)
class _Line:
    """A translated line."""

    text: str
    faults: tuple[TranslationFault, ...] = ()
    doubts: tuple[str, ...] = ()
    model: str | None = None
    prose: str = ""
    """The translation without tokens."""

    @property
    def is_usable(self) -> bool:
        """Whether no fault is fatal."""
        return not any(fault.is_fatal for fault in self.faults)

    @property
    def is_clean(self) -> bool:
        """Whether there is no fault."""
        return not self.faults


class _Refused(Exception):
    """A line could not be translated without a fault."""


@dataclass(slots=True)
class ModelTranslator:
    """Translates by the models of the pool.

    Args:
        pool: the models.
        settings: the table ``[translation]``.
        prompts: folder of the user's prompts.
        data_dir: folder of the glossary, where the settings name no file.
    """

    pool: ModelPool
    settings: TranslationSettings
    prompts: Path | None = None
    data_dir: Path | None = None
    _glossary: tuple[int, Glossary] | None = field(default=None, init=False)

    async def translate(
        self,
        text: str,
        language: str,
        source_language: str | None = None,
        *,
        names: Iterable[str] = (),
        languages: Iterable[str] = (),
        model: str | None = None,
    ) -> Translation:
        """Return a text in a language; see ``Translator``."""
        target = parse_language(language)
        kept = await asyncio.to_thread(self.glossary)
        glossary = Glossary(kept.terms, tuple(dict.fromkeys([*kept.names, *filter(None, names)])))
        own, quoted = _own_and_quoted(text, glossary.names)
        source = language_of_text(own, source_language, glossary.names)
        if is_written_in(own, target, source_language, languages, glossary.names):
            source = target
        quoted_source = language_of_text(quoted, source, glossary.names) if quoted else source
        original = Translation(text, "same", target, source)
        if source == quoted_source == target or not has_words(text, glossary.names):
            return original
        if len(text) > self.settings.max_chars:
            reason = f"it has {len(text)} characters, {self.settings.max_chars} are translated at most"
            return replace(original, status="refused", reason=reason)
        job = _Job(target, source, glossary, model or self._model_for(source, target))
        of_quotes = replace(job, source=quoted_source, model=model or self._model_for(quoted_source, target))
        try:
            async with asyncio.timeout(self.settings.timeout):
                return await self._translated(text, job, of_quotes, original)
        except _Refused as error:
            return replace(original, status="refused", reason=str(error))
        except TimeoutError:
            reason = f"the translation took longer than {self.settings.timeout:g} seconds"
            return replace(original, status="failed", reason=reason)
        except ConfigError:
            raise
        except QwendeskError as error:
            return replace(original, status="failed", reason=str(error))

    def glossary(self) -> Glossary:
        """Return the glossary of the settings; a changed file is read again.

        Raises:
            ConfigError: the file cannot be read.
        """
        path = self.settings.glossary or (self.data_dir / FILE_NAME if self.data_dir else None)
        if path is None:
            return Glossary()
        try:
            stamp = path.expanduser().stat().st_mtime_ns
        except OSError:
            stamp = 0
        if self._glossary is None or self._glossary[0] != stamp:
            self._glossary = stamp, read_glossary(path.expanduser())
        return self._glossary[1]

    def _model_for(self, source: str | None, target: str) -> str | None:
        pairs = self.settings.pairs
        keys = (f"{source}-{target}", f"{source}-*", f"*-{target}", "*-*")
        return next((pairs[key] for key in keys if key in pairs), self.settings.model)

    async def _translated(self, text: str, of_own: _Job, of_quotes: _Job, original: Translation) -> Translation:
        pieces, doubts, models = list[str](), list[str](), list[str]()
        known = dict[str, _Line]()
        job = of_own
        for part in split_message(text, job.glossary.names):
            job = of_quotes if part.is_quoted else of_own
            if not part.is_translated or job.source == job.language or self._is_in_language(part, job):
                pieces.append(part.text)
                continue
            line = known.get(part.text) or await self._line(part.text, job)
            known[part.text] = line
            if not line.is_usable:
                raise _Refused("; ".join(dict.fromkeys(fault.text for fault in line.faults if fault.is_fatal)))
            pieces.append(line.text)
            doubts += [*line.doubts, *(fault.text for fault in line.faults)]
            models += [line.model] if line.model else []
        if not models:
            return original
        job = of_own
        names = job.glossary.names
        lines = [(without_tokens(source, find_tokens(source, names)), line.prose) for source, line in known.items()]
        whole = check_whole(lines, job.language)
        if fatal := [fault.text for fault in whole if fault.is_fatal]:
            raise _Refused("; ".join(dict.fromkeys(fatal)))
        if job.source is None:
            doubts.append("the language of the original is not certain")
        doubts += reading_notes(find_tokens(text, job.glossary.names), job.source, job.language)
        return replace(
            original, text="".join(pieces), status="done", doubts=tuple(dict.fromkeys(doubts)), model=models[-1]
        )

    def _is_in_language(self, part: Part, job: _Job) -> bool:
        """Return whether a line of a mixed message is in the language of the translation already."""
        words = without_tokens(part.text, find_tokens(part.text, job.glossary.names))
        return weight(words) >= _MIN_KEPT_WEIGHT and identify_language(words) == job.language

    async def _line(self, text: str, job: _Job) -> _Line:
        """Translate one line with marks, and again if it has a fault; return the best result.

        The second try is without marks where the model has left some out: it may copy codes better than these. The
        third one is written under a grammar that has all marks in their order.
        """
        names = job.glossary.names
        tokens = find_tokens(text, names)
        masked = mask(text, tokens, job.glossary.places(text, tokens, job.source, job.language), names)
        tries, is_marked = list[tuple[str, _Line]](), True
        for number in range(_TRIES):
            faults = tries[-1][1].faults if tries else ()
            marks = masked.marks if is_marked else ()
            is_forced = bool(marks) and number == _TRIES - 1
            schema = _schema_with(marks) if is_forced else _SCHEMA
            try:
                output, model = await self._ask(masked.text if is_marked else masked.plain, job, faults, marks, schema)
            except EngineError:
                if not is_forced:  # a server may not know patterns in schemas
                    raise
                break
            line = self._checked(text, masked, restore(output, masked), job, model)
            line = replace(line, doubts=(_FORCED,)) if is_forced else line
            tries.append((output, line))
            if line.is_clean:
                break
            is_marked = not (is_marked and any(fault.kind in ("token", "term", "order") for fault in line.faults))
        if masked.originals and not any(line.is_usable for _, line in tries):
            tries += [(output, self._repaired(output, text, masked, job, line.model)) for output, line in tries]
        return min((line for _, line in tries), key=_rank)

    def _repaired(self, output: str, text: str, masked: Masked, job: _Job, model: str | None) -> _Line:
        """Return a line whose only missing token takes the place of the only extra one."""
        line = self._checked(text, masked, restore(output, masked, by_elimination=True), job, model)
        return replace(line, doubts=("a code or number was put back in its place",))

    def _checked(self, text: str, masked: Masked, restored: Restored, job: _Job, model: str | None) -> _Line:
        faults = check_unit(text, masked, restored, job.source, job.language)
        return _Line(restored.text.strip(), tuple(faults), model=model, prose=restored.prose)

    async def _ask(
        self, text: str, job: _Job, faults: Sequence[TranslationFault], marks: Sequence[str], schema: dict[str, Any]
    ) -> tuple[str, str]:
        """Return the model's translation of a line, and the model's name."""
        choice = await self.pool.choose("general", job.model, fetch=False)
        if choice is None:
            raise ConfigError(f"The model {job.model!r} does not answer texts; set 'model' in [translation].")
        if job.model is None and is_small(choice.card):
            # its sentences are often wrong, and a person's name stands under them
            raise _Refused(f"{choice.name} is too small to translate by default; set 'model' in [translation]")
        system = render(
            "translate",
            folder=self.prompts,
            source=english_name(job.source),
            target=english_name(job.language),
            marks=", ".join(marks),
            faults="; ".join(fault.text for fault in faults),
        )
        asked = f"Translate this text to {english_name(job.language)}:\n<text>\n{text}\n</text>"
        answering = self.pool.fallback_chat(choice)
        limit = 40 + _TOKENS_PER_CHAR * len(text)
        pieces = [
            piece.text
            async for piece in answering.stream(
                [SystemMessage(system), HumanMessage(asked)],
                think=False,
                temperature=0.0,
                max_tokens=limit,
                json_schema=schema,
            )
        ]
        return _translation_in("".join(pieces)), answering.choice.name


def _schema_with(marks: Sequence[str]) -> dict[str, Any]:
    """Return a schema of an answer that has the marks, each once and in their order."""
    if not marks:
        return _SCHEMA
    between = r'[^"\\\[\]\n]*'
    pattern = between + "".join(f"\\[{number}\\]{between}" for number, _ in enumerate(marks, 1))
    return {**_SCHEMA, "properties": {"translation": {"type": "string", "pattern": f"^{pattern}$"}}}


def parse_language(language: str) -> str:
    """Return the ISO 639-1 code of a language by a code such as ``pt-BR``, or an English name.

    Raises:
        ConfigError: the language is not supported.
    """
    code = base_language(language)
    found = code if code in language_codes() else language_code(language)
    if found is None:
        names = [name for one in language_codes() if (name := english_name(one))]
        hint = did_you_mean([language.strip().title()], names)
        raise ConfigError(f"There is no language {language!r} among the {len(names)} that are told apart.{hint}")
    return found


def languages_of_text(text: str, known: str | None) -> set[str]:
    """Return the languages of a message: that of its author's words, and that of what is quoted in it."""
    own, quoted = _own_and_quoted(text, ())
    written = language_of_text(own, known)
    found = {written, language_of_text(quoted, written) if quoted else None}
    return {language for language in found if language}


def _own_and_quoted(text: str, names: Sequence[str]) -> tuple[str, str]:
    """Return the author's words and the quoted ones; a message that only quotes is the author's."""
    own, quoted = own_and_quoted(text)
    return (own, quoted) if has_words(own, names) else (text, "")


def language_of_text(text: str, known: str | None, names: Sequence[str] = ()) -> str | None:
    """Return the language of a text: its own where it is long enough, else the one its author is known to write."""
    words = without_tokens(text, find_tokens(text, names))
    found = identify_language(words)
    stated = base_language(known) or None
    if found is None or (stated and (are_similar(found, stated) or weight(words) < _MIN_IDENTIFIED_WEIGHT)):
        return stated or found
    return found


def is_written_in(
    text: str, language: str, known: str | None, languages: Iterable[str] = (), names: Sequence[str] = ()
) -> bool:
    """Return whether a text of any length is in a language.

    A similar language counts only where the author is known to write the one that is asked about.

    Args:
        text: the text.
        language: the code of the language.
        known: the language that the author is known to write first.
        languages: all languages that the author is known to write.
        names: names that belong to no language.
    """
    found = identify_language(without_tokens(text, find_tokens(text, names)))
    if found is None:
        return False
    if language in {base_language(code) for code in languages}:
        return found == language or (are_similar(found, language) and found not in map(base_language, languages))
    stated = base_language(known)
    return found == language and (stated == language or not are_similar(found, stated))


def _translation_in(output: str) -> str:
    """Return the text of a model's answer, which is JSON or plain."""
    stripped = _TAGS.sub("", output).strip()
    if stripped.startswith("{"):
        try:
            found = json.loads(stripped)
        except ValueError:
            return stripped
        if isinstance(found, dict) and isinstance(found.get("translation"), str):
            return _TAGS.sub("", found["translation"]).strip()
    return stripped


def _rank(line: _Line) -> tuple[bool, bool, int]:
    """Sort the best line first: usable, without repair, with the fewest faults."""
    return not line.is_usable, bool(line.doubts), len(line.faults)
