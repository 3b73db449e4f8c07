"""The text of messages in HTML, read by the reader of web pages in its own process."""

from __future__ import annotations

from qwendesk.errors import InputError
from qwendesk.knowledge.readers.converter import Converter

_TIME_LIMIT_SECONDS = 20.0


class PlainText:
    """Reads HTML; scripts, styles and hidden elements are left out."""

    def __init__(self) -> None:
        self._converter = Converter(_TIME_LIMIT_SECONDS, processes=1)

    async def of(self, html: str) -> str:
        """Return the text of a piece of HTML; empty if it holds none or cannot be read."""
        if "<" not in html and "&" not in html:
            return html.strip()
        page = f"<!doctype html><html><head><meta charset='utf-8'></head><body>{html}</body></html>"
        try:
            document = await self._converter.convert("html", page.encode())
        except InputError:
            return ""
        return "\n\n".join(filter(None, (section.text.strip() for section in document.sections)))

    async def aclose(self) -> None:
        """Stop the process."""
        await self._converter.aclose()
