"""The HTTP route ``/healthz``: the state of the desk, with details for its operator."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from qwendesk.errors import QwendeskError, StoreError
from qwendesk.server.addresses import is_forwarded, is_loopback

Health = Callable[[], Awaitable[dict[str, Any]]]
"""Returns the state of the desk; raises ``QwendeskError`` if it cannot work."""
_CACHE_SECONDS = 1.0
"""Time for which a result is reused: anybody may request it, and it queries the database."""
_TIMEOUT_SECONDS = 10.0
"""Limit of one check, so that requests do not pile up while the database hangs."""
_UNKNOWN = "the desk cannot work"


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
