"""Who may call each route of the web server: anybody, a platform that signs, a visitor, or an operator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute

from qwendesk.server.pages.desk_pages import PageEndpoint

Access = Literal["public", "signed", "visitor", "viewer", "operator", "admin"]
"""``public``: anybody. ``signed``: a platform or program that signs, or shows a secret. ``visitor``: a page of the
chat, by the visitor's own token. The others: an operator with at least this role, in a session."""
_ACCESS: dict[str, Access] = {
    "/": "public",
    "/healthz": "public",
    "/channels/web/": "public",
    "/channels/web/address.js": "public",
    "/channels/web/chat.js": "public",
    "/channels/web/connection.js": "public",
    "/channels/web/identity.js": "public",
    "/channels/web/markup.js": "public",
    "/channels/web/messages.js": "public",
    "/channels/web/store.js": "public",
    "/channels/web/widget.js": "public",
    "/channels/web/style.css": "public",
    "/channels/web/socket": "visitor",
    "/channels/chatwoot": "signed",
    "/channels/slack": "signed",
    "/channels/telegram": "signed",
    "/channels/webhook": "signed",
    "/desk/static/{name:path}": "public",
}
"""Access of all routes but the operators' pages, which state theirs; a path without its final slash counts as well."""


@dataclass(frozen=True, slots=True)
class ListedRoute:
    """A route of an application."""

    path: str
    methods: tuple[str, ...]
    """Empty: a WebSocket."""
    access: Access | None
    """None: nobody has decided who may call it."""


def listed_routes(routes: Sequence[BaseRoute], prefix: str = "") -> Iterator[ListedRoute]:
    """Yield all routes of an application, with who may call them."""
    for route in routes:
        if isinstance(route, Mount) and route.routes:
            yield from listed_routes(route.routes, prefix + route.path)
        elif isinstance(route, Route | WebSocketRoute):
            path = prefix + route.path
            methods = tuple(sorted(route.methods or ())) if isinstance(route, Route) else ()
            yield ListedRoute(path, methods, _access_of(route, path))
        else:
            yield ListedRoute(prefix + str(getattr(route, "path", "?")), (), None)


def _access_of(route: Route | WebSocketRoute, path: str) -> Access | None:
    if isinstance(route.endpoint, PageEndpoint):
        return route.endpoint.page.access
    return _ACCESS.get(path) or _ACCESS.get(path.removesuffix("/"))
