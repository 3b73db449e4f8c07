"""The files of the web chat, and the headers that keep the page to itself."""

from __future__ import annotations

import html
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from string import Template
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute


@dataclass(frozen=True, slots=True)
class Look:
    """How the page looks, and on which sites."""

    title: str
    greeting: str
    accent: str
    origins: tuple[str, ...] = ()
    """Sites that may show the chat, beside the desk's own; ``*``: any."""

    def allows(self, origin: str | None, host: str) -> bool:
        """Return whether a page of that origin may talk; a program that is no browser names none."""
        if not origin or "*" in self.origins:
            return True
        return urlsplit(origin).netloc == host or origin in self.origins

    def file(self, name: str) -> str:
        """Return a file of the page as it is served."""
        text = (files("qwendesk.channels.web") / "static" / name).read_text("utf-8")
        match name:
            case "chat.html":
                return Template(text).substitute(title=html.escape(self.title), greeting=html.escape(self.greeting))
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
        }

    def routes(self) -> Sequence[BaseRoute]:
        """Return the routes of all files."""
        from starlette.routing import Route

        served = {"/": ("chat.html", "text/html")}
        served |= {f"/{name}": (name, "text/javascript") for name in ("chat.js", "widget.js")}
        served["/style.css"] = ("style.css", "text/css")
        return [Route(path, self._serve(*what), methods=["GET"]) for path, what in served.items()]

    def _serve(self, name: str, kind: str) -> Callable[[Request], Awaitable[Response]]:
        from starlette.responses import Response

        body, headers = self.file(name), self.headers(name)

        async def serve(request: Request) -> Response:
            return Response(body, media_type=kind, headers=headers)

        return serve
