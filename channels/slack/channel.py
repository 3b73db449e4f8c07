"""The Slack channel on Slack's own client."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from qwendesk.channels.base import MAX_FILE_BYTES, Accept, Channel, ChannelCapabilities, Manifest, Setting
from qwendesk.channels.http_api import HttpApi
from qwendesk.channels.ingest import FileFetcher, is_recent, read_body, read_json, submit
from qwendesk.channels.slack import messages
from qwendesk.channels.slack.errors import NotThere, told
from qwendesk.channels.slack.files import File, files_of
from qwendesk.channels.slack.parse import Me, parse
from qwendesk.channels.slack.response_urls import MARK, Doors, Threads
from qwendesk.channels.slack.thread import Roots
from qwendesk.errors import ChannelError, ConfigError
from qwendesk.messages import Attachment, Inbound, Outbound

if TYPE_CHECKING:
    from slack_sdk.web.async_client import AsyncWebClient
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute


_MOMENT, _SIGNATURE = "x-slack-request-timestamp", "x-slack-signature"


def is_promising(headers: Mapping[str, str]) -> bool:
    """Tell whether a call is fresh and has a signature: a body need not be read of any other."""
    shown = headers.get(_SIGNATURE, "")
    return bool(shown) and shown.isascii() and is_recent(headers.get(_MOMENT, ""))


def is_signed(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    """Tell whether a signature holds."""
    from slack_sdk.signature import SignatureVerifier

    try:
        text = body.decode()
    except UnicodeDecodeError:
        return False
    return is_promising(headers) and SignatureVerifier(secret).is_valid(text, headers[_MOMENT], headers[_SIGNATURE])


Take = Callable[[str, dict[str, Any]], Awaitable[bool]]

"""Takes a delivery's kind and payload, and tells whether that is done."""


async def listen(client: AsyncWebClient, app_token: str, stopping: asyncio.Event, take: Take) -> None:
    """Take deliveries until stopped; one is acknowledged only when it is taken, else Slack sends it again.

    Raises:
        ChannelError: Slack refuses the app's token.
    """
    from slack_sdk.socket_mode.aiohttp import SocketModeClient
    from slack_sdk.socket_mode.async_client import AsyncBaseSocketModeClient
    from slack_sdk.socket_mode.request import SocketModeRequest
    from slack_sdk.socket_mode.response import SocketModeResponse

    socket = SocketModeClient(app_token, web_client=client)

    async def took(_: AsyncBaseSocketModeClient, request: SocketModeRequest) -> None:
        payload = request.payload if isinstance(request.payload, dict) else {}
        if await take(request.type, payload):
            await socket.send_socket_mode_response(SocketModeResponse(request.envelope_id))

    socket.socket_mode_request_listeners.append(took)
    try:
        async with told():
            await socket.connect()  # type: ignore[no-untyped-call]
        await stopping.wait()
    finally:
        await socket.disconnect()  # type: ignore[no-untyped-call]
        await socket.close()  # type: ignore[no-untyped-call]


log = logging.getLogger(__name__)

_LARGEST_BODY = 2**20

_DELIVERIES = 4

"""How often Slack delivers an event that nobody takes."""

_FILE_HOSTS = ("files.slack.com", "slack-files.com")


class SlackChannel(Channel):
    """An app in a workspace: Socket Mode where ``app_token`` is set, else called over HTTP."""

    manifest = Manifest(
        "slack",
        "Slack",
        ChannelCapabilities(
            markup="mrkdwn",
            max_length=messages.LONGEST_SECTION,
            edits=True,
            edit_interval=1.5,
            buttons=5,
            groups=True,
            max_file_in=MAX_FILE_BYTES,
        ),
        (
            Setting("bot_token", "The bot's token (xoxb-...).", True, True),
            Setting("app_token", "The app-level token (xapp-...) of Socket Mode; empty: HTTP.", True),
            Setting("signing_secret", "The app's signing secret, for HTTP.", True),
            Setting("base_url", "The Web API's address.", default="https://slack.com/api/"),
        ),
        needs=("slack_sdk", "aiohttp"),
        simulator="qwendesk.testing.simulators.slack:SlackSimulator",
    )

    def __init__(self, bot_token: str, app_token: str, signing_secret: str, base_url: str) -> None:
        if not (app_token or signing_secret):
            way = "'app_token' (Socket Mode) or 'signing_secret' (HTTP)"
            raise ConfigError(f"Slack needs {way}: set QWENDESK_CHANNELS__SLACK__APP_TOKEN.")
        self._bot_token = bot_token
        self._app_token = app_token
        self._signing_secret = signing_secret
        self._base_url = base_url.rstrip("/") + "/"
        self._accept: Accept | None = None
        self._stopping = asyncio.Event()
        self._client: AsyncWebClient | None = None
        self._connecting = asyncio.Lock()
        self._me = Me("", "")
        self._fetching = FileFetcher(_DELIVERIES)
        self._doors = Doors([urlsplit(base_url).hostname])
        self._threads = Threads()
        self._roots = Roots()
        self._files = HttpApi("Slack", "The app needs the scope files:read.")

    async def start(self, accept: Accept) -> None:
        """Listen until ``stop``."""
        client = await self._connected()
        self._accept = accept
        if self._app_token:
            await listen(client, self._app_token, self._stopping, self._take)
        else:
            await self._stopping.wait()

    async def stop(self) -> None:
        """Take no more events."""
        self._accept = None
        self._stopping.set()

    async def send(self, message: Outbound) -> str | None:
        """Post a message, in its thread where there is one."""
        door = self._doors.find(message)
        try:
            async with told():
                return await messages.send(await self._connected(), message)
        except NotThere:
            if door is None:
                raise
        body = json.dumps(messages.response(message)).encode()
        await self._files.post(door, body, {"content-type": "application/json"})
        return f"{MARK}{message.key}"

    async def edit(self, message_id: str, message: Outbound) -> None:
        """Replace a message's text."""
        if message_id.startswith(MARK):
            raise ChannelError("Slack cannot change what was answered to a command.", permanent=True)
        async with told():
            await messages.edit(await self._connected(), message_id, message)

    async def check(self) -> str:
        """Ask Slack who the app is."""
        async with told():
            who = await (await self._connected()).auth_test()
        return f"connected as @{who['user']} in {who['team']}"

    def routes(self) -> Sequence[BaseRoute]:
        """Return the address of events, commands and interactivity, where HTTP is used."""
        from starlette.routing import Route

        return [] if self._app_token else [Route("/", self._called, methods=["POST"])]

    async def aclose(self) -> None:
        """Close the connections."""
        self._stopping.set()
        await self._files.aclose()
        client, self._client = self._client, None
        if client and client.session:
            await client.session.close()

    async def _connected(self) -> AsyncWebClient:
        async with self._connecting:
            if self._client is None:
                self._client = await self._made()
            return self._client

    async def _made(self) -> AsyncWebClient:
        import aiohttp
        from slack_sdk.web.async_client import AsyncWebClient

        session = aiohttp.ClientSession()
        client = AsyncWebClient(self._bot_token, self._base_url, timeout=20, session=session, retry_handlers=[])
        try:
            async with told():
                who = await client.auth_test()
        except ChannelError:
            await session.close()
            raise
        self._me = Me(str(who["team_id"]), str(who["user_id"]))
        return client

    async def _called(self, request: Request) -> Response:
        from starlette.responses import PlainTextResponse, Response

        body = await read_body(request, _LARGEST_BODY) if is_promising(request.headers) else b""
        if body is None:
            return Response(status_code=413)
        if not is_signed(self._signing_secret, request.headers, body):
            return Response(status_code=401)
        try:
            kind, payload = _opened(body, request.headers.get("content-type", ""))
        except ValueError:
            return Response(status_code=400)
        except (LookupError, TypeError, AttributeError):
            return Response(status_code=200)
        if kind == "url_verification":
            return PlainTextResponse(str(payload.get("challenge", "")))
        return Response(status_code=200 if await self._take(kind, payload) else 503)

    async def _take(self, kind: str, payload: dict[str, Any]) -> bool:
        """Hand a delivery over and tell whether it is done; False: it has to come again."""
        if self._accept is None:
            return False
        try:
            parsed = parse(kind, payload, self._me)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            log.warning("A delivery of Slack cannot be read: %r.", error)
            return True
        if parsed is None:
            return True
        parsed = await self._roots.above(await self._connected(), parsed, self._me)
        try:
            placed = self._threads.place(parsed.inbound)
            inbound = await self._fetching.with_attachments(
                placed, [partial(self._fetch, file) for file in parsed.files]
            )
        except ChannelError:
            return False
        return await submit(inbound, self._accept, partial(self._refuse, inbound))

    async def _refuse(self, inbound: Inbound, text: str) -> None:
        key = f"refused:{inbound.event}"
        where = (inbound.account, inbound.reply_to)
        await self.send(Outbound(key, inbound.conversation, messages.escaped(text), *where, plain=text))

    async def _fetch(self, file: File) -> Attachment:
        file = file if file.url else await self._asked(file)
        host = urlsplit(file.url).hostname or ""
        if host not in (*_FILE_HOSTS, urlsplit(self._base_url).hostname):
            raise ChannelError(f"A file lies on {host!r}, not on Slack; it is not fetched.", permanent=True)
        data = await self._files.fetch(file.url, MAX_FILE_BYTES, {"Authorization": f"Bearer {self._bot_token}"})
        return Attachment(file.kind, file.mime, data, file.name)  # type: ignore[arg-type]

    async def _asked(self, file: File) -> File:
        """Return a file of another workspace with its address, which Slack tells only who asks for it."""
        async with told():
            known = (await (await self._connected()).files_info(file=file.id))["file"]
        found = files_of([known])
        if not (found.found and found.found[0].url):
            raise ChannelError(f"Slack does not give out the file {file.name!r}.", permanent=True)
        return found.found[0]


def _opened(body: bytes, content_type: str) -> tuple[str, dict[str, Any]]:
    """Return the kind of an HTTP call, as Socket Mode names it, and its payload."""
    if not content_type.startswith("application/x-www-form-urlencoded"):
        payload = read_json(body)
        return ("url_verification" if payload.get("type") == "url_verification" else "events_api"), payload
    form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
    return ("interactive", read_json(form["payload"])) if "payload" in form else ("slash_commands", form)
