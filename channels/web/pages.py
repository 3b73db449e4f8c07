"""The files of the web chat and their security headers."""

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
_SCRIPT_TEXTS = ("connecting", "large_file", "large", "broken_file", "good", "bad")
"""Texts that the page's script shows."""
_RIGHT_TO_LEFT = ("ar", "fa", "he", "ur")
_MAX_LANGUAGE_HEADER_CHARS = 500
_MAX_LOGGED_SITES = 100
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ChatPage:
    """Appearance of the page, and the websites that may embed it."""

    title: str
    greeting: str
    """First message on the page; empty: a greeting in the visitor's language."""
    accent: str
    origins: tuple[str, ...] = ()
    """Websites that may embed the chat, besides the desk's own; ``*``: any."""
    machine_notice: str | bool = True
    """Says that a machine answers; True: the built-in text in the visitor's language, False: no text."""
    _logged_sites: set[str] = field(default_factory=set, compare=False)
    """Refused sites that the log has named."""

    def allows(self, origin: str | None, host: str) -> bool:
        """Return whether a page of this origin may connect; a program that is no browser sends no origin."""
        if not origin or "*" in self.origins:
            return True
        try:
            return urlsplit(origin).netloc == host or origin in self.origins
        except ValueError:
            return False

    def log_refused(self, origin: str | None) -> None:
        """Log that a site may not embed the chat, once for each site."""
        if origin and origin not in self._logged_sites and len(self._logged_sites) < _MAX_LOGGED_SITES:
            self._logged_sites.add(origin)
            log.warning("The web chat refused the site %r: it is not among 'origins' in [channels.web].", origin[:200])

    def render(self, language: str) -> str:
        """Return the page in a language."""
        labels = {name: say(f"web_{name}", language) for name in (*_LABELS, *_SCRIPT_TEXTS)}
        values = labels | {"title": self.title, "greeting": self.greeting or labels["greeting"], "lang": language}
        values["machine"] = labels["machine"] if self.machine_notice is True else self.machine_notice or ""
        values["machine_hidden"] = "" if self.machine_notice else "hidden"
        values["texts"] = json.dumps({name: labels[name] for name in _SCRIPT_TEXTS}, ensure_ascii=False)
        values["dir"] = "rtl" if language in _RIGHT_TO_LEFT else "ltr"
        return Template(_static("chat.html")).substitute({name: html.escape(text) for name, text in values.items()})

    def file(self, name: str) -> str:
        """Return another file of the page with the settings filled in."""
        text = _static(name)
        match name:
            case "style.css":
                return f":root {{ --accent: {self.accent}; }}\n{text}"
            case "widget.js":
                return f"const QWENDESK = {json.dumps({'title': self.title, 'accent': self.accent})};\n{text}"
        return text

    def headers(self, name: str) -> dict[str, str]:
        """Return the response headers of a file; other sites may load all files except the page."""
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
                self.log_refused(site)
        wished = request.query_params.get("lang", ""), request.headers.get("accept-language", "")
        body = self.render(best_language(*wished))
        return Response(body, media_type="text/html", headers=self.headers("chat.html"))

    def _serve(self, name: str, kind: str) -> Callable[[Request], Awaitable[Response]]:
        from starlette.responses import Response

        body, headers = self.file(name), self.headers(name)

        async def serve(request: Request) -> Response:
            return Response(body, media_type=kind, headers=headers)

        return serve


def best_language(*preferences: str) -> str:
    """Return the most preferred of the languages that have texts.

    Args:
        preferences: each in the form of ``Accept-Language``: ``de-AT, it;q=0.5``; the first that has a known language
            counts.
    """
    for preference in preferences:
        tags = [part.strip().partition(";") for part in preference[:_MAX_LANGUAGE_HEADER_CHARS].split(",")]
        for tag, _, weight in sorted(tags, key=lambda tag: -_weight(tag[2])):
            if (language := known_language(tag.strip())) and _weight(weight) > 0:
                return language
    return FALLBACK


def _origin(referer: str) -> str:
    """Return the origin of a ``Referer``; empty if it has none."""
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
