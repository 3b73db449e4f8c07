"""Split a message into the lines and cells that are translated, and what stands around them unchanged."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from qwendesk.desk.interpreter.tokens import find_tokens, without_tokens

MAX_UNIT_CHARS = 500
"""Longest text of one request; a longer line is divided between sentences."""
_MIN_WRAPPED_CHARS = 50
"""Shortest line of a mail that may have been broken in the middle of a sentence."""
_FENCE = re.compile(r"(^[ \t]*(?:```|~~~).*?(?:^[ \t]*(?:```|~~~)[^\n]*$|\Z))", re.DOTALL | re.MULTILINE)
_PREFIX = re.compile(
    r"\s*(?:(?:>+|[-*+•·–—▪◦]|\d{1,3}[.)、]|[a-zA-Z]\)|#{1,6}|\[[ xX]?\]|[①-⑳])(?:\s+|(?<=>)|(?<=、)|\Z))*", re.ASCII
)
_CELL = re.compile(r"(\s*\|\s*)")
_SENTENCE_END = re.compile(r"(?<=[.!?…։؟])[\"'»”’)]*\s+|(?<=[。！？।])[」』”）]*\s*")
_CLAUSE_END = re.compile(r"(?<=[,;:])\s+|(?<=[，、；：،])|\s+")
_ENDS_SENTENCE = re.compile(r"[.!?:;…。！？：；।؟։]['\"»”’)\]]*\Z")


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a message."""

    text: str
    is_translated: bool
    is_quoted: bool = False
    """Whether it stands in a quoted line, which may be in another language than the rest."""


def split_message(text: str, names: Iterable[str] = ()) -> list[Part]:
    """Return the pieces of a message, whose texts joined are the message.

    Lines that a mail program has broken in the middle of a sentence are one piece, with a space for the break. Code
    blocks, list marks, quotation marks of mails and cells of tables stay where they are.
    """
    known = tuple(names)
    parts = list[Part]()
    for at, block in enumerate(_FENCE.split(text)):
        if at % 2:
            parts.append(Part(block, is_translated=False))
        else:
            parts += _lines(block, known)
    return _merged(parts)


def own_and_quoted(text: str) -> tuple[str, str]:
    """Return the lines of a message that its author wrote, and those that are quoted."""
    lines = text.splitlines()
    own = [line for line in lines if not line.lstrip().startswith(">")]
    quoted = [line.lstrip(" >\t") for line in lines if line.lstrip().startswith(">")]
    return "\n".join(own), "\n".join(quoted)


def has_words(text: str, names: Iterable[str] = ()) -> bool:
    """Return whether a text has letters outside its protected tokens."""
    rest = without_tokens(text, find_tokens(text, names))
    return any(sign.isalpha() for sign in rest)


def _lines(block: str, names: tuple[str, ...]) -> Iterator[Part]:
    for line in _unwrapped(block):
        body = line.rstrip("\r\n")
        if "|" in body and body.strip().startswith("|"):
            for at, cell in enumerate(_CELL.split(body)):
                yield Part(cell, is_translated=not at % 2 and has_words(cell, names))
        else:
            yield from _line(body, names)
        yield Part(line[len(body) :], is_translated=False)


def _line(body: str, names: tuple[str, ...]) -> Iterator[Part]:
    start = prefix.end() if (prefix := _PREFIX.match(body)) else 0
    end = len(body.rstrip())
    yield Part(body[:start], is_translated=False)
    for piece in _divided(body[start:end]):
        core = piece.strip()
        lead = len(piece) - len(piece.lstrip())
        yield Part(piece[:lead], is_translated=False)
        yield Part(core, is_translated=has_words(core, names), is_quoted=">" in body[:start])
        yield Part(piece[lead + len(core) :], is_translated=False)
    yield Part(body[max(start, end) :], is_translated=False)


def _unwrapped(block: str) -> Iterator[str]:
    """Yield the lines, those broken within a sentence joined by a space."""
    current = ""
    for line in block.splitlines(keepends=True):
        if current and _continues(current, line):
            current = f"{current.rstrip()} {line.lstrip()}"
        else:
            if current:
                yield current
            current = line
    if current:
        yield current


def _continues(before: str, line: str) -> bool:
    text = before.rstrip()
    last = text.rsplit("\n", 1)[-1]
    return (
        len(last) >= _MIN_WRAPPED_CHARS and not _ENDS_SENTENCE.search(text) and "|" not in line and line[:1].islower()
    )


def _divided(text: str) -> list[str]:
    """Return a text as pieces of at most ``MAX_UNIT_CHARS``, cut at sentences, else at clauses or words."""
    if len(text) <= MAX_UNIT_CHARS:
        return [text]
    pieces = list[str]()
    for sentence in _cut_at(text, _SENTENCE_END):
        small = [sentence] if len(sentence) <= MAX_UNIT_CHARS else _cut_at(sentence, _CLAUSE_END)
        for piece in small:
            pieces += [piece[at : at + MAX_UNIT_CHARS] for at in range(0, len(piece), MAX_UNIT_CHARS)]
    return _packed(pieces)


def _cut_at(text: str, pattern: re.Pattern[str]) -> list[str]:
    inside = {at for token in find_tokens(text) for at in range(token.start + 1, token.end)}
    ends = [found.end() for found in pattern.finditer(text) if found.end() not in inside]
    return [text[a:b] for a, b in zip([0, *ends], [*ends, len(text)], strict=True) if a < b]


def _packed(pieces: Iterable[str]) -> list[str]:
    packed = list[str]()
    for piece in pieces:
        if packed and len(packed[-1]) + len(piece) <= MAX_UNIT_CHARS:
            packed[-1] += piece
        else:
            packed.append(piece)
    return packed


def _merged(parts: Iterable[Part]) -> list[Part]:
    """Return the parts without empty ones, neighbours that stay unchanged joined."""
    merged = list[Part]()
    for part in parts:
        if not part.text:
            continue
        if merged and not part.is_translated and not merged[-1].is_translated:
            merged[-1] = Part(merged[-1].text + part.text, is_translated=False)
        else:
            merged.append(part)
    return merged
