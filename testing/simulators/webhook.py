"""Simulated program at the other end of the generic webhook."""

from __future__ import annotations

import base64
import json
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from qwendesk.channels.webhook.channel import signed_headers, verified_id
from qwendesk.testing.simulators.base import SeenMessage, Simulator, UserMessage, WebhookClient, serve

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

SECRET = "whsec_" + base64.b64encode(b"a simulated secret, 32 bytes long").decode()
_STATUS = {"gone": 410, "broken": 502, "slow_down": 429, "bad_markup": 400}


class WebhookSimulator(Simulator):
    """A program that posts messages and receives answers."""

    uses_webhook = True

    def __init__(self) -> None:
        super().__init__()
        self.webhook = WebhookClient()
        self._url = ""
        self._number = 0
        self._last: tuple[str, bytes] = ("", b"")

    def settings(self) -> dict[str, Any]:
        """Return the program's URL and the shared secret."""
        return {"url": f"{self._url}/answers", "secret": SECRET}

    def wrong_settings(self, secret: str) -> dict[str, Any]:
        """Return settings with a valid secret that is not the program's."""
        return self.settings() | {secret: f"whsec_{base64.b64encode(bytes(32)).decode()}"}

    async def write(self, message: UserMessage) -> str:
        """Post a message."""
        self._number += 1
        body = {
            "id": f"m{self._number}",
            "text": message.text,
            "conversation": message.chat or message.person,
            "person": message.person,
            "locale": message.locale,
            "group": message.group,
            "attachments": [
                {"mime": file.mime, "name": file.name, "data": base64.b64encode(file.data).decode()}
                for file in message.files
            ],
        }
        if not message.bot and (message.mention or not message.group):  # the program filters messages itself
            self._last = (f"msg_{self._number}", json.dumps(body).encode())
            await self._call(*self._last)
        return str(body["id"])

    async def repeat(self) -> None:
        """Post the last message again."""
        if self._last[1]:
            await self._call(*self._last)

    async def deliver_malformed(self, payload: Any) -> None:
        """Post an invalid, correctly signed body."""
        self._number += 1
        await self._call(f"bad_{self._number}", payload if isinstance(payload, bytes) else json.dumps(payload).encode())

    async def _start(self, stack: AsyncExitStack) -> None:
        from starlette.applications import Starlette
        from starlette.routing import Route

        app = Starlette(routes=[Route("/answers", self._answered, methods=["POST"])])
        self._url = await stack.enter_async_context(serve(app))

    async def _call(self, name: str, body: bytes) -> None:
        self.webhook.url = f"{self.desk_url}/channels/webhook/"
        answer = await self.webhook.call(body, signed_headers(SECRET, name, body))
        if answer.status_code == 200 and (text := answer.json().get("text")):
            self._show({"key": name, "conversation": "", "text": text})

    async def _answered(self, request: Request) -> Response:
        from starlette.responses import JSONResponse, Response

        body = await request.body()
        if verified_id(SECRET, request.headers, body) is None:
            return Response(status_code=401)
        message = json.loads(body)
        if message["type"] == "ping":
            return Response(status_code=204)
        if self.faults:
            return Response(status_code=_STATUS[self.faults.pop(0)], headers={"Retry-After": str(self.retry_after)})
        return JSONResponse({"id": self._show(message)})

    def _show(self, message: dict[str, Any]) -> str:
        known = next((shown for shown in self.messages if shown.id == message["key"]), None)
        if known is None:
            buttons = tuple((button["label"], button["value"]) for button in message.get("buttons", ()))
            text, chat = message["text"], message["conversation"]
            shown = SeenMessage(message["key"], chat, text, message.get("reply_to"), [text], buttons=buttons)
            self.messages.append(shown)
        self.notify()
        return str(message["key"])
