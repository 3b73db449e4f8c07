"""The desk's ASGI application with its health check, and the server that runs it."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from time import monotonic
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from qwendesk.errors import ConfigError, QwendeskError, StoreError
from qwendesk.server.addresses import is_forwarded, is_loopback
from qwendesk.server.guard import ConnectionGuard
from qwendesk.server.guard_adapters import ConnectionGuardMiddleware, guarded
from qwendesk.server.limits import WebLimits, possible_connections

Health = Callable[[], Awaitable[dict[str, Any]]]
"""Returns the state of the desk; raises ``QwendeskError`` if it cannot work."""
_CACHE_SECONDS = 1.0
"""Time for which a result is reused: anybody may request it, and it queries the database."""
_TIMEOUT_SECONDS = 10.0
"""Limit of one check, so that requests do not pile up while the database hangs."""
_UNKNOWN = "the desk cannot work"
MAX_FRAME_BYTES = 9 * 2**20
"""Maximum bytes of a WebSocket frame; a larger one closes the connection with code 1009.

Larger than the limits of channels, so that they can refuse a frame that is a little too large with a message.
"""
_MAX_HEADER_BYTES = 32 * 2**10
_BACKLOG = 256


class HealthEndpoint:
    """Answers the requests of monitors.

    Args:
        health: returns the state of the desk.
        token: bearer token that shows details to other machines; None: details stay on this machine.
        timeout: seconds after which a check counts as failed.
    """

    def __init__(self, health: Health, token: str | None = None, timeout: float = _TIMEOUT_SECONDS) -> None:
        self._health = health
        self._token = token
        self._timeout = timeout
        self._asking = asyncio.Lock()
        self._asked = float("-inf")
        self._known: dict[str, Any] = {}
        self._reason = ""
        """Why the desk cannot work, without details."""

    async def answer(self, request: Request) -> JSONResponse:
        """Return the status, 503 if the desk cannot work; details only to authorised clients."""
        async with self._asking:
            if monotonic() - self._asked > _CACHE_SECONDS:
                await self._ask()
        public = {"status": self._known["status"]} | ({"reason": self._reason} if self._reason else {})
        shown = self._known if self._may_see_details(request) else public
        return JSONResponse(shown, status_code=503 if self._reason else 200)

    async def _ask(self) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                self._known, self._reason = {"status": "ok", **await self._health()}, ""
        except TimeoutError:
            self._known = {
                "status": "failing",
                "reason": f"No answer within {self._timeout:g} s: is the database busy?",
            }
            self._reason = _UNKNOWN
        except QwendeskError as error:
            self._known = {"status": "failing", "reason": str(error)}
            self._reason = error.reason if isinstance(error, StoreError) else _UNKNOWN
        self._asked = monotonic()

    def _may_see_details(self, request: Request) -> bool:
        """Tell whether the client is on this machine and behind no proxy, or sends the token."""
        scheme, _, shown = request.headers.get("authorization", "").partition(" ")
        if self._token and scheme.lower() == "bearer" and hmac.compare_digest(shown.encode(), self._token.encode()):
            return True
        return bool(request.client and is_loopback(request.client.host)) and not is_forwarded(request.headers)


def build_app(
    health: Health,
    channel_routes: Mapping[str, Sequence[BaseRoute]] | None = None,
    health_token: str | None = None,
    home: str | None = None,
    desk_routes: Sequence[BaseRoute] = (),
) -> Starlette:
    """Return the application: ``/healthz``, each channel's routes under ``/channels/NAME/``, and the operators' pages.

    Args:
        health: reports the state of the desk.
        channel_routes: the routes of each channel.
        health_token: the bearer token without which ``/healthz`` shows no details.
        home: the channel to whose page ``/`` redirects.
        desk_routes: the operators' pages.
    """
    healthz = HealthEndpoint(health, health_token).answer
    channels = {name: list(routes) for name, routes in (channel_routes or {}).items() if routes}
    mounts = [Mount(f"/channels/{name}", routes=routes) for name, routes in channels.items()]
    bare = [route for name, routes in channels.items() for route in _without_slash(f"/channels/{name}", routes)]
    return Starlette(routes=[Route("/", _front(home)), Route("/healthz", healthz), *bare, *mounts, *desk_routes])


def _front(home: str | None) -> Callable[[Request], Awaitable[Response]]:
    async def front(request: Request) -> Response:
        if home:
            return RedirectResponse(f"channels/{home}/")
        return PlainTextResponse("Qwendesk runs here and has no page; /healthz reports its state.\n")

    return front


def _without_slash(path: str, routes: Sequence[BaseRoute]) -> Iterator[BaseRoute]:
    """Yield routes for a channel's address without its final slash: few programs follow a redirect of a POST.

    Pages keep the redirect, since they load files relative to the address with the slash.
    """
    for route in routes:
        if isinstance(route, Route) and route.path == "/" and "GET" not in (route.methods or ()):
            yield Route(path, route.endpoint, methods=list(route.methods or ()))


class WebServer:
    """Runs an application until it is stopped.

    Args:
        app: the application.
        host: the address to listen on.
        port: its port; 0: any free port.
        limits: limits of connections, bytes and times.
    """

    def __init__(self, app: Starlette, host: str, port: int, limits: WebLimits | None = None) -> None:
        limits = limits or WebLimits()
        self._guard = ConnectionGuard(
            replace(limits, connections=possible_connections(limits.connections)), MAX_FRAME_BYTES
        )
        http, socket = guarded(self._guard)
        # no limit_concurrency: it refuses new connections in favour of idle ones
        config = uvicorn.Config(
            ConnectionGuardMiddleware(app, self._guard),
            host,
            port,
            http=http,
            ws=socket,
            backlog=_BACKLOG,
            h11_max_incomplete_event_size=_MAX_HEADER_BYTES,
            proxy_headers=False,  # the guard checks which proxies are trusted
            ws_per_message_deflate=False,  # a small frame could become a large one
            log_config=None,  # its records go to the desk's log, which redacts secrets
            log_level="warning",
            lifespan="off",
            timeout_graceful_shutdown=5,
            ws_max_size=MAX_FRAME_BYTES,
        )
        self._host, self._asked_port = host, port
        self._server = _Server(config)
        self._task: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None

    @property
    def url(self) -> str:
        """The server's URL on this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._host, self._host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def port(self) -> int:
        """The port in use; chosen by the system if 0 was requested."""
        return int(self._server.servers[0].sockets[0].getsockname()[1])

    async def start(self) -> None:
        """Start listening.

        Raises:
            ConfigError: the address cannot be bound.
        """
        with _bind_errors() as failures:
            self._task = asyncio.create_task(self._server.serve())
            while not self._server.started:
                if self._task.done():
                    why = f" ({str(failures[0].strerror).rpartition(': ')[2]})" if failures else ""
                    raise ConfigError(
                        f"The address '{self._host}:{self._asked_port}' cannot be listened on{why}; "
                        "set QWENDESK_PORT or --port to another."
                    )
                await asyncio.sleep(0.01)
        self._watching = asyncio.create_task(self._guard.watch())
        logging.getLogger("uvicorn.error").addFilter(self._guard.limited_log.filter)

    async def stop(self) -> None:
        """Finish open requests and stop listening."""
        logging.getLogger("uvicorn.error").removeFilter(self._guard.limited_log.filter)
        if self._watching:
            self._watching.cancel()
        self._server.should_exit = True
        if self._task:
            await self._task


@contextlib.contextmanager
def _bind_errors() -> Iterator[list[OSError]]:
    """Collect errors of binding the address instead of letting uvicorn log them."""
    heard: list[OSError] = []

    def keep(record: logging.LogRecord) -> bool:
        if isinstance(record.msg, OSError):
            heard.append(record.msg)
        return not isinstance(record.msg, OSError)

    logger = logging.getLogger("uvicorn.error")
    logger.addFilter(keep)
    try:
        yield heard
    finally:
        logger.removeFilter(keep)


class _Server(uvicorn.Server):
    """A server that leaves signals to the program and does not exit the process on failure."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def serve(self, sockets: Any = None) -> None:
        with contextlib.suppress(SystemExit):
            await super().serve(sockets)
