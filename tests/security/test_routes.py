"""Every route of the real application is on a list, and refuses whoever lacks what the list asks for."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Host, Mount, Route, WebSocketRoute
from starlette.testclient import TestClient

from qwendesk import Settings
from qwendesk.channels.base import Channel
from qwendesk.desk.operators.accounts import ROLES
from qwendesk.desk.operators.audit import AuditActor
from qwendesk.plugins import load
from qwendesk.server.pages.page import SESSION_COOKIE
from qwendesk.server.route_access import ListedRoute, listed_routes
from qwendesk.service import Service
from tests.databases import put_migrated
from tests.server.browser import PASSWORD, cheap_passwords

CHANNELS: dict[str, dict[str, Any]] = {
    "web": {},
    "webhook": {"url": "http://127.0.0.1:9/answers", "secret": "whsec_" + "A" * 44},
    "telegram": {"token": "1:a", "webhook_url": "https://desk.example"},
    "slack": {"bot_token": "xoxb-1", "signing_secret": "a"},
    "chatwoot": {"base_url": "http://127.0.0.1:9", "token": "a", "secret": "a"},
}
"""The channels that have routes, as platforms call them."""


def channel(name: str) -> Channel:
    kind = load("channels", name)
    made: Channel = kind.create(kind.manifest.read(CHANNELS[name]))
    ended = Ended()
    made.start = ended.start  # type: ignore[method-assign]  # it would connect to the platform
    return made


class Ended:
    async def start(self, accept: object) -> None:
        """Return at once."""


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    put_migrated(tmp_path / "qwendesk.db")
    settings = Settings(home=tmp_path, engine="scripted", port=0, shutdown_timeout=1)
    async with Service(settings, channels={name: channel(name) for name in CHANNELS}) as running:
        yield running


def address(path: str) -> str:
    return re.sub(r"\{(\w+)(?::(\w+))?\}", lambda match: "1" if match[2] in ("int", "float") else "nothing", path)


def changing(route: ListedRoute) -> list[str]:
    return [method for method in route.methods if method not in ("GET", "HEAD", "OPTIONS")]


async def test_every_route_is_listed_and_each_list_is_used(service: Service) -> None:
    routes = list(listed_routes(service.app.routes))
    assert [route for route in routes if route.access is None] == []
    assert {route.access for route in routes} >= {"public", "signed", "visitor", "viewer", "admin"}
    assert {route.path for route in routes if route.access == "public" and route.path.startswith("/desk")} == {
        "/desk/static/{name:path}",
        "/desk/login",
        "/desk/login/code",
        "/desk/logout",
    }


@pytest.mark.parametrize("hidden", ["route", "socket", "mount", "host", "app"])
def test_a_route_on_no_list_is_found(hidden: str) -> None:
    async def endpoint(request: object) -> Response:
        return PlainTextResponse("here")

    found = {
        "route": Route("/desk/secret", endpoint),
        "socket": WebSocketRoute("/desk/socket", endpoint),
        "mount": Mount("/desk", routes=[Mount("/deep", routes=[Route("/secret", endpoint)])]),
        "host": Host("desk.example", Starlette(routes=[Route("/", endpoint)])),
        "app": Mount("/desk", app=PlainTextResponse("here")),
    }[hidden]
    assert None in [route.access for route in listed_routes([Route("/", endpoint), found])]


async def test_public_routes_answer_anybody(service: Service) -> None:
    await service.operators.accounts.add("ann", "unused", AuditActor())
    async with client(service) as anybody:
        for route in listed_routes(service.app.routes):
            if route.access == "public" and "GET" in route.methods and "{" not in route.path:
                assert (await anybody.get(route.path)).status_code in (200, 303, 307), route


async def test_signed_routes_refuse_whoever_does_not_sign(service: Service) -> None:
    tried = 0
    body = json.dumps({"text": "hello", "conversation": "c"})
    async with client(service) as anybody:
        for route in listed_routes(service.app.routes):
            if route.access == "signed":
                for method in route.methods:
                    answer = await anybody.request(method, route.path, content=body)
                    assert answer.status_code in (401, 403), route
                    tried += 1
    assert tried >= 2 * (len(CHANNELS) - 1)


def test_the_visitors_socket_needs_the_visitors_token() -> None:
    (web,) = [one for one in listed_routes(Starlette(routes=channel("web").routes()).routes) if not one.methods]
    with TestClient(Starlette(routes=channel("web").routes())).websocket_connect(web.path) as socket:
        for frame in ({"type": "message", "text": "hello"}, {"type": "hello", "session": "short"}):
            socket.send_json(frame)
            assert socket.receive_json()["type"] == "refused"


async def test_operators_routes_refuse_whoever_is_not_logged_in(service: Service) -> None:
    await service.operators.accounts.add("ann", "unused", AuditActor())
    tried = 0
    async with client(service) as browser:
        for route in operators_routes(service):
            for cookie in ("", "nonsense", "x" * 43):
                browser.cookies = httpx.Cookies({SESSION_COOKIE: cookie} if cookie else {})
                for method in set(route.methods) - {"HEAD"}:
                    answer = await browser.request(method, address(route.path))
                    expected = (303, "/desk/login") if method == "GET" else (401, "")
                    assert (answer.status_code, answer.headers.get("location", "")[:11]) == expected, route
                    tried += 1
    assert tried > 60


async def test_operators_routes_refuse_a_lower_role_and_a_request_without_the_token(service: Service) -> None:
    hashed = await cheap_passwords().hash(PASSWORD)
    tokens: dict[str, str] = {}
    for role in reversed(ROLES):
        await service.operators.accounts.add(role, hashed, AuditActor(), role=role)
        begun = await service.operators.log_in.with_password(role, PASSWORD, None)
        assert begun
        tokens[role] = begun.token
    tried = 0
    forged = {"Origin": "https://evil.example", "X-CSRF-Token": "x"}
    async with client(service) as browser:
        for route, role in product(operators_routes(service), ROLES):
            browser.cookies = httpx.Cookies({SESSION_COOKIE: tokens[role]})
            is_below = ROLES.index(role) < ROLES.index(route.access)  # type: ignore[arg-type]  # one of the roles
            for method in set(route.methods) - {"HEAD"} if is_below else changing(route):
                for headers in ({}, forged):
                    answer = await browser.request(method, address(route.path), headers=headers)
                    assert answer.status_code == 403, (route, role)
                    tried += 1
    assert tried > 60


def operators_routes(service: Service) -> list[ListedRoute]:
    return [route for route in listed_routes(service.app.routes) if route.access in ROLES]


def client(service: Service) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(service.app, client=("203.0.113.9", 1234))
    return httpx.AsyncClient(transport=transport, base_url="http://desk.example")
