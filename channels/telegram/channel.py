"""The Telegram channel on python-telegram-bot's client."""

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

from qwendesk.channels.base import Accept, Channel, ChannelCapabilities, Manifest, Setting
from qwendesk.channels.ingest import read_body, read_json
from qwendesk.channels.telegram import messages
from qwendesk.channels.telegram.errors import told
from qwendesk.channels.telegram.parse import LARGEST_FILE, Me
from qwendesk.channels.telegram.updates import Intake, Poller
from qwendesk.errors import ChannelError
from qwendesk.messages import Outbound
from qwendesk.proxies import naming_the_proxy

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute
    from telegram import Bot


_GROUP_SECONDS = 3.5

_MOST_GROUPS = 1000


class Pace:
    """Remembers when a group was written to last; alone with a person, nothing has to wait."""

    def __init__(self) -> None:
        self._last = FIFOCache[str, float](_MOST_GROUPS)

    def note(self, conversation: str, *, ahead: float = 0.0) -> None:
        """Remember that a group is written to now, or so many seconds ahead."""
        if conversation.startswith("-"):  # what has a negative number is a group
            self._last[conversation.partition(":")[0]] = monotonic() + ahead

    async def turn(self, conversation: str) -> None:
        """Wait until a group may be written to, and note that it is."""
        wait = self._wait(conversation)
        self.note(conversation, ahead=max(0.0, wait))
        await asyncio.sleep(max(0.0, wait))

    def check(self, conversation: str) -> None:
        """Note that a group is written to now.

        Raises:
            ChannelError: it is too soon; the error says for how long.
        """
        wait = self._wait(conversation)
        if wait > 0:
            raise ChannelError(f"A group on Telegram is written to every {_GROUP_SECONDS:g} s.", retry_after=wait)
        self.note(conversation)

    def _wait(self, conversation: str) -> float:
        last = self._last.get(conversation.partition(":")[0])
        return 0.0 if last is None else last + _GROUP_SECONDS - monotonic()


_SECONDS = 30.0

_LARGEST_BODY = 2**20

"""Bytes of one update; Telegram's own are a few kilobytes."""

KINDS = ("message", "callback_query")

"""The kinds of update the desk asks for."""


class TelegramChannel(Channel):
    """A bot that polls, or that is called where ``webhook_url`` is set."""

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
            max_file_in=LARGEST_FILE,
        ),
        (
            Setting("token", "The bot's token, from @BotFather.", secret=True, required=True),
            Setting("webhook_url", "The desk's own address, such as https://desk.example.org; empty: polling."),
            Setting("base_url", "The Bot API's address.", default="https://api.telegram.org"),
            Setting("poll_seconds", "How long one poll waits for news.", default=25),
        ),
        needs=("telegram",),
        simulator="qwendesk.testing.simulators.telegram:TelegramSimulator",
    )

    def __init__(self, token: str, webhook_url: str, base_url: str, poll_seconds: int) -> None:
        self._token = token
        self._webhook_url = webhook_url.rstrip("/")
        self._base_url = base_url.rstrip("/")
        self._poll_seconds = poll_seconds
        self._stopping = asyncio.Event()
        self._bot: Bot | None = None
        self._connecting = asyncio.Lock()
        self._pace = Pace()
        self._intake: Intake | None = None

    async def start(self, accept: Accept) -> None:
        """Poll, or wait to be called, until ``stop``."""
        bot = await self._connected()
        self._intake = Intake(bot, Me(bot.bot.id, bot.username), accept)
        if not self._webhook_url:
            async with told():
                await bot.delete_webhook()
            await Poller(bot.base_url, self._poll_seconds, KINDS, self._intake).run(self._stopping)
            return
        async with told():
            url = f"{self._webhook_url}/channels/telegram/"
            await bot.set_webhook(url, secret_token=self._secret, allowed_updates=KINDS)
        await self._stopping.wait()

    async def stop(self) -> None:
        """End the poll that is waiting."""
        self._stopping.set()

    async def send(self, message: Outbound) -> str | None:
        """Send a message and return the id of its first part; files follow the text."""
        from telegram.error import ChatMigrated

        self._pace.note(message.conversation)
        async with told():
            bot = await self._connected()
            try:
                return await messages.send(bot, message)
            except ChatMigrated as moved:
                return await messages.send(bot, replace(message, conversation=str(moved.new_chat_id), reply_to=None))

    async def edit(self, message_id: str, message: Outbound) -> None:
        """Replace a message's text."""
        if message.buttons:  # an answer's last change, or a thumb: the next one would come too late to show it
            await self._pace.turn(message.conversation)
        else:
            self._pace.check(message.conversation)
        async with told():
            await messages.edit(await self._connected(), message_id, message)

    async def typing(self, conversation: str) -> None:
        """Show "typing" for five seconds."""
        async with told():
            await messages.typing(await self._connected(), conversation)

    async def check(self) -> str:
        """Ask Telegram who the bot is."""
        return f"connected as @{(await self._connected()).username}"

    def routes(self) -> Sequence[BaseRoute]:
        """Return the webhook's route, where there is one."""
        from starlette.routing import Route

        return [Route("/", self._called, methods=["POST"])] if self._webhook_url else []

    async def aclose(self) -> None:
        """Close the connections."""
        self._stopping.set()
        bot, self._bot = self._bot, None
        if bot:
            await bot.shutdown()

    @property
    def _secret(self) -> str:
        """What Telegram shows with every call; made from the token, so that nothing has to be kept."""
        return hmac.new(self._token.encode(), b"qwendesk webhook", sha256).hexdigest()

    async def _connected(self) -> Bot:
        async with self._connecting:
            if self._bot is None:
                self._bot = await self._made()
            return self._bot

    async def _made(self) -> Bot:
        from telegram import Bot
        from telegram.request import HTTPXRequest

        # the library warns of a change to come at each wait it is told of; with this it has changed
        os.environ.setdefault("PTB_TIMEDELTA", "1")
        # a message whose answer is not waited for long enough would be sent twice
        with naming_the_proxy():
            request = HTTPXRequest(
                32, read_timeout=_SECONDS, write_timeout=_SECONDS, connect_timeout=10, pool_timeout=10
            )
        bot = Bot(self._token, f"{self._base_url}/bot", f"{self._base_url}/file/bot", request, request)
        try:
            async with told():
                await bot.initialize()
        except ChannelError:
            await request.shutdown()
            raise
        return bot

    async def _called(self, request: Request) -> Response:
        """Take one update; any answer but 200 makes Telegram send it again."""
        from starlette.responses import Response

        shown = request.headers.get("X-Telegram-Bot-Api-Secret-Token", "")
        if not hmac.compare_digest(shown.encode(), self._secret.encode()):
            return Response(status_code=403)
        if self._intake is None:
            return Response(status_code=503)
        body = await read_body(request, _LARGEST_BODY)
        if body is None:
            return Response(status_code=413)
        try:
            update = read_json(body)
        except ValueError:
            return Response(status_code=400)
        taken = await self._intake.take(update)
        return Response(status_code=200 if taken else 503)
