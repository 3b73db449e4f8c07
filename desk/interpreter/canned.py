"""Canned answers: written once, translated by a model, reviewed by a person, and outdated once the source changes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import Select, delete, insert, select, update
from sqlalchemy.orm import aliased
from uuid_utils import uuid7

from qwendesk.errors import InputError, no_such
from qwendesk.memory.tables.canned import CannedAnswerRow, CannedTextRow
from qwendesk.memory.tenancy import TenantConnection, TenantDatabase, unit_of_work

CannedStatus = Literal["source", "machine", "reviewed"]
"""``source``: as a person wrote it. ``machine``: translated, and read by nobody. ``reviewed``: a person has read it."""
_SHORTCUT = re.compile(r"[\w][\w.-]{0,63}")
_MAX_TEXT_CHARS = 8000
_MAX_QUESTIONS = 50
_MAX_QUESTION_CHARS = 500


@dataclass(frozen=True, slots=True)
class CannedText:
    """A canned answer in one language."""

    language: str
    text: str
    questions: tuple[str, ...]
    """Sample questions that it answers, in the same language."""
    status: CannedStatus
    is_outdated: bool = False
    """Whether the answer was changed since this translation was made."""
    doubts: tuple[str, ...] = ()
    """What a reviewer should look at, in words."""
    model: str | None = None
    reviewed_by: str | None = None

    @property
    def is_usable(self) -> bool:
        """Whether a person stands behind it: written or reviewed, and not outdated."""
        return self.status != "machine" and not self.is_outdated


@dataclass(frozen=True, slots=True)
class CannedAnswer:
    """A canned answer in its languages."""

    id: str
    shortcut: str
    language: str
    """The language that it is written in."""
    version: int
    texts: tuple[CannedText, ...]
    """The source first, then the translations by language."""

    def in_language(self, language: str) -> CannedText | None:
        """Return its text in a language; None if there is none."""
        return next((text for text in self.texts if text.language == language), None)

    @property
    def source(self) -> CannedText:
        """The text as it was written."""
        return self.texts[0]


class CannedAnswers:
    """Stores the canned answers of one tenant."""

    def __init__(self, database: TenantDatabase) -> None:
        self._database = database

    @unit_of_work
    async def listed(self) -> list[CannedAnswer]:
        """Return all answers by shortcut."""
        async with self._database.read() as connection:
            return await _answers(connection)

    @unit_of_work
    async def get(self, shortcut: str) -> CannedAnswer:
        """Return the answer of a shortcut.

        Raises:
            InputError: there is none.
        """
        async with self._database.read() as connection:
            return await _one(connection, shortcut)

    @unit_of_work
    async def find(self, language: str, *, with_unreviewed: bool = False) -> list[tuple[str, CannedText]]:
        """Return the answers that may be used in a language, each with its shortcut.

        Args:
            language: the code of the language.
            with_unreviewed: also those that a model translated and nobody has read, and outdated ones.
        """
        async with self._database.read() as connection:
            answers = await _answers(connection)
        found = [(answer.shortcut, text) for answer in answers if (text := answer.in_language(language))]
        return [(shortcut, text) for shortcut, text in found if with_unreviewed or text.is_usable]

    @unit_of_work
    async def counterpart(self, text: str, language: str) -> CannedText | None:
        """Return the text of a canned answer in a language, by its exact text in another.

        None: no person stands behind both texts, or several answers with the text say different things in the language.
        """
        said = aliased(CannedTextRow)
        statement = (
            _texts()
            .join(said, said.answer_id == CannedAnswerRow.id)
            .where(said.text == text.strip(), said.status != "machine", said.version >= CannedAnswerRow.version)
            .where(CannedTextRow.language == language)
        )
        async with self._database.read() as connection:
            found = {one.text: one for row in await connection.execute(statement) if (one := _text(row)).is_usable}
        return next(iter(found.values())) if len(found) == 1 else None

    @unit_of_work
    async def add(self, shortcut: str, language: str, text: str, questions: Iterable[str] = ()) -> CannedAnswer:
        """Store a new answer.

        Raises:
            InputError: the shortcut exists or is invalid, or the text is empty or too long.
        """
        async with self._database.write() as connection:
            return await add_canned(connection, shortcut, language, text, questions)

    @unit_of_work
    async def edit(
        self, shortcut: str, text: str | None = None, questions: Iterable[str] | None = None
    ) -> CannedAnswer:
        """Change the text as it was written, which makes its translations outdated; None leaves a value as it is.

        Raises:
            InputError: there is no such answer, or the text is empty or too long.
        """
        body = None if text is None else _checked(text)
        asked = None if questions is None else _checked_questions(questions)
        async with self._database.write() as connection:
            answer = await _one(connection, shortcut)
            old = answer.source
            new = CannedText(
                old.language, old.text if body is None else body, old.questions if asked is None else asked, "source"
            )
            if (new.text, new.questions) != (old.text, old.questions):
                changed = {"version": answer.version + 1, "updated_at": datetime.now(UTC)}
                of_answer = CannedAnswerRow.id == answer.id
                await connection.execute(update(CannedAnswerRow).where(of_answer).values(**changed))
                await _put(connection, answer.id, new, answer.version + 1)
            return await _one(connection, shortcut)

    @unit_of_work
    async def put_translation(self, shortcut: str, version: int, translated: CannedText) -> CannedAnswer:
        """Store a model's translation of a version of an answer; it waits for a review.

        A translation that was reviewed for the same version stays.

        Raises:
            InputError: there is no such answer, or the language is its own.
        """
        async with self._database.write() as connection:
            answer = await _one(connection, shortcut)
            _refuse_source(answer, translated.language)
            old = answer.in_language(translated.language)
            if old is None or old.is_outdated or old.status != "reviewed":
                await _put(connection, answer.id, translated, version)
            return await _one(connection, shortcut)

    @unit_of_work
    async def review(
        self, shortcut: str, language: str, by: str, text: str | None = None, questions: Iterable[str] | None = None
    ) -> CannedAnswer:
        """Mark a translation as read by a person, who may correct it.

        Args:
            shortcut: the answer's shortcut.
            language: the translation's language.
            by: who reviews it.
            text: the corrected text; it also replaces an outdated or missing translation. None: it is right as it is.
            questions: the sample questions that are right. None: those of an earlier review; a machine's are dropped,
                since another question in one of them would be given this answer.

        Raises:
            InputError: there is no such translation, or it is outdated and no text is given.
        """
        body = None if text is None else _checked(text)
        asked = None if questions is None else _checked_questions(questions)
        async with self._database.write() as connection:
            answer = await _one(connection, shortcut)
            _refuse_source(answer, language)
            old = answer.in_language(language)
            if body is None and (old is None or old.is_outdated):
                state = "There is no" if old is None else "The source has changed since the"
                raise InputError(
                    f"{state} translation of {shortcut!r} into {language!r}: "
                    f"'qwendesk canned translate {shortcut} --to {language}', or review it with a text."
                )
            if asked is None:
                asked = old.questions if old and old.status == "reviewed" and not old.is_outdated else ()
            new = CannedText(language, body or (old.text if old else ""), asked, "reviewed", reviewed_by=by)
            await _put(connection, answer.id, new, answer.version)
            return await _one(connection, shortcut)

    @unit_of_work
    async def remove(self, shortcut: str, language: str | None = None) -> None:
        """Delete an answer, or its translation into a language.

        Raises:
            InputError: there is none.
        """
        async with self._database.write() as connection:
            answer = await _one(connection, shortcut)
            if language is None:
                await connection.execute(delete(CannedAnswerRow).where(CannedAnswerRow.id == answer.id))
                return
            _refuse_source(answer, language)
            if answer.in_language(language) is None:
                raise InputError(f"{shortcut!r} has no text in {language!r}.")
            of_text = CannedTextRow.answer_id == answer.id, CannedTextRow.language == language
            await connection.execute(delete(CannedTextRow).where(*of_text))


async def add_canned(
    connection: TenantConnection, shortcut: str, language: str, text: str, questions: Iterable[str] = ()
) -> CannedAnswer:
    """Store a new answer in a transaction that writes more.

    Raises:
        InputError: the shortcut exists or is invalid, or the text is empty or too long.
    """
    name, body, asked = _checked_name(shortcut), _checked(text), _checked_questions(questions)
    if await _find(connection, name):
        raise InputError(f"There is a canned answer {name!r} already; 'qwendesk canned edit' changes it.")
    id_, now = str(uuid7()), datetime.now(UTC)
    row = {"id": id_, "shortcut": name, "language": language, "created_at": now, "updated_at": now}
    await connection.execute(insert(CannedAnswerRow), row)
    await _put(connection, id_, CannedText(language, body, asked, "source"), 1)
    return await _one(connection, name)


def _texts() -> Select[Any]:
    answer, text = CannedAnswerRow, CannedTextRow
    columns: tuple[Any, ...] = (
        answer.id,
        answer.shortcut,
        answer.language.label("source"),
        answer.version.label("current"),
        text.language,
        text.text,
        text.questions,
        text.status,
        text.version,
        text.doubts,
        text.model,
        text.reviewed_by,
    )
    return select(*columns).join(text, text.answer_id == answer.id).order_by(answer.shortcut, text.language)


async def _answers(connection: TenantConnection, shortcut: str | None = None) -> list[CannedAnswer]:
    statement = _texts()
    if shortcut is not None:
        statement = statement.where(CannedAnswerRow.shortcut == shortcut)
    found = dict[str, list[Any]]()
    for row in await connection.execute(statement):
        found.setdefault(row.id, []).append(row)
    return [_answer(rows) for rows in found.values()]


def _answer(rows: Sequence[Any]) -> CannedAnswer:
    first = rows[0]
    ordered = sorted(rows, key=lambda row: row.status != "source")
    return CannedAnswer(first.id, first.shortcut, first.source, first.current, tuple(map(_text, ordered)))


def _text(row: Any) -> CannedText:
    is_outdated = row.version < row.current
    questions, doubts = tuple(row.questions), tuple(row.doubts)
    return CannedText(row.language, row.text, questions, row.status, is_outdated, doubts, row.model, row.reviewed_by)


async def _find(connection: TenantConnection, shortcut: str) -> CannedAnswer | None:
    return next(iter(await _answers(connection, shortcut.strip())), None)


async def _one(connection: TenantConnection, shortcut: str) -> CannedAnswer:
    if found := await _find(connection, shortcut):
        return found
    known = [row.shortcut for row in await connection.execute(select(CannedAnswerRow.shortcut))]
    raise InputError(no_such("No canned answer is called", shortcut, sorted(known)))


async def _put(connection: TenantConnection, answer: str, text: CannedText, version: int) -> None:
    """Replace the text of an answer in a language."""
    of_text = CannedTextRow.answer_id == answer, CannedTextRow.language == text.language
    await connection.execute(delete(CannedTextRow).where(*of_text))
    row = {
        "id": str(uuid7()),
        "answer_id": answer,
        "language": text.language,
        "text": text.text,
        "questions": list(text.questions),
        "status": text.status,
        "version": version,
        "doubts": list(text.doubts),
        "model": text.model,
        "reviewed_by": text.reviewed_by,
        "updated_at": datetime.now(UTC),
    }
    await connection.execute(insert(CannedTextRow), row)


def _refuse_source(answer: CannedAnswer, language: str) -> None:
    if language == answer.language:
        raise InputError(f"{answer.shortcut!r} is written in {language!r}; 'qwendesk canned edit' changes it.")


def _checked_name(shortcut: str) -> str:
    name = shortcut.strip().lstrip("/")
    if not _SHORTCUT.fullmatch(name):
        raise InputError(f"{shortcut!r} is no shortcut: up to 64 letters, digits, '-', '_' and '.', such as 'refund'.")
    return name


def _checked(text: str) -> str:
    body = text.strip()
    if not body or len(body) > _MAX_TEXT_CHARS:
        raise InputError(f"The text of a canned answer has 1 to {_MAX_TEXT_CHARS} characters, not {len(body)}.")
    return body


def _checked_questions(questions: Iterable[str]) -> tuple[str, ...]:
    asked = tuple(dict.fromkeys(line for question in questions if (line := " ".join(question.split()))))
    if len(asked) > _MAX_QUESTIONS or any(len(question) > _MAX_QUESTION_CHARS for question in asked):
        raise InputError(f"At most {_MAX_QUESTIONS} sample questions of {_MAX_QUESTION_CHARS} characters are stored.")
    return asked
