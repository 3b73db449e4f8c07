"""Convert an answer to the messages that a channel sends."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from qwendesk.channels.base import ChannelCapabilities, Markup
from qwendesk.channels.markup.dialect import item_number
from qwendesk.channels.markup.render import markdown_parser, render, written
from qwendesk.channels.markup.text_split import Fits, count_fitting, split_characters, split_paragraph, split_plain

if TYPE_CHECKING:
    from markdown_it.token import Token

_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")
_NUMBER = re.compile(r" {0,3}(\d+)")
_MARKER = re.compile(r" {0,3}(?:[-+*]|\d{1,9}[.)])(?: {1,4}(?=\S)| |$)")
_QUOTED = re.compile(r"^ {0,3}> ?", re.MULTILINE)
_MEASURES: dict[str, Callable[[str], int]] = {
    "characters": len,
    "utf16": lambda text: len(text.encode("utf-16-le", "surrogatepass")) // 2,
    "bytes": lambda text: len(text.encode("utf-8", "surrogatepass")),
}
_TAG = re.compile(r"<(?!hr)[^<>]*>")
"""A tag without visible output."""
_LEADING = re.compile(r"\A(?:[^\S\n]*\n)+")
"""Leading blank lines; the indentation of the first line is kept, since it can mark code."""
_GROWTH = 16
"""Maximum growth factor of a part without a table, by entities and tags."""


@dataclass(frozen=True, slots=True)
class _Part:
    """A piece of Markdown, and the separator between it and the preceding piece."""

    text: str
    between: str = "\n\n"
    apart: bool = False
    """Whether it must begin a message, because it would parse differently after the preceding piece."""


def split_markdown(text: str, fits: Fits) -> list[str]:
    """Return the parts of a text in order; each fits, and cuts prefer block, sentence and word boundaries.

    Args:
        text: Markdown.
        fits: returns whether a part can be sent; it must accept every single character.
    """
    return [text] if fits(text) else _packed(list(_parts(text, fits)), fits)


def _parts(text: str, fits: Fits) -> Iterator[_Part]:
    for block in _blocks(text):
        yield from [_Part(block)] if fits(block) else _block_parts(block, fits)


def _blocks(text: str) -> list[str]:
    """Return the source of each top-level block, without the blank lines between blocks."""
    lines = text.split("\n")
    starts = sorted({token.map[0] for token in markdown_parser().parse(text) if token.level == 0 and token.map})
    if starts:
        starts[0] = 0
    ends = [*starts[1:], len(lines)]
    found = ("\n".join(lines[start:end]).strip("\n") for start, end in zip(starts, ends, strict=True))
    return [block for block in found if block.strip()] or [text]


def _block_parts(block: str, fits: Fits) -> Iterator[_Part]:
    """Yield the parts of one block that does not fit."""
    tokens = markdown_parser().parse(block)
    kind = tokens[0].type if tokens else ""
    if kind in ("bullet_list_open", "ordered_list_open"):
        yield from _list_parts(_items(block, tokens), fits)
        return
    yield from map(_Part, _divided(kind, block, tokens, fits))


def _divided(kind: str, block: str, tokens: Sequence[Token], fits: Fits) -> Sequence[str]:
    if kind == "fence" and (fence := _FENCE.match(block)):
        return _divide_code(block.split("\n"), fence[1], fits)
    if kind == "code_block":
        code = tokens[0].content.rstrip("\n")
        mark = "`" * max(3, 1 + max(map(len, re.findall("`+", code)), default=0))
        return _wrapped(code.split("\n"), f"{mark}\n", f"\n{mark}", fits)
    if kind == "table_open":
        return _divide_table(block.split("\n"), fits)
    if kind == "blockquote_open" and fits(_quoted("x")):
        return [_quoted(part) for part in split_markdown(_QUOTED.sub("", block), lambda part: fits(_quoted(part)))]
    return split_paragraph(block, fits)


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.split("\n"))


def _items(block: str, tokens: Sequence[Token]) -> list[str]:
    lines = block.split("\n")
    opened = [token for token in tokens if token.type == "list_item_open" and token.level == 1 and token.map]
    starts = [token.map[0] for token in opened if token.map]
    ends = [*starts[1:], len(lines)]
    items = ["\n".join(lines[start:end]).rstrip("\n") for start, end in zip(starts, ends, strict=True)]
    if tokens[0].type == "bullet_list_open":
        return items
    return [_numbered(item, item_number(token)) for item, token in zip(items, opened, strict=True)]


def _numbered(item: str, number: int) -> str:
    """Replace the number of an item by its displayed number, so that the item can begin a part."""
    if not (written := _NUMBER.match(item)):
        return item
    wider = " " * (len(str(number)) - len(written[1]))
    return f"{number}{item[written.end() :]}".replace("\n", f"\n{wider}")


def _list_parts(items: Sequence[str], fits: Fits) -> Iterator[_Part]:
    after: Sequence[_Part] = ()
    for place, item in enumerate(items):
        parts = [_Part(item, "\n")] if fits(item) else _item_parts(item, fits)
        if len(after) > 1:  # the rest of an item is not indented: a numbered list at its end would absorb this item
            parts[0] = replace(parts[0], between="\n\n", apart=_ends_in_numbers(after[-1].text))
        elif not place:
            parts[0] = replace(parts[0], between="\n\n")
        yield from parts
        after = parts


def _ends_in_numbers(text: str) -> bool:
    return markdown_parser().parse(text)[-1].type == "ordered_list_close"


def _item_parts(item: str, fits: Fits) -> list[_Part]:
    """Return the parts of one item: the first with the item's marker, the others without."""
    first, *others = item.split("\n")
    mark = _MARKER.match(first.expandtabs(4))
    if mark is None or not fits(f"{mark[0]}x"):
        return [_Part(part) for part in split_paragraph(item, fits)]
    width = max(2, len(mark[0]))
    content = "\n".join([first.expandtabs(4)[len(mark[0]) :], *(_dedented(line, width) for line in others)])

    def whole(part: str) -> str:
        return mark[0].ljust(width) + re.sub(r"\n(?=[^\n])", "\n" + " " * width, part)

    start, *rest = split_markdown(content.strip("\n"), lambda part: fits(whole(part)) and fits(part))
    return [_Part(whole(start), "\n"), *map(_Part, rest)]


def _dedented(line: str, width: int) -> str:
    blank = len(line) - len(line.lstrip(" \t"))
    line = line[:blank].expandtabs(4) + line[blank:]
    return line[min(width, len(line) - len(line.lstrip(" "))) :]


def _divide_code(lines: list[str], mark: str, fits: Fits) -> list[str]:
    closed = len(lines) > 1 and lines[-1].strip(" \t" + mark[0]) == "" and len(lines[-1].strip()) >= len(mark)
    code = lines[1:-1] if closed else lines[1:]
    return _wrapped(code, f"{lines[0]}\n", f"\n{mark}", fits)


def _divide_table(lines: list[str], fits: Fits) -> list[str]:
    head = "\n".join(lines[:2]) + "\n"
    rows = [row for row in lines[2:] if fits(head + row)]
    if len(rows) < len(lines) - 2 or not rows:
        return split_paragraph("\n".join(lines), fits)  # a row does not fit: split the table as text
    return _wrapped(rows, head, "", fits)


def _wrapped(lines: list[str], before: str, after: str, fits: Fits) -> list[str]:
    """Pack lines into parts, each between the same prefix and suffix."""

    def whole(part: str) -> str:
        return f"{before}{part}{after}"

    def within(part: str) -> bool:
        return fits(whole(part))

    if not within("x"):
        return split_paragraph("\n".join(lines), fits)
    short = [piece for line in lines for piece in ([line] if within(line) else split_characters(line, within))]
    return [whole(part) for part in _packed([_Part(piece, "\n") for piece in short], within)]


def _packed(parts: Sequence[_Part], fits: Fits) -> list[str]:
    """Join consecutive pieces while they fit together."""
    packed: list[str] = []
    start = 0
    while start < len(parts):
        apart = next((place for place in range(start + 1, len(parts)) if parts[place].apart), len(parts))
        whole = partial(_joined, parts, start)
        fitting = count_fitting(range(start + 1, apart + 1), _fitting(whole, fits))
        end = start + max(1, fitting)
        packed.append(whole(end))
        start = end
    return packed


def _fitting(whole: Callable[[int], str], fits: Fits) -> Callable[[int], bool]:
    return lambda end: fits(whole(end))


def _joined(parts: Sequence[_Part], start: int, end: int) -> str:
    return parts[start].text + "".join(part.between + part.text for part in parts[start + 1 : end])


@dataclass(frozen=True, slots=True)
class MessagePart:
    """Text of one message."""

    text: str
    """The text in the channel's markup."""
    plain: str
    """The text without markup."""


def split_message(text: str, capabilities: ChannelCapabilities) -> list[MessagePart]:
    """Return the messages for a Markdown text; none if it has no visible character."""
    markup = capabilities.markup
    text = _LEADING.sub("", text.replace("\r\n", "\n").replace("\r", "\n")).rstrip()
    parts = split_markdown(text, _fits(capabilities))
    pieces = [_piece(part, markup) for part in parts if has_visible_text(part)]
    if shown := [piece for piece in pieces if has_visible_output(piece.text, markup)]:
        return shown
    # the text consists of markup characters only: send them as plain text
    measure, longest = _MEASURES[capabilities.length_unit], capabilities.max_length
    raw = split_plain(text, lambda part: measure(written(part, markup)) <= longest)
    return [MessagePart(written(part, markup), part) for part in raw if has_visible_text(part)]


def has_visible_text(text: str) -> bool:
    """Return whether a text has a visible character."""
    return any(not (sign.isspace() or unicodedata.category(sign) in ("Cf", "Cc")) for sign in text)


def has_visible_output(written: str, markup: Markup) -> bool:
    """Return whether a rendered text has a visible character."""
    return has_visible_text(_TAG.sub("", written) if markup in ("html", "telegram") else written)


def _piece(part: str, markup: Markup) -> MessagePart:
    return MessagePart(render(part, markup), render(part, "plain"))


def _fits(capabilities: ChannelCapabilities) -> Callable[[str], bool]:
    # Telegram counts the length after parsing entities
    measured = "plain" if capabilities.markup == "telegram" else capabilities.markup
    measure, longest = _MEASURES[capabilities.length_unit], capabilities.max_length

    def fits(part: str) -> bool:
        if "|" not in part and measure(part) * _GROWTH <= longest:
            return True  # avoids rendering
        return measure(render(part, measured)) <= longest

    return fits
