"""Simulated Slack: the Web API methods that a bot uses, Socket Mode, and signed HTTP requests."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import html
import json
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from qwendesk.messages import Attachment
from qwendesk.testing.simulators.base import SeenMessage, Simulator, UserMessage, WebhookClient, serve

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.websockets import WebSocket

BOT_TOKEN, APP_TOKEN, SECRET = "xoxb-simulated", "xapp-simulated", "simulated-secret"
TEAM, BOT = "T1", "UBOT"
_ERRORS = {"gone": "channel_not_found", "bad_markup": "invalid_blocks"}
REDELIVERY = 1.0
"""Seconds after which a Socket Mode delivery without acknowledgement is repeated."""


class SlackSimulator(Simulator):
    """A Slack workspace.

    Args:
        uses_webhook: Whether events are delivered over HTTP; False: over Socket Mode.
    """

    users_can_edit = True
    sends_locale = False

    def __init__(self, *, uses_webhook: bool = False) -> None:
        super().__init__()
        self.uses_webhook = uses_webhook
        self.webhook = WebhookClient()
        self.closed: set[str] = set()
        """Channels without the app."""
        self.elsewhere: dict[str, Attachment] = {}
        """Files of other workspaces by id; events do not contain their URL."""
        self.threads: dict[str, dict[str, Any]] = {}
        """The first message of each thread, by its ``thread_ts``."""
        self.names: dict[str, str] = {}
        """Names of people by id."""
        self.requests: list[str] = []
        """The Web API method of each call, oldest first."""
        self._url = ""
        self._number = 0
        self._posts = 0
        self._files: dict[str, bytes] = {}
        self._last: tuple[str, dict[str, Any]] = ("", {})
        self._message = UserMessage(), ""
        self._socket: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._connected = asyncio.Event()

    def settings(self) -> dict[str, Any]:
        """Return the tokens and the base URL of this workspace."""
        way = {"signing_secret": SECRET} if self.uses_webhook else {"app_token": APP_TOKEN}
        return {"bot_token": BOT_TOKEN, "base_url": f"{self._url}/api/"} | way

    async def wait_started(self) -> None:
        """Wait until the app has called ``auth.test``, or has opened its Socket Mode connection."""
        async with asyncio.timeout(30):
            await self._connected.wait()

    async def write(self, message: UserMessage) -> str:
        """Deliver a person's message or button press."""
        self._number += 1
        stamp = f"{1_780_000_000 + self._number}.000100"
        if message.press:
            self._last = ("interactive", self._press(message))
        else:
            self._last = ("events_api", self._event(message, stamp))
            self._message = message, stamp
        await self.repeat()
        return stamp

    async def edit(self, text: str) -> None:
        """Deliver an edit of the last message."""
        self._number += 1
        message, stamp = self._message
        before, now = (self._event(one, stamp)["event"] for one in (message, replace(message, text=text)))
        place = {key: now.pop(key) for key in ("channel", "channel_type")}
        moment = f"{1_780_000_000 + self._number}.000100"
        edited = now | {"type": "message", "edited": {"user": now["user"], "ts": moment}}
        old = {key: value for key, value in before.items() if key not in place} | {"type": "message"}
        event = {"type": "message", "subtype": "message_changed", "hidden": True, "ts": moment, "event_ts": moment}
        self._last = ("events_api", self._envelope(event | place | {"message": edited, "previous_message": old}))
        await self.repeat()

    async def delete_thread(self, chat: str, thread: str) -> None:
        """Delete the first message of a thread, and deliver the event."""
        self._number += 1
        shown = next(one for one in self.messages if one.id == thread)
        self.messages.remove(shown)
        moment = f"{1_780_000_000 + self._number}.000100"
        event = {"type": "message", "subtype": "message_deleted", "hidden": True, "channel": chat, "ts": moment}
        before = {"type": "message", "user": BOT, "bot_id": "B1", "text": shown.text, "ts": thread, "thread_ts": thread}
        event |= {"deleted_ts": thread, "channel_type": "channel", "event_ts": moment}
        self._last = ("events_api", self._envelope(event | {"previous_message": before}))
        await self.repeat()

    async def command(self, text: str, person: str = "1001", channel: str = "") -> None:
        """Deliver a person's slash command."""
        self._number += 1
        form = {"command": "/qwendesk", "text": text, "user_id": f"U{person}", "channel_id": channel or f"D{person}"}
        form["response_url"] = f"{self._url}/response/{channel or person}"
        await self._deliver("slash_commands", form | {"team_id": TEAM, "trigger_id": f"t{self._number}"})

    async def repeat(self) -> None:
        """Deliver the last event again."""
        await self._deliver(*self._last)

    async def deliver_malformed(self, payload: Any) -> None:
        """Deliver an invalid payload, correctly signed or in a valid envelope."""
        if self.uses_webhook:
            body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
            await self.call(body, "application/json")
        elif isinstance(payload, dict):
            await self._deliver("events_api", payload)

    async def call(self, body: bytes, kind: str, *, secret: str = SECRET, now: float | None = None) -> int:
        """Call the desk and return the status of the response."""
        moment = str(int(time.time() if now is None else now))
        digest = hmac.new(secret.encode(), f"v0:{moment}:".encode() + body, hashlib.sha256).hexdigest()
        headers = {"X-Slack-Request-Timestamp": moment, "X-Slack-Signature": f"v0={digest}", "content-type": kind}
        self.webhook.url = f"{self.desk_url}/channels/slack/"
        return (await self.webhook.call(body, headers)).status_code

    async def _start(self, stack: AsyncExitStack) -> None:
        from starlette.applications import Starlette
        from starlette.routing import Route, WebSocketRoute

        routes = [
            Route("/api/{method:path}", self._answer, methods=["GET", "POST"]),
            Route("/files/{name}", self._download),
            Route("/response/{place}", self._responded, methods=["POST"]),
            WebSocketRoute("/socket", self._socket_mode),
        ]
        self._url = await stack.enter_async_context(serve(Starlette(routes=routes)))

    async def _deliver(self, kind: str, payload: dict[str, Any]) -> None:
        if not self.uses_webhook:
            self._number += 1
            envelope = {"envelope_id": f"e{self._number}", "type": kind, "payload": payload}
            await self._socket.put(envelope | {"accepts_response_payload": False})
        elif kind == "events_api":
            await self.call(json.dumps(payload).encode(), "application/json")
        else:
            form = {"payload": json.dumps(payload)} if kind == "interactive" else payload
            await self.call(urlencode(form).encode(), "application/x-www-form-urlencoded")

    def _event(self, message: UserMessage, stamp: str) -> dict[str, Any]:
        channel = f"C{message.chat.lstrip('-')}" if message.group else f"D{message.chat or message.person}"
        text = html.escape(message.text, quote=False)
        event: dict[str, Any] = {
            "type": "app_mention" if message.mention else "message",
            "channel": channel,
            "channel_type": "channel" if message.group else "im",
            "text": f"<@{BOT}> {text}" if message.mention else text,
            "ts": stamp,
            "user": f"U{message.person}",
        }
        event |= {"bot_id": "B9", "subtype": "bot_message"} if message.bot else {}
        if thread := message.thread or message.reply_to:
            event["thread_ts"] = thread
        if message.files:
            event |= {"subtype": "file_share", "files": [self._kept(file) for file in message.files]}
        return self._envelope(event)

    def _envelope(self, event: dict[str, Any]) -> dict[str, Any]:
        return {"type": "event_callback", "team_id": TEAM, "event_id": f"Ev{self._number}", "event": event}

    def _press(self, message: UserMessage) -> dict[str, Any]:
        shown = next(shown for shown in self.messages if shown.id == message.reply_to)
        return {
            "type": "block_actions",
            "trigger_id": f"t{self._number}",
            "user": {"id": f"U{message.person}"},
            "channel": {"id": shown.chat},
            "message": {"ts": shown.id} | ({"thread_ts": shown.thread} if shown.thread else {}),
            "actions": [{"action_id": "choice0", "value": message.text}],
        }

    def _kept(self, file: Attachment) -> dict[str, Any]:
        self._files[file.name] = file.data
        url = f"{self._url}/files/{quote(file.name)}"
        return {"name": file.name, "mimetype": file.mime, "size": len(file.data), "url_private_download": url}

    async def _socket_mode(self, socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_json({"type": "hello", "num_connections": 1})
        self._connected.set()
        try:
            while True:
                envelope = await self._socket.get()
                is_taken = False
                try:
                    await socket.send_json(envelope)
                    is_taken = await self._acknowledged(socket, envelope["envelope_id"])
                finally:  # a connection that has ended leaves it to the next one
                    if not is_taken:
                        self._socket.put_nowait(envelope)
        except (Exception, asyncio.CancelledError):  # the app has disconnected, or the simulator stops
            return

    async def _acknowledged(self, socket: WebSocket, envelope: str) -> bool:
        try:
            async with asyncio.timeout(REDELIVERY):
                while (await socket.receive_json()).get("envelope_id") != envelope:
                    pass
        except TimeoutError:
            return False
        return True

    async def _answer(self, request: Request) -> Response:
        from starlette.responses import JSONResponse

        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        method = request.path_params["method"]
        self.requests.append(method)
        if token != (APP_TOKEN if method == "apps.connections.open" else BOT_TOKEN):
            return JSONResponse({"ok": False, "error": "invalid_auth"})
        kind = request.headers.get("content-type", "")
        form = await request.json() if "json" in kind else {**request.query_params, **dict(await request.form())}
        match method:
            case "auth.test":
                if self.uses_webhook:
                    self._connected.set()
                return JSONResponse({"ok": True, "team": "Acme", "team_id": TEAM, "user": "desk", "user_id": BOT})
            case "apps.connections.open":
                return JSONResponse({"ok": True, "url": f"{self._url.replace('http', 'ws')}/socket"})
            case "chat.postMessage" | "chat.update":
                return self._fault(form) or self._posted(method, form)
            case "conversations.history":
                if str(form.get("channel")) in self.closed:
                    return JSONResponse({"ok": False, "error": "not_in_channel"})
                return JSONResponse({"ok": True, "messages": []})
        found = self._found(method, form)
        return JSONResponse({"ok": True} | found if found else {"ok": False, "error": "unknown_method"})

    def _found(self, method: str, form: dict[str, Any]) -> dict[str, Any] | None:
        """Return what a method reads of a person, a file or a thread; None: there is none."""
        match method:
            case "users.info" if name := self.names.get(str(form.get("user"))):
                return {"user": {"real_name": name}}
            case "files.info" if str(form.get("file")) in self.elsewhere:
                return {"file": self._kept(self.elsewhere[str(form["file"])])}
            case "conversations.replies" if found := self.threads.get(str(form.get("ts"))):
                return {"messages": [found]}
        return None

    def _fault(self, form: dict[str, Any]) -> Response | None:
        from starlette.responses import JSONResponse

        if not self.faults:
            return None
        fault = self.faults.pop(0)
        if fault == "slow_down":
            headers = {"Retry-After": str(self.retry_after)}
            return JSONResponse({"ok": False, "error": "ratelimited"}, 429, headers)
        if fault == "broken":
            return JSONResponse({"ok": False, "error": "internal_error"}, 500)
        return JSONResponse({"ok": False, "error": _ERRORS[fault]})

    async def _responded(self, request: Request) -> Response:
        from starlette.responses import PlainTextResponse

        text = (await request.json())["text"]
        self.messages.append(SeenMessage(f"r{len(self.messages)}", request.path_params["place"], text, versions=[text]))
        self.notify()
        return PlainTextResponse("ok")

    def _posted(self, method: str, form: dict[str, Any]) -> Response:
        from starlette.responses import JSONResponse

        text = str(form.get("text") or "")
        if not text.strip() or len(text) > 40_000:
            return JSONResponse({"ok": False, "error": "no_text" if not text.strip() else "msg_too_long"})
        if form["channel"] in self.closed:
            return JSONResponse({"ok": False, "error": "not_in_channel"})
        if any(word in text for word in self.unwanted):
            return JSONResponse({"ok": False, "error": "restricted_action"})
        if method == "chat.update":
            shown = next((one for one in self.messages if one.id == form["ts"]), None)
            if shown is None:
                return JSONResponse({"ok": False, "error": "message_not_found"})
            if text != shown.text:
                shown.text = text
                shown.versions.append(text)
            shown.buttons = _buttons(form) or shown.buttons
        else:
            self._posts += 1
            stamp = f"{1_790_000_000 + self._posts}.000200"
            thread = form.get("thread_ts")
            shown = SeenMessage(stamp, form["channel"], text, thread, [text], buttons=_buttons(form), thread=thread)
            self.messages.append(shown)
        self.notify()
        return JSONResponse({"ok": True, "ts": shown.id, "channel": shown.chat})

    async def _download(self, request: Request) -> Response:
        from starlette.responses import Response

        allowed = request.headers.get("Authorization") == f"Bearer {BOT_TOKEN}"
        return Response(self._files[request.path_params["name"]]) if allowed else Response(status_code=403)


def _buttons(form: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    blocks = form.get("blocks") or []
    blocks = json.loads(blocks) if isinstance(blocks, str) else blocks
    elements = [element for block in blocks if block["type"] == "actions" for element in block["elements"]]
    return tuple((element["text"]["text"], element["value"]) for element in elements)
