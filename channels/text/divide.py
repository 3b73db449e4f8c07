"""Cut Markdown into parts that fit, each of them whole Markdown: code fences are closed and opened again."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from qwendesk.channels.text.markup import reader

if TYPE_CHECKING:
    from markdown_it.token import Token

Fits = Callable[[str], bool]
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")
_AFTER_SENTENCE = re.compile(r"(?<=[.!?…])\s+|(?<=[。！？｡])|\n")
_AFTER_WORD = re.compile(r"\s+")
_NUMBER = re.compile(r" {0,3}(\d+)")
_JOINERS = {"\u200d", "\ufe0e", "\ufe0f"}
_SPANS = (re.compile(r"\*\*"), re.compile(r"`"), re.compile(r"~~"))


def divide(text: str, fits: Fits) -> list[str]:
    """Return the parts of a text, in order; each fits, and cuts are made where a reader minds them least.

    Args:
        text: Markdown.
        fits: tells whether a part can be sent; it must take every single character.
    """
    if fits(text):
        return [text]
    blocks = [part for block in _blocks(text) for part in _divide_block(block, fits)]
    return _packed(blocks, "\n\n", fits)


def divide_plain(text: str, fits: Fits) -> list[str]:
    """Return the parts of a text without markup: cut at the ends of sentences, then of words, then anywhere."""
    parts = []
    while text and not fits(text):
        end = (
            _last_cut(text, _AFTER_SENTENCE, fits) or _last_cut(text, _AFTER_WORD, fits) or _last_character(text, fits)
        )
        parts.append(text[:end].rstrip())
        text = text[end:].lstrip("\n ")
    return [part for part in [*parts, text] if part.strip()]


def _blocks(text: str) -> list[str]:
    """Return the source of the topmost blocks; between them only blank lines are left out."""
    lines = text.split("\n")
    starts = sorted({token.map[0] for token in reader().parse(text) if token.level == 0 and token.map})
    ends = [*starts[1:], len(lines)]
    if starts:
        starts[0] = 0  # definitions of links make no block
    found = ("\n".join(lines[start:end]).strip("\n") for start, end in zip(starts, ends, strict=True))
    return [block for block in found if block.strip()] or [text]


def _divide_block(block: str, fits: Fits) -> list[str]:
    if fits(block):
        return [block]
    tokens = reader().parse(block)
    kind = tokens[0].type if tokens else ""
    if kind == "fence" and (fence := _FENCE.match(block)):
        return _divide_code(block.split("\n"), fence[1], fits)
    if kind in ("bullet_list_open", "ordered_list_open") and len(items := _items(block, tokens)) > 1:
        parts = [part for item in items for part in _divide_block(item, fits)]
        return _packed(parts, "\n", fits)
    if kind == "table_open":
        return _divide_table(block.split("\n"), fits)
    return divide_plain(block, fits)


def _items(block: str, tokens: Sequence[Token]) -> list[str]:
    lines = block.split("\n")
    starts = [token.map[0] for token in tokens if token.type == "list_item_open" and token.level == 1 and token.map]
    ends = [*starts[1:], len(lines)]
    items = ["\n".join(lines[start:end]).rstrip("\n") for start, end in zip(starts, ends, strict=True)]
    if tokens[0].type == "bullet_list_open":
        return items
    start = tokens[0].attrGet("start")
    first = 1 if start is None else int(start)
    return [_numbered(item, number) for number, item in enumerate(items, first)]


def _numbered(item: str, number: int) -> str:
    """Write an item's own number before it: only the first one's counts in Markdown, and another part begins anew."""
    if not (written := _NUMBER.match(item)):
        return item
    wider = " " * (len(str(number)) - len(written[1]))
    return f"{number}{item[written.end() :]}".replace("\n", f"\n{wider}")


def _divide_code(lines: list[str], mark: str, fits: Fits) -> list[str]:
    closed = len(lines) > 1 and lines[-1].strip(" \t" + mark[0]) == "" and len(lines[-1].strip()) >= len(mark)
    code = lines[1:-1] if closed else lines[1:]
    return _wrapped(code, f"{lines[0]}\n", f"\n{mark}", fits)


def _divide_table(lines: list[str], fits: Fits) -> list[str]:
    head = "\n".join(lines[:2]) + "\n"
    rows = [row for row in lines[2:] if fits(head + row)]
    if len(rows) < len(lines) - 2 or not rows:
        return divide_plain("\n".join(lines), fits)  # a table so wide that its rows are lines of text
    return _wrapped(rows, head, "", fits)


def _wrapped(lines: list[str], before: str, after: str, fits: Fits) -> list[str]:
    """Pack lines into parts that each begin and end with the same words."""

    def whole(part: str) -> str:
        return f"{before}{part}{after}"

    def within(part: str) -> bool:
        return fits(whole(part))

    if not within("x"):
        return divide_plain("\n".join(lines), fits)
    short = [piece for line in lines for piece in ([line] if within(line) else _by_characters(line, within))]
    return [whole(part) for part in _packed(short, "\n", within)]


def _last_cut(text: str, between: re.Pattern[str], fits: Fits) -> int:
    """Return the last place that leaves a fitting part with no bold or code torn in two; 0 where there is none."""
    cuts = [found.end() for found in between.finditer(text) if found.end() < len(text)]
    fitting = cuts[: _count_fitting(cuts, lambda cut: fits(text[:cut].rstrip()))]
    best = next((cut for cut in reversed(fitting[-40:]) if _whole(text[:cut])), 0)
    # half a part at least: many tiny messages are worse than one torn word of bold
    return best if best * 2 >= (fitting[-1] if fitting else 0) else fitting[-1]


def _whole(text: str) -> bool:
    return all(len(mark.findall(text)) % 2 == 0 for mark in _SPANS)


def _by_characters(text: str, fits: Fits) -> Iterator[str]:
    while text and not fits(text):
        end = _last_character(text, fits)
        yield text[:end]
        text = text[end:]
    yield text


def _last_character(text: str, fits: Fits) -> int:
    end = max(1, _count_fitting(range(1, len(text) + 1), lambda cut: fits(text[:cut])))
    best = end
    while best > 1 and best < len(text) and _joined(text, best):
        best -= 1
    return best if best > 1 else end


def _joined(text: str, place: int) -> bool:
    """Tell whether the characters on both sides are seen as one."""
    after = text[place]
    return bool(unicodedata.combining(after)) or after in _JOINERS or text[place - 1] == "\u200d"


def _packed(parts: Sequence[str], between: str, fits: Fits) -> list[str]:
    """Join neighbours as long as they fit together."""
    packed: list[str] = []
    start = 0
    while start < len(parts):
        begin = start
        ends = range(begin + 1, len(parts) + 1)
        start += max(1, _count_fitting(ends, lambda end: fits(between.join(parts[begin:end]))))  # noqa: B023
        packed.append(between.join(parts[begin:start]))
    return packed


def _count_fitting(cuts: Sequence[int], fits: Callable[[int], bool]) -> int:
    """Return how many cuts fit, all before the first that does not."""
    low, high = 0, 1
    while high <= len(cuts) and fits(cuts[high - 1]):  # short steps first: to write out a long text costs time
        low, high = high, high * 2
    high = min(high - 1, len(cuts))
    while low < high:
        middle = (low + high) // 2
        if fits(cuts[middle]):
            low = middle + 1
        else:
            high = middle
    return low
