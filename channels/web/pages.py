"""The files of the web chat and their security headers."""

from __future__ import annotations

import html
import json
import logging
import re
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
    "greeting", "connecting", "close", "messages", "chosen", "your_message", "write", "choose", "attach", "send",
    "stop", "machine", "newest", "new", "earlier", "back", "form_title", "name", "email", "phone", "form_text", "leave",
)  # fmt: skip
_SCRIPT_TEXTS = (
    "connecting", "offline", "large_file", "large", "broken_file", "good", "bad", "writing", "assistant", "talking",
    "you", "team", "done", "sending", "unsent", "retry", "copy", "copy_code", "copied", "new", "starters", "one_of",
    "wrong_email", "wrong_phone", "address_thanks",
)  # fmt: skip
"""Texts that the page's script shows."""
_SCRIPTS = ("chat", "connection", "messages", "markup", "identity", "address", "store", "widget")
_STARTER = re.compile(r"([a-z]{2})(?:-[A-Za-z]+)?:\s+(.+)")
_MAX_STARTERS = 8
_BLACK, _WHITE = "#000000", "#ffffff"
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
    language: str = ""
    """Language of the page; empty: the browser's."""
    bot_name: str = ""
    """Name of the bot over its messages; empty: 'Assistant' in the page's language."""
    bot_picture: str = ""
    """Address of the bot's picture."""
    starters: tuple[tuple[str, str], ...] = ()
    """Questions to begin with, each after its language; an empty language stands for all."""
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
        texts = {name: labels[name] for name in _SCRIPT_TEXTS}
        shown = {
            "texts": texts | ({"assistant": self.bot_name} if self.bot_name else {}),
            "picture": self.bot_picture,
            "starters": self._starters(language),
        }
        values["shown"] = json.dumps(shown, ensure_ascii=False)
        values["dir"] = "rtl" if language in _RIGHT_TO_LEFT else "ltr"
        return Template(_static("chat.html")).substitute({name: html.escape(text) for name, text in values.items()})

    def _starters(self, language: str) -> list[str]:
        """Return the questions of a language, else those of no language."""
        own = [question for of, question in self.starters if of == language]
        return (own or [question for of, question in self.starters if not of])[:_MAX_STARTERS]

    def file(self, name: str) -> str:
        """Return another file of the page with the settings filled in."""
        text, ink = _static(name), readable_ink(self.accent)
        match name:
            case "style.css":
                return f":root {{ --accent: {self.accent}; --on-accent: {ink}; }}\n{text}"
            case "widget.js":
                values = {"title": self.title, "accent": self.accent, "ink": ink}
                return f"const QWENDESK = {json.dumps(values)};\n{text}"
        return text

    def headers(self, name: str) -> dict[str, str]:
        """Return the response headers of a file; other sites may load all files except the page."""
        if name != "chat.html":
            return {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache"}
        pictures = " ".join(["'self' data:", *filter(None, [_origin(self.bot_picture)])])
        policy = (
            f"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src {pictures}; "
            "require-trusted-types-for 'script'; trusted-types qwendesk; "
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

        served = {f"/{name}.js": (f"{name}.js", "text/javascript") for name in _SCRIPTS}
        served["/style.css"] = ("style.css", "text/css")
        files_ = [Route(path, self._serve(*what), methods=["GET"]) for path, what in served.items()]
        return [Route("/", self._show, methods=["GET"]), *files_]

    async def _show(self, request: Request) -> Response:
        from starlette.responses import Response

        if request.headers.get("sec-fetch-dest") in ("iframe", "frame"):
            site = _origin(request.headers.get("referer", ""))
            if not self.allows(site, request.headers.get("host", "")):
                self.log_refused(site)
        wished = request.query_params.get("lang", ""), self.language, request.headers.get("accept-language", "")
        body = self.render(best_language(*wished))
        return Response(body, media_type="text/html", headers=self.headers("chat.html"))

    def _serve(self, name: str, kind: str) -> Callable[[Request], Awaitable[Response]]:
        from starlette.responses import Response

        body, headers = self.file(name), self.headers(name)

        async def serve(request: Request) -> Response:
            return Response(body, media_type=kind, headers=headers)

        return serve


def read_starters(lines: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return questions with their languages, from lines such as ``it: Dove è il mio ordine?``."""
    found = []
    for line in lines:
        of = _STARTER.fullmatch(line.strip())
        language = known_language(of[1]) if of else None
        found.append((language, of[2].strip()) if of and language else ("", line.strip()))
    return tuple(found)


def readable_ink(colour: str) -> str:
    """Return white where its contrast with a colour is at least 4.5, as WCAG AA wants it, else black, whose is then."""
    return _WHITE if 1.05 / (_luminance(colour) + 0.05) >= 4.5 else _BLACK


def _luminance(colour: str) -> float:
    """Return the relative luminance of a colour, as WCAG defines it."""
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in channels]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


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
