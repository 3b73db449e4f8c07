"""Simulated Telegram: the Bot API methods that the channel uses."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from qwendesk.messages import Attachment
from qwendesk.testing.simulators.base import Fault, SeenMessage, Simulator, UserMessage, WebhookClient, serve
from qwendesk.testing.simulators.telegram_html import HtmlParser, Refused

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

TOKEN = "4242:simulated-token"
BOT = {"id": 4242, "is_bot": True, "first_name": "Desk", "username": "desk_bot"}
VOICES = ("audio/ogg", "audio/opus")
"""MIME types of voice messages; other audio files are music."""
_NO_GIFTS = dict.fromkeys(
    ("unlimited_gifts", "limited_gifts", "unique_gifts", "premium_subscription", "gifts_from_channels"), False
)
_ADMINISTRATOR_RIGHTS = (
    "can_be_edited",
    "can_manage_chat",
    "can_delete_messages",
    "can_manage_video_chats",
    "can_restrict_members",
    "can_promote_members",
    "can_change_info",
    "can_invite_users",
    "can_post_stories",
    "can_edit_stories",
    "can_delete_stories",
    "can_manage_topics",
)
_FAULTS: dict[Fault, tuple[int, str]] = {
    "gone": (403, "Forbidden: bot was blocked by the user"),
    "broken": (502, "Bad Gateway"),
    "bad_markup": (400, "Bad Request: can't parse entities: unsupported start tag"),
}


class TelegramSimulator(Simulator):
    """A Bot API server.

    Args:
        uses_webhook: Whether updates are sent to the webhook; False: the bot polls.
    """

    users_can_edit = numeric_ids = True

    def __init__(self, *, uses_webhook: bool = False) -> None:
        super().__init__()
        self.uses_webhook = uses_webhook
        self.webhook = WebhookClient()
        self.moved: dict[str, str] = {}
        """New ids of groups that were upgraded to supergroups."""
        self.forums: dict[str, set[str]] = {}
        """The topics of each group that has topics, by the group's id."""
        self.may_manage_topics = True
        """Whether the bot is an administrator of its groups with the right to manage topics."""
        self.webhook_secret = ""
        """The secret token that ``setWebhook`` has set."""
        self.requests: list[str] = []
        """The lower-case name of each Bot API method that was called, oldest first."""
        self.files: dict[str, bytes] = {}
        """Contents of the files that the bot can download, by ``file_id``."""
        self._updates: list[dict[str, Any]] = []
        self._news = asyncio.Condition()
        self._polled = asyncio.Event()
        self._number = 0
        self._topics = 0
        self._last: dict[str, Any] = {}
        self._user_message: tuple[UserMessage, dict[str, Any]] = UserMessage(), {}
        self._url = ""

    def settings(self) -> dict[str, Any]:
        """Return the token and the base URL of this server."""
        return {
            "token": TOKEN,
            "base_url": self._url,
            "poll_seconds": 5,
            "webhook_url": self.desk_url if self.uses_webhook else "",
        }

    async def wait_started(self) -> None:
        """Wait until the bot polls, or has set its webhook."""
        async with asyncio.timeout(30):
            await self._polled.wait()

    async def write(self, user_message: UserMessage) -> str:
        """Deliver a person's message or button press as an update."""
        self._number += 1
        message = self._message(user_message)
        if user_message.press:
            query = {"id": f"q{self._number}", "from": message["from"], "chat_instance": "1", "data": user_message.text}
            shown = next(shown for shown in self.messages if shown.id == user_message.reply_to)
            update = {"callback_query": query | {"message": message | {"message_id": int(shown.id), "from": BOT}}}
        else:
            update = {"message": message}
            self._user_message = user_message, message
        self._last = {"update_id": 7000 + self._number} | update
        await self.deliver(self._last)
        return str(message["message_id"])

    async def edit(self, text: str) -> None:
        """Deliver an edit of the last message, regardless of the bot's ``allowed_updates``."""
        self._number += 1
        user_message, message = self._user_message
        edited = message | _said(replace(user_message, text=text)) | {"edit_date": message["date"] + 60}
        self._last = {"update_id": 7000 + self._number, "edited_message": edited}
        await self.deliver(self._last)

    async def delete_thread(self, chat: str, thread: str) -> None:
        """Delete a topic; Telegram tells bots nothing of it."""
        self.forums[chat].discard(thread)

    async def repeat(self) -> None:
        """Deliver the last update again."""
        await self.deliver(self._last)

    async def deliver(self, *updates: dict[str, Any]) -> None:
        """Deliver updates: by one webhook call after the other, or together by the next poll."""
        if self.uses_webhook:
            for update in updates:
                await self._call(json.dumps(update).encode())
            return
        async with self._news:
            self._updates += updates
            self._news.notify_all()

    async def deliver_malformed(self, payload: Any) -> None:
        """Deliver an invalid update; in polling it gets an ``update_id``."""
        if self.uses_webhook:
            await self._call(payload if isinstance(payload, bytes) else json.dumps(payload).encode())
        elif isinstance(payload, dict):
            self._number += 1
            await self.deliver({"update_id": 7000 + self._number} | payload)

    async def _start(self, stack: AsyncExitStack) -> None:
        from starlette.applications import Starlette
        from starlette.routing import Route

        routes = [
            Route("/file/bot{token}/{file}", self._download),
            Route("/bot{token}/{method}", self._answer, methods=["GET", "POST"]),
        ]
        self._url = await stack.enter_async_context(serve(Starlette(routes=routes)))

    async def _call(self, body: bytes) -> None:
        await self.webhook.call(body, {"X-Telegram-Bot-Api-Secret-Token": self.webhook_secret})

    def _message(self, user_message: UserMessage) -> dict[str, Any]:
        chat = int(user_message.chat or user_message.person)
        person = {
            "id": int(user_message.person),
            "is_bot": user_message.bot,
            "first_name": "Anna",
            "language_code": user_message.locale,
        }
        kind = (
            {"type": "supergroup", "title": "Team"} if user_message.group else {"type": "private", "first_name": "Anna"}
        )
        message = {"message_id": 100 + self._number, "date": 1_780_000_000, "from": person, "chat": {"id": chat} | kind}
        if user_message.thread:
            created = {"message_id": int(user_message.thread), "from": BOT, "chat": message["chat"]}
            topic = {"message_thread_id": int(user_message.thread), "is_topic_message": True}
            message |= topic | {"reply_to_message": created | topic | {"forum_topic_created": {"name": "x"}}}
        if user_message.reply_to:
            message["reply_to_message"] = {
                "message_id": int(user_message.reply_to),
                "from": BOT,
                "chat": message["chat"],
            }
        for file in user_message.files:
            message |= self._file(file)
        return message | _said(user_message)

    def _file(self, file: Attachment) -> dict[str, Any]:
        name = f"file{len(self.files)}"
        self.files[name] = file.data
        sizes = {"file_id": name, "file_unique_id": name, "file_size": len(file.data)}
        if file.kind == "image":
            return {"photo": [sizes | {"width": 10, "height": 10}]}
        more = {"mime_type": file.mime, "file_name": file.name}
        if file.kind == "audio":
            return {"voice" if file.mime in VOICES else "audio": sizes | more | {"duration": 1}}
        is_video = file.mime.startswith("video/")
        return (
            {"video": sizes | more | {"width": 10, "height": 10, "duration": 1}}
            if is_video
            else {"document": sizes | more}
        )

    async def _answer(self, request: Request) -> Response:
        async with request.form() as sent:
            return await self._answered(request, {**request.query_params, **dict(sent)})

    async def _answered(self, request: Request, form: dict[str, Any]) -> Response:
        from starlette.responses import JSONResponse

        if request.path_params["token"] != TOKEN:
            return JSONResponse({"ok": False, "error_code": 401, "description": "Unauthorized"}, 401)
        name = request.path_params["method"].lower()
        self.requests.append(name)
        method: Callable[[dict[str, Any]], Any] | None = getattr(self, f"_do_{name}", None)
        try:
            if method is None:
                raise Refused(404, "Not Found")
            result = method(form)
            return JSONResponse({"ok": True, "result": await result if asyncio.iscoroutine(result) else result})
        except Refused as refused:
            return JSONResponse(refused.body, refused.code)
        finally:
            self.notify()

    async def _download(self, request: Request) -> Response:
        from starlette.responses import Response

        return Response(self.files[request.path_params["file"]])

    def _do_getme(self, form: dict[str, Any]) -> dict[str, Any]:
        return BOT | {"can_join_groups": True, "can_read_all_group_messages": False, "supports_inline_queries": False}

    def _do_deletewebhook(self, form: dict[str, Any]) -> bool:
        return True

    def _do_setwebhook(self, form: dict[str, Any]) -> bool:
        self.webhook.url, self.webhook_secret = form["url"], form.get("secret_token", "")
        self._polled.set()
        return True

    async def _do_getupdates(self, form: dict[str, Any]) -> list[dict[str, Any]]:
        """Return updates from the offset on; drop those before it."""
        offset = int(form.get("offset", 0))
        async with self._news:
            self._updates = [update for update in self._updates if update["update_id"] >= offset]
            self._polled.set()
            try:
                async with asyncio.timeout(float(form.get("timeout", 0))):
                    await self._news.wait_for(lambda: self._updates)
            except (TimeoutError, asyncio.CancelledError):  # no update arrived, or the simulator stops
                return []
            return list(self._updates)

    def _do_getchat(self, form: dict[str, Any]) -> dict[str, Any]:
        if form["chat_id"] not in self.forums:
            raise Refused(400, "Bad Request: chat not found")
        known = {"id": int(form["chat_id"]), "type": "supergroup", "title": "Team", "is_forum": True}
        return known | {"accent_color_id": 1, "max_reaction_count": 11, "accepted_gift_types": _NO_GIFTS}

    def _do_getchatmember(self, form: dict[str, Any]) -> dict[str, Any]:
        if not self.may_manage_topics:
            return {"status": "member", "user": BOT}
        rights = dict.fromkeys(_ADMINISTRATOR_RIGHTS, True)
        return rights | {"status": "administrator", "user": BOT, "is_anonymous": False}

    def _do_createforumtopic(self, form: dict[str, Any]) -> dict[str, Any]:
        if form["chat_id"] not in self.forums:
            raise Refused(400, "Bad Request: the chat is not a forum")
        if not self.may_manage_topics:
            raise Refused(400, "Bad Request: not enough rights to create a topic")
        self._topics += 1
        topic = str(500 + self._topics)
        self.forums[form["chat_id"]].add(topic)
        return {"message_thread_id": int(topic), "name": form["name"], "icon_color": 7322096}

    def _do_getfile(self, form: dict[str, Any]) -> dict[str, Any]:
        name = form["file_id"]
        if name not in self.files:
            raise Refused(400, "Bad Request: wrong file_id or the file is temporarily unavailable")
        return {"file_id": name, "file_unique_id": name, "file_size": len(self.files[name]), "file_path": name}

    def _do_answercallbackquery(self, form: dict[str, Any]) -> bool:
        return True

    def _do_sendchataction(self, form: dict[str, Any]) -> bool:
        self.typing.append(form["chat_id"])
        return True

    def _do_sendmessage(self, form: dict[str, Any]) -> dict[str, Any]:
        self._check(form)
        return self._show(form, form["text"])

    def _do_sendphoto(self, form: dict[str, Any]) -> dict[str, Any]:
        return self._show(form, form.get("caption", ""), file="photo")

    def _do_senddocument(self, form: dict[str, Any]) -> dict[str, Any]:
        return self._show(form, form.get("caption", ""), file="document")

    def _do_sendvoice(self, form: dict[str, Any]) -> dict[str, Any]:
        return self._show(form, form.get("caption", ""), file="voice")

    def _do_editmessagetext(self, form: dict[str, Any]) -> dict[str, Any]:
        self._check(form)
        shown = next(
            (one for one in self.messages if (one.id, one.chat) == (form["message_id"], form["chat_id"])), None
        )
        if shown is None:
            raise Refused(400, "Bad Request: message to edit not found")
        buttons = _buttons(form)
        if (shown.text, shown.buttons) == (form["text"], buttons):
            raise Refused(400, "Bad Request: message is not modified")
        if shown.text != form["text"]:
            shown.text = form["text"]
            shown.versions.append(form["text"])
        shown.buttons = buttons
        return self._sent(shown)

    def _check(self, form: dict[str, Any]) -> None:
        if moved := self.moved.get(form["chat_id"]):
            text = "Bad Request: group chat was upgraded to a supergroup chat"
            raise Refused(400, text, migrate_to_chat_id=int(moved))
        topic = form.get("message_thread_id")
        if topic and topic not in self.forums.get(form["chat_id"], {topic}):
            raise Refused(400, "Bad Request: message thread not found")
        if self.faults:
            fault = self.faults.pop(0)
            if fault == "slow_down":
                raise Refused(429, f"Too Many Requests: retry after {self.retry_after}", retry_after=self.retry_after)
            if fault != "bad_markup" or form.get("parse_mode"):
                raise Refused(*_FAULTS[fault])
        text = HtmlParser().text(form["text"]) if form.get("parse_mode") == "HTML" else form["text"]
        if not text.strip():
            raise Refused(400, "Bad Request: message text is empty")
        if len(text.encode("utf-16-le")) // 2 > 4096:
            raise Refused(400, "Bad Request: message is too long")
        if any(word in text for word in self.unwanted):
            raise Refused(400, "Bad Request: MESSAGE_REFUSED")

    def _show(self, form: dict[str, Any], text: str, file: str | None = None) -> dict[str, Any]:
        quoted = json.loads(form["reply_parameters"])["message_id"] if "reply_parameters" in form else None
        number = str(9000 + len(self.messages))
        shown = SeenMessage(
            number,
            form["chat_id"],
            text,
            str(quoted) if quoted else None,
            [text],
            file,
            _buttons(form),
            form.get("message_thread_id"),
        )
        self.messages.append(shown)
        return self._sent(shown)

    def _sent(self, shown: SeenMessage) -> dict[str, Any]:
        chat = {"id": int(shown.chat), "type": "private"}
        return {"message_id": int(shown.id), "date": 1_780_000_000, "chat": chat, "from": BOT, "text": shown.text}


def _said(user_message: UserMessage) -> dict[str, Any]:
    text = f"@{BOT['username']} {user_message.text}" if user_message.mention else user_message.text
    name = {"type": "mention", "offset": 0, "length": len(BOT["username"]) + 1}  # type: ignore[arg-type]
    marks = {"caption_entities" if user_message.files else "entities": [name]} if user_message.mention else {}
    return {"caption" if user_message.files else "text": text} | marks if text else {}


def _buttons(form: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    rows = json.loads(form["reply_markup"])["inline_keyboard"] if "reply_markup" in form else []
    return tuple((one["text"], one["callback_data"]) for row in rows for one in row)
