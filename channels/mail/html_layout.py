"""Cut a page where its elements stand too deep in one another: the parser takes the square of that in time."""

from __future__ import annotations

import re

_MAX_OPEN = 500

"""Elements that are open at once."""

_MAX_REPEATED = 200_000

"""How often, in all, formatting that was never ended is opened again: browsers do so in every paragraph."""

_MAX_ATTRIBUTES = 4000

"""Signs between attributes that stand in one tag."""

_COMMENT = re.compile(r"(<style\b.*?(?:</style|\Z))|<!--.*?(?:-->|--!>|\Z)", re.DOTALL | re.IGNORECASE)

"""A comment, or a style sheet, in which the same signs are none."""

_TAG = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9:_-]{0,40})")

_CHOICE = re.compile(r"<(/?)(?:select|option|optgroup|selectedcontent)\b", re.IGNORECASE)

_DATA = re.compile(r"data:[a-z]+/[^\"'\s<>]*", re.IGNORECASE)

_BETWEEN = re.compile(r"[\s/\"'=]")

_NEVER_OPEN = {
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr",
    "html", "body", "head", "p", "li", "td", "th", "tr", "tbody", "thead", "tfoot", "dd", "dt",
}  # fmt: skip

"""Elements that have no end, or that the next of their kind ends."""

_FORMATTING = {"a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u"}


def truncate_html(html: str) -> str:
    """Return a page without comments, up to where it goes too deep."""
    html = _DATA.sub("data:", _CHOICE.sub(r"<\1div", _COMMENT.sub(r"\1", html)))
    opened: dict[str, int] = {}
    total = formatting = repeated = 0
    for tag in _TAG.finditer(html):
        name = tag[2].lower()
        step = 0 if name in _NEVER_OPEN else -1 if tag[1] else 1
        if _attributes(html, tag.end()) > _MAX_ATTRIBUTES:
            return html[: tag.start()]
        if step < 0 and not opened.get(name):
            continue
        opened[name] = opened.get(name, 0) + step
        total += step
        formatting += step if name in _FORMATTING else 0
        repeated += formatting
        if total > _MAX_OPEN or repeated > _MAX_REPEATED:
            return html[: tag.start()]
    return html


def _attributes(html: str, start: int) -> int:
    """Return about how many attributes a tag has; ``start`` is where its name ends."""
    end = html.find("<", start)
    if 0 <= end < start + _MAX_ATTRIBUTES:
        return 0
    end = end if end >= 0 else len(html)
    closed = html.rfind(">", start, end)
    return len(_BETWEEN.findall(html, start, closed if closed >= 0 else end))


# signs for private use, which are taken out of the page's own text before
LINE = "\ue000"

"""Ends a line, if it has not ended."""

PARAGRAPH = "\ue001"

"""Ends a paragraph: an empty line follows."""

HARD = "\ue002"

"""Ends a line in any case."""

SPACE = "\ue003"

"""A blank that stays."""

_MARKS = re.compile("[\ue000-\ue003]")

_BLANKS = re.compile(r"[ \t\r\n\f\xa0]+")

_ENDS = re.compile(" ?[\ue000-\ue002][\ue000-\ue002 ]*")


def without_marks(text: str) -> str:
    """Return a text without signs that are marks here."""
    return _MARKS.sub("", text)


def protected(text: str) -> str:
    """Return a text whose blanks and lines stay as they are."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").expandtabs(4)
    return lines.replace("\n", HARD).replace(" ", SPACE).replace("\xa0", SPACE)


def settled(text: str) -> str:
    """Return a text with marks as lines."""
    flat = _BLANKS.sub(" ", text)
    lines = _ENDS.sub(lambda found: "\n" * _count(found[0].replace(" ", "")), flat)
    return lines.strip(" \n").replace(SPACE, " ").rstrip().strip("\n")


def _count(marks: str) -> int:
    """Return how many line ends a row of marks stands for."""
    hard = marks.count(HARD)
    if not marks.startswith(HARD):
        hard += bool(hard)
    return max(hard, 2 if PARAGRAPH in marks else 1)
