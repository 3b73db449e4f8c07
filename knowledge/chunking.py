"""Split documents into passages that fit a small embedding model and that a citation can point at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING

import regex

from qwendesk.knowledge.base import Chunk, Document, Section

if TYPE_CHECKING:
    from langchain_text_splitters import RecursiveCharacterTextSplitter

CONVERSION_VERSION = 2
"""Version of conversion and splitting; raise it after a change, so that ``reindex`` reads documents again."""
MAX_PASSAGE_LENGTH = 900
"""Maximum length of a passage in characters; a CJK character counts as three, as it does in tokens."""
_HEADING_SEPARATOR = " › "
_SEPARATORS = [
    "\n\n",
    "\n",
    ". ",
    "! ",
    "? ",
    "。",
    "！",
    "？",
    "؟ ",
    "۔ ",
    "। ",
    "; ",
    "；",
    ", ",
    "、",
    "，",
    " ",
    "",
]


@cache
def _cjk() -> regex.Pattern[str]:
    scripts = ("Han", "Hiragana", "Katakana", "Hangul")
    return regex.compile("[" + "".join(rf"\p{{Script={name}}}" for name in scripts) + "]")


def text_length(text: str) -> int:
    """Return the length of a text in characters, a CJK character counted as three."""
    return len(text) if text.isascii() else len(text) + 2 * len(_cjk().findall(text))


def split_document(document: Document) -> list[Chunk]:
    """Return the passages of a document in order."""
    return [chunk for section in _merge_short(document.sections) for chunk in _split_section(section)]


def embedded_text(chunk: Chunk, title: str) -> str:
    """Return the text that is embedded and indexed: the passage below its title and headings."""
    above = _HEADING_SEPARATOR.join(filter(None, (title, chunk.headings)))
    return f"{above}\n{chunk.text}" if above else chunk.text


def _merge_short(sections: Iterable[Section]) -> Iterator[Section]:
    """Join a short section with the next one that has the same place and headings."""
    last: Section | None = None
    for section in sections:
        same = last and (last.headings, last.place, last.unit) == (section.headings, section.place, section.unit)
        if (
            last
            and same
            and not section.unit
            and text_length(last.text) + text_length(section.text) < MAX_PASSAGE_LENGTH
        ):
            last = Section(f"{last.text}\n{section.text}", last.headings, last.place)
            continue
        if last:
            yield last
        last = section
    if last:
        yield last


def _split_section(section: Section) -> Iterator[Chunk]:
    headings = _HEADING_SEPARATOR.join(section.headings)
    if text_length(section.text) <= MAX_PASSAGE_LENGTH:
        if text := section.text.strip():
            skipped = len(section.text) - len(section.text.lstrip())
            yield Chunk(text, headings, _place(section, skipped))
        return
    for part in _splitter().create_documents([section.text]):
        yield Chunk(part.page_content, headings, _place(section, part.metadata["start_index"]))


def _place(section: Section, offset: int) -> str:
    if not section.unit:
        return section.place
    number = section.first + section.text.count("\n", 0, max(0, offset))
    return ", ".join(filter(None, (section.place, f"{section.unit} {number}")))


@cache
def _splitter() -> RecursiveCharacterTextSplitter:
    # imported here because only adding documents needs it
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    return RecursiveCharacterTextSplitter(
        separators=_SEPARATORS,
        keep_separator="end",
        chunk_size=MAX_PASSAGE_LENGTH,
        chunk_overlap=0,
        length_function=text_length,
        add_start_index=True,
        strip_whitespace=True,
    )
