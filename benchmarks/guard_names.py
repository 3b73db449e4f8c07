"""Answers and faults that measure the guard of names (``guard_names.toml``), for ``benchmarks.guards``."""

from __future__ import annotations

import json
import random
import tomllib
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import regex
from babel.messages.pofile import read_po

from benchmarks.answers import FAQ, SHOPS
from benchmarks.guard_cases import ROOT, Case, case, found, passage_use
from qwendesk.agents.guards.names import NameGuard
from qwendesk.tools.gazetteer import places_of

DEBIAN = ROOT / "knowledge/evaluation/data/debian_faq"
_CASED = ("de", "el", "en", "es", "ro", "ru", "tr", "vi")
_RUN = regex.compile(r"(?<=[\p{Ll}\p{M}\d],? )\p{Lu}[\p{L}\p{M}]+(?: \p{Lu}[\p{L}\p{M}]+)*(?![\p{L}\p{N}])")
_MIN_WEIGHT = 3_000
_MIN_CHARS = 30


def written(kind: str) -> Iterator[Case]:
    """Yield the good answers that were written by hand: ``good`` before the guard, the others after it."""
    for row in _table()[kind]:
        uses = (passage_use(_document(row["document"])),)
        yield case(f"names, by hand, {kind}", row["question"], row["answer"], row["language"], uses=uses)


def shop_pairs() -> Iterator[Case]:
    """Yield the paragraphs of the suite's documents, with the same document in the other language."""
    for name in sorted(file.name for file in FAQ.iterdir() if file.name.endswith(".md")):
        title, code = name.split(".")[:2]
        other = _document(f"faq/{title}.{'de' if code == 'en' else 'en'}")
        for part in _document(f"faq/{title}.{code}").split("\n\n"):
            if not part.startswith("#"):
                yield case("names, translated document", "?", part.replace("\n", " "), code, uses=(passage_use(other),))


def translations() -> Iterator[Case]:
    """Yield answers of Debian's FAQ and system texts, with the English text as the passage, and the other way."""
    for file in sorted(DEBIAN.glob("*.jsonl")):
        for other, english in _debian_pairs(file):
            yield _pair("Debian's FAQ", other, file.stem, english)
            yield _pair("Debian's FAQ, into English", english, "en", other)
    folder = ROOT / "desk/locales"
    texts = {file.stem: _texts(file) for file in sorted(folder.glob("*.po"))}
    pairs = [(code, text, texts["en"].get(key)) for code, some in texts.items() for key, text in some.items()]
    for code, text, source in pairs:
        if code != "en" and source and len(text) > _MIN_CHARS:
            yield _pair("system texts", text, code, source)
            yield _pair("system texts, into English", source, "en", text)


def _pair(source: str, answer: str, code: str, passage: str) -> Case:
    return case(source, "?", answer, code, uses=(passage_use(passage),))


def _debian_pairs(file: Path) -> Iterator[tuple[str, str]]:
    if file.stem == "en":
        return
    english = {row["id"]: row for row in _lines(DEBIAN / "en.jsonl")}
    for row in _lines(file):
        if other := english.get(row["id"]):
            yield f"{row['question']}\n{row['answer']}", f"{other['question']}\n{other['answer']}"


def _lines(file: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def _texts(file: Path) -> dict[str, str]:
    with file.open("rb") as stream:
        messages = list(read_po(stream))
    return {str(one.id): one.string for one in messages if one.id and isinstance(one.string, str)}


def own(*, is_english: bool) -> Iterator[Case]:
    """Yield the own sentences that name what stands nowhere, with a document in their language or in English."""
    for code, texts in _table()["faults"].items():
        for text in texts:
            passage = _table()["passages"]["en" if is_english else code]
            yield case(code, "?", text, code, uses=(passage_use(passage),))


def replaced(good: list[Case], data: Path, chance: random.Random) -> Iterator[Case]:
    """Replace a place by another one, or a name of two or more words by another, from passages of the language."""
    whole = [one for one in good if one.source == "xquad, the passage" and one.context.language in _CASED]
    small: dict[str, set[str]] = {}
    for one in whole:
        words = {word for word in regex.findall(r"\p{L}+", one.answer) if word.islower()}
        small.setdefault(str(one.context.language), set()).update(words)
    pool = [(one.context.language, match[0], kind, one.answer) for one in whole for match, kind in _names(one, small)]
    hosts = [one for one in good if one.source == "xquad, the sentence" and one.context.language in _CASED]
    named = [(one, names) for one in hosts if (names := list(_names(one, small)))]
    while True:
        for one, names in named:
            old, kind = chance.choice(names)
            passage = f"{one.context.uses[0].result} {one.context.question}".casefold()
            others = [
                name
                for code, name, other, text in pool
                if code == one.context.language and other == kind
                and not any(word in passage for word in name.casefold().split())
            ]  # fmt: skip
            if others:
                answer = f"{one.answer[: old.start()]}{chance.choice(others)}{one.answer[old.end() :]}"
                yield Case(str(one.context.language), answer, one.context)


def _names(one: Case, small: dict[str, set[str]]) -> Iterator[tuple[regex.Match[str], str]]:
    """Yield the names of an answer with their kind; not what also stands in small letters."""
    code = str(one.context.language)
    for found_run in _RUN.finditer(one.answer):
        words = found_run[0].split()
        if any(word.casefold() in small.get(code, ()) for word in words):
            continue
        if _is_place(found_run[0]):
            yield found_run, "place"
        elif len(words) > 1 and code != "de":  # two nouns, else
            yield found_run, "name"


@cache
def _is_place(name: str) -> bool:
    return any(place.weight >= _MIN_WEIGHT for place in places_of(name))


def report(shows: bool) -> None:
    """Print false alarms on translations, and the own sentences that are caught."""
    alarms, sizes = Counter[str](), Counter[str]()
    for one in translations():
        sizes[one.source] += 1
        if details := found(one, (NameGuard,)):
            alarms[one.source] += 1
            if shows:
                print(f"ALARM {one.source} {one.context.language}: {[detail for _, detail in details]}")
    print("names, translations:", {source: f"{alarms[source]} of {n}" for source, n in sizes.items()})
    for name, is_english in (("in its language", False), ("in English", True)):
        cases = list(own(is_english=is_english))
        caught = Counter(one.source for one in cases if found(one, (NameGuard,)))
        for one in cases:
            if shows and not found(one, (NameGuard,)):
                print(f"MISSED own, document {name}, {one.source}: {one.answer}")
        print(f"names, own sentences, document {name}: {caught.total()} of {len(cases)} {dict(caught)}")


def _document(name: str) -> str:
    folder, _, title = name.partition("/")
    if folder == "passages":
        return str(_table()["passages"][title])
    if folder == "faq":
        return FAQ.joinpath(f"{title}.md").read_text("utf-8")
    file = SHOPS / f"{title}.md"
    return (file if file.is_file() else SHOPS / "held_back" / f"{title}.md").read_text("utf-8")


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads((ROOT / "benchmarks/guard_names.toml").read_text("utf-8"))
