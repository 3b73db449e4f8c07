"""The Telegram channel: connection, webhook route, and the rate limit of groups."""

from __future__ import annotations

import asyncio
import hmac
import os
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from time import monotonic
from typing import TYPE_CHECKING

from cachetools import FIFOCache

from qwendesk.certificates import trusted_certificates
from qwendesk.channels.base import Accept, Channel, ChannelCapabilities, Manifest, Setting
from qwendesk.channels.ingest import read_body, read_json
from qwendesk.channels.room_settings import make_room, room_settings
from qwendesk.channels.telegram import bot_api
from qwendesk.channels.telegram.bot_api import translate_errors
from qwendesk.channels.telegram.entities import TelegramIdentity
from qwendesk.channels.telegram.parse import MAX_FILE_BYTES
from qwendesk.channels.telegram.updates import UpdatePoller, UpdateReceiver
from qwendesk.desk.operator_rooms.room import OpenedThread
from qwendesk.errors import ChannelError
from qwendesk.messages import Outbound
from qwendesk.proxies import proxy_errors

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute
    from telegram import Bot

GROUP_INTERVAL_SECONDS = 3.5
"""The Bot API allows about 20 messages a minute to one group."""
_MAX_GROUPS = 1000
_REQUEST_TIMEOUT_SECONDS = 30.0
_ROOM_ID, _ROOM_HELP = r"-\d{1,20}", "a group with topics by its id, such as -1001234567890, as @userinfobot tells it."
_MAX_BODY_BYTES = 2**20
"""An update of Telegram has a few kilobytes."""
UPDATE_TYPES = ("message", "callback_query")
"""The update types that the bot subscribes to; with an operators' room edited messages, too."""


class GroupRateLimit:
    """Spaces the messages to each group; private chats are not limited."""

    def __init__(self) -> None:
        self._last = FIFOCache[str, float](_MAX_GROUPS)

    def record(self, conversation: str, *, ahead: float = 0.0) -> None:
        """Record a message to a group now, or ``ahead`` seconds from now."""
        if conversation.startswith("-"):  # ids of groups are negative
            self._last[conversation.partition(":")[0]] = monotonic() + ahead

    async def wait(self, conversation: str) -> None:
        """Wait until a message to a group is allowed, and record it."""
        wait = self._seconds_left(conversation)
        self.record(conversation, ahead=max(0.0, wait))
        await asyncio.sleep(max(0.0, wait))

    def check(self, conversation: str) -> None:
        """Record a message to a group now.

        Raises:
            ChannelError: The last message is too recent; ``retry_after`` is the time left.
        """
        wait = self._seconds_left(conversation)
        if wait > 0:
            raise ChannelError(
                f"Telegram allows one message to a group every {GROUP_INTERVAL_SECONDS:g} s.", retry_after=wait
            )
        self.record(conversation)

    def _seconds_left(self, conversation: str) -> float:
        last = self._last.get(conversation.partition(":")[0])
        return 0.0 if last is None else last + GROUP_INTERVAL_SECONDS - monotonic()


class TelegramChannel(Channel):
    """A Telegram bot with long polling, or with a webhook if ``webhook_url`` is set."""

    manifest = Manifest(
        "telegram",
        "Telegram",
        ChannelCapabilities(
            markup="telegram",
            max_length=4096,
            length_unit="utf16",
            edits=True,
            edit_interval=1.2,
            typing=5.0,
            buttons=8,
            groups=True,
            max_file_in=MAX_FILE_BYTES,
            sends_files=True,
        ),
        (
            Setting("token", "The bot's token, from @BotFather.", secret=True, required=True),
            Setting("webhook_url", "The desk's public address, such as https://desk.example.org; empty: polling."),
            Setting("base_url", "The Bot API's address.", default="https://api.telegram.org"),
            Setting("poll_seconds", "Seconds that one poll waits for updates.", default=25),
            *room_settings(_ROOM_HELP),
        ),
        needs=("telegram",),
        simulator="qwendesk.testing.simulators.telegram:TelegramSimulator",
    )

    def __init__(
        self,
        token: str,
        webhook_url: str,
        base_url: str,
        poll_seconds: int,
        operators_room: str = "",
        operators_room_teams: tuple[str, ...] = (),
        operators_room_language: str = "",
    ) -> None:
        self.operators_room = make_room(
            "telegram", _ROOM_ID, _ROOM_HELP, operators_room, operators_room_teams, operators_room_language
        )
        self._token = token
        self._webhook_url = webhook_url.rstrip("/")
        self._base_url = base_url.rstrip("/")
        self._poll_seconds = poll_seconds
        self._stopping = asyncio.Event()
        self._bot: Bot | None = None
        self._connecting = asyncio.Lock()
        self._group_limit = GroupRateLimit()
        self._receiver: UpdateReceiver | None = None

    async def start(self, accept: Accept) -> None:
        """Receive updates by polling or by webhook until ``stop``."""
        bot = await self._connect()
        room = self.operators_room.room if self.operators_room else ""
        self._receiver = UpdateReceiver(bot, TelegramIdentity(bot.bot.id, bot.username), accept, room)
        types = (*UPDATE_TYPES, "edited_message") if room else UPDATE_TYPES
        if not self._webhook_url:
            async with translate_errors():
                await bot.delete_webhook()
            await UpdatePoller(bot.base_url, self._poll_seconds, types, self._receiver).run(self._stopping)
            return
        async with translate_errors():
            url = f"{self._webhook_url}/channels/telegram/"
            await bot.set_webhook(url, secret_token=self.webhook_secret, allowed_updates=types)
        await self._stopping.wait()

    async def stop(self) -> None:
        """Stop receiving updates; the running poll ends."""
        self._stopping.set()

    async def send(self, message: Outbound) -> str | None:
        """Send the text, then the files, and return the id of the first message."""
        from telegram.error import ChatMigrated

        self._group_limit.record(message.conversation)
        async with translate_errors():
            bot = await self._connect()
            try:
                return await bot_api.send(bot, message)
            except ChatMigrated as moved:
                return await bot_api.send(bot, replace(message, conversation=str(moved.new_chat_id), reply_to=None))

    async def edit(self, message_id: str, message: Outbound) -> None:
        """Edit the text of a sent message."""
        if message.buttons:  # the last edit of an answer or a rating: it must not be skipped
            await self._group_limit.wait(message.conversation)
        else:
            self._group_limit.check(message.conversation)
        async with translate_errors():
            await bot_api.edit(await self._connect(), message_id, message)

    async def typing(self, conversation: str) -> None:
        """Show the typing indicator for five seconds."""
        async with translate_errors():
            await bot_api.typing(await self._connect(), conversation)

    async def check(self) -> str:
        """Return the bot's user name, and the operators' room if the bot has the rights there."""
        bot = await self._connect()
        told = f"connected as @{bot.username}"
        if self.operators_room is None:
            return told
        async with translate_errors():
            return f"{told}, operators' room {await bot_api.check_room(bot, self.operators_room.room)}"

    async def open_thread(self, title: str, head: Outbound) -> OpenedThread:
        """Create a forum topic; its first message is sent afterwards, so that a failure creates no second topic."""
        self._group_limit.record(head.conversation)
        async with translate_errors():
            topic = await bot_api.create_topic(await self._connect(), head.conversation, title)
        return OpenedThread(f"{head.conversation}:{topic}")

    def routes(self) -> Sequence[BaseRoute]:
        """Return the webhook's route; empty with polling."""
        from starlette.routing import Route

        return [Route("/", self._handle_webhook, methods=["POST"])] if self._webhook_url else []

    async def aclose(self) -> None:
        """Close the connections."""
        self._stopping.set()
        bot, self._bot = self._bot, None
        if bot:
            await bot.shutdown()

    @property
    def webhook_secret(self) -> str:
        """The secret token of webhook calls, derived from the bot's token so that it needs no storage."""
        return hmac.new(self._token.encode(), b"qwendesk webhook", sha256).hexdigest()

    async def _connect(self) -> Bot:
        async with self._connecting:
            if self._bot is None:
                self._bot = await self._create_bot()
            return self._bot

    async def _create_bot(self) -> Bot:
        from telegram import Bot
        from telegram.request import HTTPXRequest

        # opt in to timedelta values of retry_after; without it the library warns at each rate limit
        os.environ.setdefault("PTB_TIMEDELTA", "1")
        # a message whose response times out would be sent twice
        with proxy_errors():
            request = HTTPXRequest(
                32,
                read_timeout=_REQUEST_TIMEOUT_SECONDS,
                write_timeout=_REQUEST_TIMEOUT_SECONDS,
                connect_timeout=10,
                pool_timeout=10,
                httpx_kwargs={"verify": trusted_certificates()},
            )
        bot = Bot(self._token, f"{self._base_url}/bot", f"{self._base_url}/file/bot", request, request)
        try:
            async with translate_errors():
                await bot.initialize()
        except ChannelError:
            await request.shutdown()
            raise
        return bot

    async def _handle_webhook(self, request: Request) -> Response:
        """Accept one update; Telegram repeats it after any status but 200."""
        from starlette.responses import Response

        token = request.headers.get("X-Telegram-Bot-Api-Secret-Token", "")
        if not hmac.compare_digest(token.encode(), self.webhook_secret.encode()):
            return Response(status_code=403)
        if self._receiver is None:
            return Response(status_code=503)
        body = await read_body(request, _MAX_BODY_BYTES)
        if body is None:
            return Response(status_code=413)
        try:
            update = read_json(body)
        except ValueError:
            return Response(status_code=400)
        received = await self._receiver.receive(update)
        return Response(status_code=200 if received else 503)
