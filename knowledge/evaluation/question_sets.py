"""Question sets with documents: the Debian FAQ, and files in the SQuAD format such as XQuAD."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

from qwendesk.errors import ConfigError

DEBIAN_FAQ = "debian-faq"
PIVOT_LANGUAGE = "en"
"""Pivot of questions across languages, if the set contains it."""


@dataclass(frozen=True, slots=True)
class LanguageQuestions:
    """Questions and documents of a set in one language."""

    code: str
    documents: Mapping[str, str]
    """Texts by document name."""
    questions: Mapping[str, tuple[str, str]]
    """Questions by id, each with the name of its document; ids are the same in all languages."""


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """Questions and the documents that answer them, in one or more languages."""

    name: str
    languages: tuple[LanguageQuestions, ...]
    off_topic: tuple[str, ...] = ()
    """Questions that no document answers."""

    @property
    def pivot(self) -> str:
        """The language that all others are paired with."""
        codes = [language.code for language in self.languages]
        return PIVOT_LANGUAGE if PIVOT_LANGUAGE in codes else codes[0]

    def only(self, codes: Sequence[str]) -> QuestionSet:
        """Return the set limited to these languages.

        Raises:
            ConfigError: the set does not have one of them.
        """
        known = {language.code: language for language in self.languages}
        if missing := [code for code in codes if code not in known]:
            raise ConfigError(f"The set {self.name!r} is not in {missing[0]!r}; it is in: {', '.join(known)}.")
        return replace(self, languages=tuple(known[code] for code in dict.fromkeys(codes)))


def debian_faq() -> QuestionSet:
    """Return the questions of the Debian FAQ; SOURCES.md beside the files has its licence and source."""
    data = resources.files(__package__).joinpath("data")
    folder = data.joinpath("debian_faq")
    names = sorted(file.name for file in folder.iterdir() if file.name.endswith(".jsonl"))
    languages = (_parse_faq(name.removesuffix(".jsonl"), folder.joinpath(name).read_text("utf-8")) for name in names)
    off_topic = data.joinpath("off_topic.txt").read_text("utf-8").splitlines()
    return QuestionSet(DEBIAN_FAQ, tuple(languages), tuple(off_topic))


def _parse_faq(code: str, text: str) -> LanguageQuestions:
    rows = [json.loads(line) for line in text.splitlines()]
    # document names are searched too, so they must not describe the content
    return LanguageQuestions(
        code,
        {str(number): row["answer"] for number, row in enumerate(rows)},
        {row["id"]: (row["question"], str(number)) for number, row in enumerate(rows)},
    )


def read_squad(files: Sequence[Path]) -> QuestionSet:
    """Read files in the SQuAD format, one for each language, with names that end such as ``.de.json``.

    Raises:
        ConfigError: a file cannot be read or has another form.
    """
    named: dict[str, LanguageQuestions] = {}
    for file in files:
        code = file.stem.rpartition(".")[2]
        if code in named:
            raise ConfigError(f"Two files are of {code!r}: name them after their languages, such as 'xquad.de.json'.")
        named[code] = _parse_squad(code, file)
    return QuestionSet(files[0].name.partition(".")[0], tuple(named.values()))


def _parse_squad(code: str, file: Path) -> LanguageQuestions:
    try:
        articles = json.loads(file.read_text("utf-8"))["data"]
        paragraphs = [paragraph for article in articles for paragraph in article["paragraphs"]]
        documents = {str(number): str(paragraph["context"]) for number, paragraph in enumerate(paragraphs)}
        questions = {
            str(question["id"]): (str(question["question"]), str(number))
            for number, paragraph in enumerate(paragraphs)
            for question in _answerable(paragraph)
        }
    except OSError as error:
        raise ConfigError(f"{str(file)!r} cannot be read: {error.strerror or error}.") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ConfigError(
            f'{str(file)!r} is not in the SQuAD format: {{"data": [{{"paragraphs": [{{"context", "qas"}}]}}]}}.'
        ) from None
    if not questions:
        raise ConfigError(f"{str(file)!r} holds no questions.")
    return LanguageQuestions(code, documents, questions)


def _answerable(paragraph: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the questions that the paragraph answers."""
    return [question for question in paragraph["qas"] if not question.get("is_impossible")]
