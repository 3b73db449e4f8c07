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
"""Says how the desk is; raises ``QwendeskError`` where it cannot work."""
_HOLDS = 1.0
"""Seconds for which an answer is given again: anybody may ask, and it costs the database some work."""
_LONGEST = 10.0
"""Seconds that a look takes at most: a database that stands still must not let those who ask pile up."""
_UNKNOWN = "the desk cannot work"


class HealthEndpoint:
    """Answers what monitors ask.

    Args:
        health: says how the desk is.
        token: who shows it is told details on other machines, too; None: nobody is.
        longest: seconds after which a look counts as failed.
    """

    def __init__(self, health: Health, token: str | None = None, longest: float = _LONGEST) -> None:
        self._health = health
        self._token = token
        self._longest = longest
        self._asking = asyncio.Lock()
        self._asked = float("-inf")
        self._known: dict[str, Any] = {}
        self._reason = ""
        """Why it cannot work, in words for everybody."""

    async def answer(self, request: Request) -> JSONResponse:
        """Return the status, 503 where the desk cannot work; the details for some alone."""
        async with self._asking:
            if monotonic() - self._asked > _HOLDS:
                await self._ask()
        public = {"status": self._known["status"]} | ({"reason": self._reason} if self._reason else {})
        shown = self._known if self._may_see_details(request) else public
        return JSONResponse(shown, status_code=503 if self._reason else 200)

    async def _ask(self) -> None:
        try:
            async with asyncio.timeout(self._longest):
                self._known, self._reason = {"status": "ok", **await self._health()}, ""
        except TimeoutError:
            self._known = {
                "status": "failing",
                "reason": f"No answer within {self._longest:g} s: is the database busy?",
            }
            self._reason = _UNKNOWN
        except QwendeskError as error:
            self._known = {"status": "failing", "reason": str(error)}
            self._reason = error.reason if isinstance(error, StoreError) else _UNKNOWN
        self._asked = monotonic()

    def _may_see_details(self, request: Request) -> bool:
        """Tell whether it is asked on this machine, by no proxy, or with the token."""
        scheme, _, shown = request.headers.get("authorization", "").partition(" ")
        if self._token and scheme.lower() == "bearer" and hmac.compare_digest(shown.encode(), self._token.encode()):
            return True
        return bool(request.client and is_loopback(request.client.host)) and not is_forwarded(request.headers)
