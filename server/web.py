"""The desk's web server: its application, and running it beside everything else."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Mount, Route

from qwendesk.errors import ConfigError, QwendeskError

Health = Callable[[], Awaitable[dict[str, Any]]]
"""Says how the desk is; raises ``QwendeskError`` where it cannot work."""


LARGEST_FRAME = 9 * 2**20
"""Bytes of one WebSocket frame that are read at all; a larger one ends its connection with the code 1009.

More than channels take, so that whoever sends a little too much can be told so.
"""


def build_web(health: Health, of_channels: Mapping[str, Sequence[BaseRoute]] | None = None) -> Starlette:
    """Return the application: ``/healthz``, and each channel's routes under ``/channels/NAME/``."""

    async def healthz(request: Request) -> JSONResponse:
        try:
            return JSONResponse({"status": "ok", **await health()})
        except QwendeskError as error:
            return JSONResponse({"status": "failing", "reason": str(error)}, status_code=503)

    channels = {name: list(routes) for name, routes in (of_channels or {}).items() if routes}
    mounts = [Mount(f"/channels/{name}", routes=routes) for name, routes in channels.items()]
    bare = [route for name, routes in channels.items() for route in _without_slash(f"/channels/{name}", routes)]
    return Starlette(routes=[Route("/healthz", healthz), *bare, *mounts])


def _without_slash(path: str, routes: Sequence[BaseRoute]) -> Iterator[BaseRoute]:
    """Yield what answers calls to a channel's address without its last slash: few programs follow redirects there.

    Pages keep the redirect: what they load lies below the address with the slash.
    """
    for route in routes:
        if isinstance(route, Route) and route.path == "/" and "GET" not in (route.methods or ()):
            yield Route(path, route.endpoint, methods=list(route.methods or ()))


class WebServer:
    """Runs an application on an address until it is stopped."""

    def __init__(self, app: Starlette, host: str, port: int) -> None:
        config = uvicorn.Config(
            app,
            host,
            port,
            log_level="warning",
            lifespan="off",
            timeout_graceful_shutdown=5,
            ws_max_size=LARGEST_FRAME,
        )
        self._address = f"{host}:{port}"
        self._server = _Server(config)
        self._task: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port that is listened on, which the system has chosen where 0 was asked for."""
        return int(self._server.servers[0].sockets[0].getsockname()[1])

    async def start(self) -> None:
        """Begin to listen.

        Raises:
            ConfigError: the address cannot be had.
        """
        self._task = asyncio.create_task(self._server.serve())
        while not self._server.started:
            if self._task.done():
                raise ConfigError(f"The address {self._address!r} cannot be listened on; set QWENDESK_PORT to another.")
            await asyncio.sleep(0.01)

    async def stop(self) -> None:
        """Answer what is open and listen no more."""
        self._server.should_exit = True
        if self._task:
            await self._task


class _Server(uvicorn.Server):
    """Leaves signals to the program, and says that it failed instead of ending it."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def serve(self, sockets: Any = None) -> None:
        with contextlib.suppress(SystemExit):
            await super().serve(sockets)
