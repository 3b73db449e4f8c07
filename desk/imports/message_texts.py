"""The texts of messages: HTML is read by the reader of web pages in its own process, or else without its tags."""

from __future__ import annotations

import re
from dataclasses import replace
from html import unescape

from qwendesk.desk.imports.records import SourceConversation, Unusable
from qwendesk.desk.imports.report import ImportReport
from qwendesk.desk.imports.values import MAX_TEXT_CHARS
from qwendesk.errors import InputError
from qwendesk.knowledge.readers.converter import Converter
from qwendesk.messages import storable_text

_TIME_LIMIT_SECONDS = 20.0
_HIDDEN = tuple(
    (re.compile(rf"<{name}\b", re.IGNORECASE), re.compile(rf"</{name}\b", re.IGNORECASE))
    for name in ("head", "script", "style", "template")
)
_BREAK = re.compile(r"<(?:br|/p|/div|/li|/tr|/h[1-6]|/blockquote)\b[^<>]{0,2000}>", re.IGNORECASE)
_TAG = re.compile(r"<[/!a-zA-Z][^<>]{0,2000}>")


class MessageTexts:
    """Reads the texts of a run, and counts what it leaves out.

    Args:
        report: the report of the run.
    """

    def __init__(self, report: ImportReport) -> None:
        self._report = report
        self._converter = Converter(_TIME_LIMIT_SECONDS, processes=1)

    async def plain(self, html: str, kind: str, external_id: str) -> str:
        """Return the text of a piece of HTML without scripts, styles and hidden elements; empty if it holds none.

        Args:
            html: the HTML.
            kind: the kind of the item that it belongs to.
            external_id: that item's id, for the report.
        """
        if "<" not in html and "&" not in html:
            return html.strip()
        page = f"<!doctype html><html><head><meta charset='utf-8'></head><body>{html}</body></html>"
        try:
            document = await self._converter.convert("html", page.encode())
        except InputError as error:
            if error.problem == "empty":
                return ""
            self._report.remark(kind, external_id, "its HTML cannot be read; the text is kept without its tags")
            return without_tags(html)
        return "\n\n".join(filter(None, (section.text.strip() for section in document.sections)))

    async def conversation(self, given: SourceConversation, after: int | None) -> SourceConversation:
        """Return a conversation whose messages are plain text.

        Args:
            given: the conversation.
            after: the number of the last message that is stored already; None: none is.

        Raises:
            Unusable: none of its messages holds a text.
        """
        messages = []
        for one in given.messages:
            if after is not None and one.number <= after:
                messages.append(one)
                continue
            text = await self.plain(one.text, "message", str(one.number)) if one.is_html else one.text
            if not text:
                self._report.leave_out("message", one.number, "it holds no text")
                continue
            if len(one.text) >= MAX_TEXT_CHARS:
                told = f"it is longer than {MAX_TEXT_CHARS:,} characters; the rest is left out"
                self._report.remark("message", one.number, told)
            messages.append(replace(one, text=text, is_html=False))
        if not messages:
            raise Unusable("none of its messages holds a text")
        return replace(given, messages=tuple(messages))

    async def aclose(self) -> None:
        """Stop the process."""
        await self._converter.aclose()


def without_tags(html: str) -> str:
    """Return what stands between the tags of a piece of HTML, line by line; in a time that grows with its length."""
    for opening, closing in _HIDDEN:
        html = _without_elements(html, opening, closing)
    lines = unescape(_TAG.sub("", _BREAK.sub("\n", html))).splitlines()
    return storable_text("\n".join(filter(None, (" ".join(line.split()) for line in lines))))


def _without_elements(html: str, opening: re.Pattern[str], closing: re.Pattern[str]) -> str:
    kept, at = [], 0
    while begin := opening.search(html, at):
        kept.append(html[at : begin.start()])
        end = closing.search(html, begin.end())
        at = len(html) if end is None else (html.find(">", end.end()) + 1) or len(html)
    return "".join((*kept, html[at:]))
