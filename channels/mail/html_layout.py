"""Truncate deeply nested HTML, for which parsing takes quadratic time, and convert layout marks to lines."""

from __future__ import annotations

import re

_MAX_OPEN = 500
"""Maximum number of open elements."""
_MAX_REPEATED = 200_000
"""Maximum number of reopened formatting elements: parsers reopen unclosed ones in every paragraph."""
_MAX_ATTRIBUTES = 4000
"""Maximum number of separators between attributes in one tag."""
_COMMENT = re.compile(r"(<style\b.*?(?:</style|\Z))|<!--.*?(?:-->|--!>|\Z)", re.DOTALL | re.IGNORECASE)
"""A comment, or a style sheet, within which comment marks have no meaning."""
_TAG = re.compile(r"<(/?)([A-Za-z][A-Za-z0-9:_-]{0,40})")
_CHOICE = re.compile(r"<(/?)(?:select|option|optgroup|selectedcontent)\b", re.IGNORECASE)
_DATA = re.compile(r"data:[a-z]+/[^\"'\s<>]*", re.IGNORECASE)
_BETWEEN = re.compile(r"[\s/\"'=]")
_NEVER_OPEN = {
    "area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr",
    "html", "body", "head", "p", "li", "td", "th", "tr", "tbody", "thead", "tfoot", "dd", "dt",
}  # fmt: skip
"""Void elements and elements whose end tag is optional."""
_FORMATTING = {"a", "b", "big", "code", "em", "font", "i", "nobr", "s", "small", "strike", "strong", "tt", "u"}
# private-use characters; ``remove_marks`` removes them from the page's own text
LINE = "\ue000"
"""Line break unless at the start of a line."""
PARAGRAPH = "\ue001"
"""Paragraph break: an empty line follows."""
HARD_BREAK = "\ue002"
"""Unconditional line break."""
SPACE = "\ue003"
"""Preserved space."""
_MARKS = re.compile("[\ue000-\ue003]")
_BLANKS = re.compile(r"[ \t\r\n\f\xa0]+")
_ENDS = re.compile(" ?[\ue000-\ue002][\ue000-\ue002 ]*")


def truncate_html(html: str) -> str:
    """Return a page without comments, truncated where it exceeds the nesting limits."""
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
    """Return the approximate number of attributes of a tag whose name ends at ``start``."""
    end = html.find("<", start)
    if 0 <= end < start + _MAX_ATTRIBUTES:
        return 0
    end = end if end >= 0 else len(html)
    closed = html.rfind(">", start, end)
    return len(_BETWEEN.findall(html, start, closed if closed >= 0 else end))


def remove_marks(text: str) -> str:
    """Return a text without the characters reserved as marks."""
    return _MARKS.sub("", text)


def preserve_whitespace(text: str) -> str:
    """Return a text whose spaces and line breaks are preserved."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").expandtabs(4)
    return lines.replace("\n", HARD_BREAK).replace(" ", SPACE).replace("\xa0", SPACE)


def apply_marks(text: str) -> str:
    """Return a text with its marks converted to spaces and line breaks."""
    flat = _BLANKS.sub(" ", text)
    lines = _ENDS.sub(lambda found: "\n" * _count(found[0].replace(" ", "")), flat)
    return lines.strip(" \n").replace(SPACE, " ").rstrip().strip("\n")


def _count(marks: str) -> int:
    """Return the number of line breaks for a sequence of marks."""
    hard = marks.count(HARD_BREAK)
    if not marks.startswith(HARD_BREAK):
        hard += bool(hard)
    return max(hard, 2 if PARAGRAPH in marks else 1)
