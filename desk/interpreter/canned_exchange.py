"""Translate canned answers, and exchange them as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from qwendesk.desk.interpreter.canned import CannedAnswer, CannedAnswers, CannedStatus, CannedText
from qwendesk.desk.interpreter.translator import Translation, Translator, parse_language
from qwendesk.errors import ConfigError, InputError


class _Text(BaseModel):
    model_config = ConfigDict(extra="forbid")

    language: str
    text: str
    questions: list[str] = Field(default_factory=list)
    status: CannedStatus = "machine"
    is_outdated: bool = False
    doubts: list[str] = Field(default_factory=list)
    model: str | None = None
    reviewed_by: str | None = None


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid")

    shortcut: str
    language: str
    version: int = 1
    texts: list[_Text] = Field(min_length=1)


async def translate_canned(
    answers: CannedAnswers, translator: Translator, answer: CannedAnswer, language: str, *, model: str | None = None
) -> Translation:
    """Translate an answer and its sample questions, and store the result where the text could be translated.

    A question that could not be translated is left out. A translation that is up to date is not made again.
    """
    old, source = answer.in_language(language), answer.source
    if old and not old.is_outdated:
        return Translation(old.text, "same", language, answer.language)
    made = await translator.translate(source.text, language, answer.language, model=model)
    if made.status not in ("done", "same"):
        return made
    questions = [await translator.translate(one, language, answer.language, model=model) for one in source.questions]
    asked = tuple(one.text for one in questions if one.status == "done")
    text = CannedText(language, made.text, asked, "machine", doubts=made.doubts, model=made.model)
    await answers.put_translation(answer.shortcut, answer.version, text)
    return made


def exported(answers: Iterable[CannedAnswer]) -> list[dict[str, Any]]:
    """Return answers as JSON-like data, which ``import_canned`` reads."""
    return [
        {
            "shortcut": answer.shortcut,
            "language": answer.language,
            "version": answer.version,
            "texts": [_exported(text) for text in answer.texts],
        }
        for answer in answers
    ]


def _exported(text: CannedText) -> dict[str, Any]:
    return _Text(
        language=text.language,
        text=text.text,
        questions=list(text.questions),
        status=text.status,
        is_outdated=text.is_outdated,
        doubts=list(text.doubts),
        model=text.model,
        reviewed_by=text.reviewed_by,
    ).model_dump()


async def import_canned(answers: CannedAnswers, text: str) -> int:
    """Add the answers of an export; one with the same shortcut gets the texts of the export. Return their number.

    Raises:
        ConfigError: the text is not an export.
    """
    found = _read(text)
    known = {answer.shortcut for answer in await answers.listed()}
    for new in found:
        source = next(one for one in new.texts if one.language == new.language)
        if new.shortcut in known:
            answer = await answers.edit(new.shortcut, source.text, source.questions)
        else:
            answer = await answers.add(new.shortcut, new.language, source.text, source.questions)
        for one in new.texts:
            if one is not source and not one.is_outdated:
                await _import_translation(answers, answer, one)
    return len(found)


async def _import_translation(answers: CannedAnswers, answer: CannedAnswer, one: _Text) -> None:
    made = CannedText(
        one.language, one.text, tuple(one.questions), "machine", doubts=tuple(one.doubts), model=one.model
    )
    await answers.put_translation(answer.shortcut, answer.version, made)
    if one.status == "reviewed":
        await answers.review(answer.shortcut, one.language, one.reviewed_by or "import", one.text)


def _read(text: str) -> Sequence[_Answer]:
    try:
        found = TypeAdapter(list[_Answer]).validate_python(json.loads(text))
        for answer in found:
            answer.language = parse_language(answer.language)
            for one in answer.texts:
                one.language = parse_language(one.language)
            if [one.language for one in answer.texts].count(answer.language) != 1:
                raise InputError(f"{answer.shortcut!r} needs one text in its own language {answer.language!r}.")
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ConfigError(f"The file is no export of canned answers: {place}: {first['msg']}.") from None
    except ValueError as error:
        raise ConfigError(f"The file is no JSON: {error}.") from None
    return found
