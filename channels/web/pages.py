"""The files of the web chat, and the headers that keep the page to itself."""

from __future__ import annotations

import html
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from qwendesk.desk.translations import FALLBACK, known_language, say

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute


_LABELS = (
    "greeting", "connecting", "close", "messages", "writing", "chosen", "your_message", "write", "choose", "attach",
    "send", "machine",
)  # fmt: skip
_TOLD = ("connecting", "large_file", "large", "broken_file", "good", "bad")
"""Texts that the page's script says."""
_FROM_THE_RIGHT = ("ar", "fa", "he", "ur")
_LONGEST_WISH = 500
_MOST_TOLD = 100
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Look:
    """How the page looks, and on which sites."""

    title: str
    greeting: str
    """What a visitor reads first; empty: a greeting in the visitor's language."""
    accent: str
    origins: tuple[str, ...] = ()
    """Sites that may show the chat, beside the desk's own; ``*``: any."""
    machine: str | bool = True
    """What says that a machine answers; True: the built-in text in the visitor's language, False: nothing."""
    _told: set[str] = field(default_factory=set, compare=False)
    """Sites that were refused, and logged."""

    def allows(self, origin: str | None, host: str) -> bool:
        """Return whether a page of that origin may talk; a program that is no browser names none."""
        if not origin or "*" in self.origins:
            return True
        try:
            return urlsplit(origin).netloc == host or origin in self.origins
        except ValueError:
            return False

    def tell_refused(self, origin: str | None) -> None:
        """Log, once for each, that a site may not show the chat."""
        if origin and origin not in self._told and len(self._told) < _MOST_TOLD:
            self._told.add(origin)
            log.warning("The web chat was refused to %r: 'origins' in [channels.web] does not have it.", origin[:200])

    def page(self, language: str) -> str:
        """Return the page in a language."""
        labels = {name: say(f"web_{name}", language) for name in (*_LABELS, *_TOLD)}
        values = labels | {"title": self.title, "greeting": self.greeting or labels["greeting"], "lang": language}
        values["machine"] = labels["machine"] if self.machine is True else self.machine or ""
        values["machine_hidden"] = "" if self.machine else "hidden"
        values["texts"] = json.dumps({name: labels[name] for name in _TOLD}, ensure_ascii=False)
        values["dir"] = "rtl" if language in _FROM_THE_RIGHT else "ltr"
        return Template(_static("chat.html")).substitute({name: html.escape(text) for name, text in values.items()})

    def file(self, name: str) -> str:
        """Return another file of the page as it is served."""
        text = _static(name)
        match name:
            case "style.css":
                return f":root {{ --accent: {self.accent}; }}\n{text}"
            case "widget.js":
                return f"const QWENDESK = {json.dumps({'title': self.title, 'accent': self.accent})};\n{text}"
        return text

    def headers(self, name: str) -> dict[str, str]:
        """Return what the browser is to allow a file; a script for other sites may be loaded by them."""
        if name != "chat.html":
            return {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache"}
        policy = (
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
            f"base-uri 'none'; form-action 'none'; frame-ancestors 'self' {' '.join(self.origins)}"
        )
        return {
            "Content-Security-Policy": policy.strip(),
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-cache",
            "Vary": "Accept-Language",
        }

    def routes(self) -> Sequence[BaseRoute]:
        """Return the routes of all files."""
        from starlette.routing import Route

        served = {f"/{name}": (name, "text/javascript") for name in ("chat.js", "widget.js")}
        served["/style.css"] = ("style.css", "text/css")
        files_ = [Route(path, self._serve(*what), methods=["GET"]) for path, what in served.items()]
        return [Route("/", self._show, methods=["GET"]), *files_]

    async def _show(self, request: Request) -> Response:
        from starlette.responses import Response

        if request.headers.get("sec-fetch-dest") in ("iframe", "frame"):
            site = _origin(request.headers.get("referer", ""))
            if not self.allows(site, request.headers.get("host", "")):
                self.tell_refused(site)
        wished = request.query_params.get("lang", ""), request.headers.get("accept-language", "")
        body = self.page(best_language(*wished))
        return Response(body, media_type="text/html", headers=self.headers("chat.html"))

    def _serve(self, name: str, kind: str) -> Callable[[Request], Awaitable[Response]]:
        from starlette.responses import Response

        body, headers = self.file(name), self.headers(name)

        async def serve(request: Request) -> Response:
            return Response(body, media_type=kind, headers=headers)

        return serve


def best_language(*wishes: str) -> str:
    """Return the language that is wished for most, of those that there are texts in.

    Args:
        wishes: each as in the header ``Accept-Language``: ``de-AT, it;q=0.5``; the first that names a known one counts.
    """
    for wish in wishes:
        tags = [part.strip().partition(";") for part in wish[:_LONGEST_WISH].split(",")]
        for tag, _, weight in sorted(tags, key=lambda tag: -_weight(tag[2])):
            if (language := known_language(tag.strip())) and _weight(weight) > 0:
                return language
    return FALLBACK


def _origin(referer: str) -> str:
    """Return the site of a page that a browser names, empty where it names none."""
    try:
        scheme, place = urlsplit(referer)[:2]
    except ValueError:
        return ""
    return f"{scheme}://{place}" if scheme and place else ""


def _weight(parameter: str) -> float:
    name, _, value = parameter.strip().partition("=")
    try:
        return float(value) if name.strip() == "q" else 1.0
    except ValueError:
        return 0.0


def _static(name: str) -> str:
    return (files("qwendesk.channels.web") / "static" / name).read_text("utf-8")
