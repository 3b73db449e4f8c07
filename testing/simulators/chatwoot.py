"""Simulated Chatwoot: the agent bot's webhook and the API endpoints that a bot uses."""

from __future__ import annotations

import hmac
import json
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from qwendesk.testing.simulators.base import SeenMessage, Simulator, UserMessage, WebhookClient, serve

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

TOKEN, SECRET = "simulated-token", b"simulated-secret"
_STATUS = {"gone": 404, "broken": 502, "slow_down": 429, "bad_markup": 422}


class ChatwootSimulator(Simulator):
    """A Chatwoot account with one inbox."""

    uses_webhook = numeric_ids = True

    def __init__(self) -> None:
        super().__init__()
        self.webhook = WebhookClient()
        self.status: dict[str, str] = {}
        """The status of each conversation; ``pending`` by default."""
        self.stores: dict[str, str] = {}
        """Redirect URLs of files by name."""
        self._url = ""
        self._number = 0
        self._files: dict[str, tuple[str, bytes]] = {}
        self.last_call: dict[str, Any] = {}
        """The body of the last webhook call."""

    def settings(self) -> dict[str, Any]:
        """Return the channel settings of this account."""
        return {"base_url": self._url, "token": TOKEN, "secret": SECRET.decode()}

    async def write(self, message: UserMessage) -> str:
        """Call the desk's webhook with a customer's message."""
        self._number += 1
        conversation = (message.chat or message.person).lstrip("-")
        self.last_call = {
            "event": "message_created",
            "id": self._number,
            "content": message.text,
            "message_type": "incoming",
            "private": False,
            "account": {"id": 1, "name": "Acme"},
            "conversation": {"id": int(conversation), "status": self.status.get(conversation, "pending")},
            "sender": {
                "id": int(message.person),
                "name": "Anna",
                "type": "agent_bot" if message.bot else "contact",
                "additional_attributes": {"browser_language": message.locale},
            },
            "attachments": [self._kept(file.name, file.mime, file.data) for file in message.files],
        }
        await self.repeat()
        return str(self._number)

    async def repeat(self) -> None:
        """Call the webhook again with the last message."""
        await self.call(json.dumps(self.last_call).encode())

    async def deliver_malformed(self, payload: Any) -> None:
        """Call the webhook with an invalid, correctly signed body."""
        await self.call(payload if isinstance(payload, bytes) else json.dumps(payload).encode())

    async def call(self, body: bytes, *, secret: bytes = SECRET, now: float | None = None) -> int:
        """Call the webhook and return the status of the response."""
        moment = str(int(time.time() if now is None else now))
        signature = "sha256=" + hmac.digest(secret, f"{moment}.".encode() + body, "sha256").hex()
        self.webhook.url = f"{self.desk_url}/channels/chatwoot/"
        headers = {"X-Chatwoot-Timestamp": moment, "X-Chatwoot-Signature": signature}
        return (await self.webhook.call(body, headers)).status_code

    async def _start(self, stack: AsyncExitStack) -> None:
        from starlette.applications import Starlette
        from starlette.routing import Route

        base = "/api/v1/accounts/1/conversations/{conversation}"
        routes = [
            Route("/api/v1/profile", self._profile),
            Route("/api/v1/accounts/0/conversations/0/messages", self._nowhere, methods=["POST"]),
            Route(f"{base}/messages", self._message, methods=["POST"]),
            Route("/rails/active_storage/blobs/redirect/{name}", self._sent_on),
            Route("/files/{name}", self._download),
        ]
        self._url = await stack.enter_async_context(serve(Starlette(routes=routes)))

    def _kept(self, name: str, mime: str, data: bytes) -> dict[str, Any]:
        self._files[name] = (mime, data)
        family = mime.partition("/")[0]
        url = f"{self._url}/rails/active_storage/blobs/redirect/{quote(name)}"
        return {"id": 1, "file_type": family if family in ("image", "audio", "video") else "file", "data_url": url}

    async def _profile(self, request: Request) -> Response:
        from starlette.responses import JSONResponse

        return JSONResponse({"error": "Access to this endpoint is not authorized for bots"}, 401)

    async def _nowhere(self, request: Request) -> Response:
        from starlette.responses import JSONResponse

        return JSONResponse({}, 404 if request.headers.get("api_access_token") == TOKEN else 401)

    async def _sent_on(self, request: Request) -> Response:
        from starlette.responses import RedirectResponse

        name = request.path_params["name"]
        return RedirectResponse(self.stores.get(name, f"/files/{quote(name)}"), 302)

    async def _message(self, request: Request) -> Response:
        from starlette.responses import JSONResponse

        if request.headers.get("api_access_token") != TOKEN:
            return JSONResponse({}, 401)
        if self.faults:
            return JSONResponse({}, _STATUS[self.faults.pop(0)], {"Retry-After": str(self.retry_after)})
        text = (await request.json())["content"]
        number = str(5000 + len(self.messages))
        self.messages.append(SeenMessage(number, request.path_params["conversation"], text, versions=[text]))
        self.notify()
        return JSONResponse({"id": int(number), "content": text})

    async def _download(self, request: Request) -> Response:
        from starlette.responses import Response

        return Response(self._files[request.path_params["name"]][1])
