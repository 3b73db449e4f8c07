"""Question sets that bring their own documents: the Debian FAQ, and files in the form of SQuAD such as XQuAD's."""

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
"""The language whose documents are asked for in all others, where the set has it."""


@dataclass(frozen=True, slots=True)
class LanguageQuestions:
    """The questions and documents of a set in one language."""

    code: str
    documents: Mapping[str, str]
    """The texts by their names."""
    questions: Mapping[str, tuple[str, str]]
    """The questions, each with the name of the document that answers it; the same id is the same question anywhere."""


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """Questions and the documents that answer them, in one or more languages."""

    name: str
    languages: tuple[LanguageQuestions, ...]
    off_topic: tuple[str, ...] = ()
    """Questions that no document answers."""

    @property
    def pivot(self) -> str:
        """The language that questions across languages lead into and out of."""
        codes = [language.code for language in self.languages]
        return PIVOT_LANGUAGE if PIVOT_LANGUAGE in codes else codes[0]

    def only(self, codes: Sequence[str]) -> QuestionSet:
        """Return the set in these languages alone.

        Raises:
            ConfigError: the set does not have one of them.
        """
        known = {language.code: language for language in self.languages}
        if missing := [code for code in codes if code not in known]:
            raise ConfigError(f"The set {self.name!r} is not in {missing[0]!r}; it is in: {', '.join(known)}.")
        return replace(self, languages=tuple(known[code] for code in dict.fromkeys(codes)))


def debian_faq() -> QuestionSet:
    """Return the questions of the Debian FAQ; its licence and source stand beside the files."""
    data = resources.files(__package__).joinpath("data")
    folder = data.joinpath("debian_faq")
    names = sorted(file.name for file in folder.iterdir() if file.name.endswith(".jsonl"))
    languages = (_parse_faq(name.removesuffix(".jsonl"), folder.joinpath(name).read_text("utf-8")) for name in names)
    off_topic = data.joinpath("off_topic.txt").read_text("utf-8").splitlines()
    return QuestionSet(DEBIAN_FAQ, tuple(languages), tuple(off_topic))


def _parse_faq(code: str, text: str) -> LanguageQuestions:
    rows = [json.loads(line) for line in text.splitlines()]
    # a document's name must not tell what it is about, since names are searched too
    return LanguageQuestions(
        code,
        {str(number): row["answer"] for number, row in enumerate(rows)},
        {row["id"]: (row["question"], str(number)) for number, row in enumerate(rows)},
    )


def read_squad(files: Sequence[Path]) -> QuestionSet:
    """Return the questions of files in the form of SQuAD, one a language, whose name ends such as ``.de.json``.

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
            f'{str(file)!r} does not have the form of SQuAD: {{"data": [{{"paragraphs": [{{"context", "qas"}}]}}]}}.'
        ) from None
    if not questions:
        raise ConfigError(f"{str(file)!r} holds no questions.")
    return LanguageQuestions(code, documents, questions)


def _answerable(paragraph: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the questions that the paragraph answers."""
    return [question for question in paragraph["qas"] if not question.get("is_impossible")]
