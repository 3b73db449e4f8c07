"""Questions about the documents of a small shop, a third of which the documents do not answer."""

from __future__ import annotations

import json
import re
import tomllib
import unicodedata
from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path

from qwendesk.testing.quality.base import Answer, Question, Score, Suite, SuiteDocument
from qwendesk.tools.number_formats import plain_digits
from qwendesk.tools.sandbox import PythonSandbox

_FOLDER = resources.files("qwendesk.testing.quality").joinpath("data", "faq")
_BARE = (
    "Answer the question from these documents of the shop Teehaus Linde, in the language of the question. Name the "
    "title of the document that you use. If the documents do not answer it, say that you do not know."
)


class ShopQuestions(Suite):
    """Questions in eight languages about documents in two; the bare model reads all documents in its prompt."""

    name = "faq"
    summary = "Questions in 8 languages on a shop's documents: the right fact with its source, or \"I don't know\"."

    def questions(self, data: Path | None) -> list[Question]:
        """Return the 80 questions; the group says whether the documents answer it."""
        rows = [json.loads(line) for line in _FOLDER.joinpath("questions.jsonl").read_text("utf-8").splitlines()]
        return [
            Question(row["id"], row["question"], "answerable" if row["document"] else "not answerable", row=row)
            for row in rows
        ]

    def documents(self) -> Sequence[SuiteDocument]:
        """Return the shop's documents, each in English and German."""
        return _documents()

    def bare_prompt(self, question: Question) -> str:
        """Put all documents before the question."""
        return "\n\n".join([_BARE, *(document.text.strip() for document in _documents()), f"Question: {question.text}"])

    async def score(self, question: Question, answer: Answer, sandbox: PythonSandbox) -> Score:
        """Look for the fact and the title of its document, or for the words that say that nothing is known."""
        text = _plain(answer.text)
        is_unknown = says_unknown(text)
        if not question.row["document"]:
            return Score(is_unknown, "said so" if is_unknown else "answered what no document says")
        has_fact = any(_holds(text, fact) for fact in question.row["answers"])
        named = question.row["document"]
        titles = [_plain(document.title) for document in _documents() if document.name.partition(".")[0] == named]
        has_source = any(title in text for title in titles)
        found = {"key fact": has_fact, "right source": has_source, "said unknown": is_unknown}
        lacking = [name for name in ("key fact", "right source") if not found[name]]
        marks = tuple(name for name, is_found in found.items() if is_found)
        return Score(not lacking, f"lacks {' and '.join(lacking)}" if lacking else "fact and source", marks)


def says_unknown(text: str) -> bool:
    """Return whether an answer in any language says that it does not know."""
    return any(phrase in _plain(text) for phrase in _unknown_phrases())


def _holds(text: str, fact: str) -> bool:
    """Return whether a text holds a fact; a number is not part of a longer one."""
    return bool(re.search(rf"(?<!\d)(?<!\d[.,]){re.escape(_plain(fact))}(?!\d|[.,]\d)", text))


def _plain(text: str) -> str:
    folded = unicodedata.normalize("NFKC", plain_digits(text)).casefold()
    return " ".join(folded.replace("’", "'").split())


@cache
def _documents() -> tuple[SuiteDocument, ...]:
    files = sorted((file for file in _FOLDER.iterdir() if file.name.endswith(".md")), key=lambda file: file.name)
    texts = [(file.name, file.read_text("utf-8")) for file in files]
    return tuple(SuiteDocument(name, text.partition("\n")[0].lstrip("# "), text) for name, text in texts)


@cache
def _unknown_phrases() -> tuple[str, ...]:
    table = tomllib.loads(_FOLDER.joinpath("unknown.toml").read_text("utf-8"))
    return tuple(_plain(phrase) for phrases in table.values() for phrase in phrases)
