"""The Slack channel: Socket Mode or HTTP, request signatures, and file downloads."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from qwendesk.channels.base import (
    MAX_FILE_BYTES,
    Accept,
    Channel,
    ChannelCapabilities,
    Manifest,
    Setting,
)
from qwendesk.channels.http_api import HttpApi
from qwendesk.channels.ingest import FileFetcher, is_recent, read_body, read_json, submit
from qwendesk.channels.room_settings import make_room, room_settings
from qwendesk.channels.slack import web_api
from qwendesk.channels.slack.parse import SlackFile, SlackIdentity, files_of, mentioned_people, parse, with_names
from qwendesk.channels.slack.threads import CommandThreads, ThreadRoots
from qwendesk.channels.slack.web_api import RESPONSE_ID_PREFIX, NotInChannel, ResponseUrls, UserNames, translate_errors
from qwendesk.desk.operator_rooms.room import OpenedThread
from qwendesk.errors import ChannelError, ConfigError
from qwendesk.messages import Attachment, Inbound, Outbound

if TYPE_CHECKING:
    from slack_sdk.web.async_client import AsyncWebClient
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

log = logging.getLogger(__name__)
_TIMESTAMP_HEADER, _SIGNATURE = "x-slack-request-timestamp", "x-slack-signature"
DeliveryHandler = Callable[[str, dict[str, Any]], Awaitable[bool]]
"""Accepts a delivery of a type with its payload; False if Slack has to repeat it."""
_ROOM_ID, _ROOM_HELP = "[CG][A-Z0-9]+", "a channel's id, such as C0123456789, at the end of its 'About' tab."
_MAX_BODY_BYTES = 2**20
_MAX_DELIVERIES = 4
"""Maximum deliveries of an event; Slack repeats an unacknowledged one three times."""
_FILE_HOSTS = ("files.slack.com", "slack-files.com")


def has_fresh_signature(headers: Mapping[str, str]) -> bool:
    """Return whether a request is recent and has a signature; the body of other requests is not read."""
    shown = headers.get(_SIGNATURE, "")
    return bool(shown) and shown.isascii() and is_recent(headers.get(_TIMESTAMP_HEADER, ""))


def is_valid_signature(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    """Return whether a request's signature is valid."""
    from slack_sdk.signature import SignatureVerifier

    try:
        text = body.decode()
    except UnicodeDecodeError:
        return False
    return has_fresh_signature(headers) and SignatureVerifier(secret).is_valid(
        text, headers[_TIMESTAMP_HEADER], headers[_SIGNATURE]
    )


async def run_socket_mode(
    client: AsyncWebClient, app_token: str, stopping: asyncio.Event, take: DeliveryHandler
) -> None:
    """Receive deliveries over Socket Mode until ``stopping`` is set; only accepted ones are acknowledged.

    Raises:
        ChannelError: Slack refuses the app-level token.
    """
    from slack_sdk.socket_mode.aiohttp import SocketModeClient
    from slack_sdk.socket_mode.async_client import AsyncBaseSocketModeClient
    from slack_sdk.socket_mode.request import SocketModeRequest
    from slack_sdk.socket_mode.response import SocketModeResponse

    socket = SocketModeClient(app_token, web_client=client)

    async def handle(_: AsyncBaseSocketModeClient, request: SocketModeRequest) -> None:
        payload = request.payload if isinstance(request.payload, dict) else {}
        if await take(request.type, payload):
            await socket.send_socket_mode_response(SocketModeResponse(request.envelope_id))

    socket.socket_mode_request_listeners.append(handle)
    try:
        async with translate_errors():
            await socket.connect()  # type: ignore[no-untyped-call]
        await stopping.wait()
    finally:
        await socket.disconnect()  # type: ignore[no-untyped-call]
        await socket.close()  # type: ignore[no-untyped-call]


class SlackChannel(Channel):
    """A Slack app with Socket Mode if ``app_token`` is set, otherwise with HTTP requests."""

    manifest = Manifest(
        "slack",
        "Slack",
        ChannelCapabilities(
            markup="mrkdwn",
            max_length=web_api.MAX_SECTION_CHARS,
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
            Setting("base_url", "The Web API's base URL.", default="https://slack.com/api/"),
            *room_settings(_ROOM_HELP),
        ),
        needs=("slack_sdk", "aiohttp"),
        simulator="qwendesk.testing.simulators.slack:SlackSimulator",
    )

    def __init__(
        self,
        bot_token: str,
        app_token: str,
        signing_secret: str,
        base_url: str,
        operators_room: str = "",
        operators_room_teams: tuple[str, ...] = (),
        operators_room_language: str = "",
    ) -> None:
        if not (app_token or signing_secret):
            way = "'app_token' (Socket Mode) or 'signing_secret' (HTTP)"
            raise ConfigError(f"Slack needs {way}: set QWENDESK_CHANNELS__SLACK__APP_TOKEN.")
        self.operators_room = make_room(
            "slack", _ROOM_ID, _ROOM_HELP, operators_room, operators_room_teams, operators_room_language
        )
        self._bot_token = bot_token
        self._app_token = app_token
        self._signing_secret = signing_secret
        self._base_url = base_url.rstrip("/") + "/"
        self._accept: Accept | None = None
        self._stopping = asyncio.Event()
        self._client: AsyncWebClient | None = None
        self._connecting = asyncio.Lock()
        self._me = SlackIdentity("", "")
        self._fetching = FileFetcher(_MAX_DELIVERIES)
        self._response_urls = ResponseUrls([urlsplit(base_url).hostname])
        self._threads = CommandThreads()
        self._roots = ThreadRoots()
        self._names = UserNames()
        self._files = HttpApi("Slack", "The app needs the scope files:read.")

    async def start(self, accept: Accept) -> None:
        """Receive events until ``stop``."""
        client = await self._connect()
        self._accept = accept
        if self._app_token:
            await run_socket_mode(client, self._app_token, self._stopping, self._receive)
        else:
            await self._stopping.wait()

    async def stop(self) -> None:
        """Stop receiving events."""
        self._accept = None
        self._stopping.set()

    async def send(self, message: Outbound) -> str | None:
        """Post a message; answer by the command's response URL where the app is not in the channel."""
        response_url = self._response_urls.find(message)
        try:
            async with translate_errors():
                return await web_api.send(await self._connect(), message)
        except NotInChannel:
            if response_url is None:
                raise
        body = json.dumps(web_api.response_payload(message)).encode()
        await self._files.post(response_url, body, {"content-type": "application/json"})
        return f"{RESPONSE_ID_PREFIX}{message.key}"

    async def edit(self, message_id: str, message: Outbound) -> None:
        """Update the text of a posted message."""
        if message_id.startswith(RESPONSE_ID_PREFIX):
            raise ChannelError("Slack cannot update a response to a slash command.", permanent=True)
        async with translate_errors():
            await web_api.edit(await self._connect(), message_id, message)

    async def check(self) -> str:
        """Return the app's user name and workspace."""
        client = await self._connect()
        async with translate_errors():
            who = await client.auth_test()
            if self.operators_room:
                await client.conversations_history(channel=self.operators_room.room, limit=1)
        where = f", operators' room {self.operators_room.room}" if self.operators_room else ""
        return f"connected as @{who['user']} in {who['team']}{where}"

    async def open_thread(self, title: str, head: Outbound) -> OpenedThread:
        """Post the first message of a thread."""
        async with translate_errors():
            stamp = await web_api.send(await self._connect(), head)
        return OpenedThread(f"{head.conversation}:{stamp}", stamp)

    def routes(self) -> Sequence[BaseRoute]:
        """Return the route of events, slash commands and interactivity; empty with Socket Mode."""
        from starlette.routing import Route

        return [] if self._app_token else [Route("/", self._handle_request, methods=["POST"])]

    async def aclose(self) -> None:
        """Close the connections."""
        self._stopping.set()
        await self._files.aclose()
        client, self._client = self._client, None
        if client and client.session:
            await client.session.close()

    async def _connect(self) -> AsyncWebClient:
        async with self._connecting:
            if self._client is None:
                self._client = await self._create_client()
            return self._client

    async def _create_client(self) -> AsyncWebClient:
        import aiohttp
        from slack_sdk.web.async_client import AsyncWebClient

        session = aiohttp.ClientSession()
        client = AsyncWebClient(self._bot_token, self._base_url, timeout=20, session=session, retry_handlers=[])
        try:
            async with translate_errors():
                who = await client.auth_test()
        except ChannelError:
            await session.close()
            raise
        self._me = SlackIdentity(str(who["team_id"]), str(who["user_id"]))
        return client

    async def _handle_request(self, request: Request) -> Response:
        from starlette.responses import PlainTextResponse, Response

        body = await read_body(request, _MAX_BODY_BYTES) if has_fresh_signature(request.headers) else b""
        if body is None:
            return Response(status_code=413)
        if not is_valid_signature(self._signing_secret, request.headers, body):
            return Response(status_code=401)
        try:
            kind, payload = _read_http_request(body, request.headers.get("content-type", ""))
        except ValueError:
            return Response(status_code=400)
        except (LookupError, TypeError, AttributeError):
            return Response(status_code=200)
        if kind == "url_verification":
            return PlainTextResponse(str(payload.get("challenge", "")))
        return Response(status_code=200 if await self._receive(kind, payload) else 503)

    async def _receive(self, kind: str, payload: dict[str, Any]) -> bool:
        """Accept a delivery; False if Slack has to repeat it."""
        if self._accept is None:
            return False
        try:
            room = self.operators_room.room if self.operators_room else ""
            parsed = parse(kind, payload, self._me, room)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            log.warning("Slack sent an invalid delivery: %r.", error)
            return True
        if parsed is None:
            return True
        parsed = await self._roots.add_root(await self._connect(), parsed, self._me)
        try:
            placed = await self._with_names(self._threads.assign(parsed.inbound))
            inbound = await self._fetching.with_attachments(
                placed, [partial(self._fetch, file) for file in parsed.files]
            )
        except ChannelError:
            return False
        return await submit(inbound, self._accept, partial(self._refuse, inbound))

    async def _with_names(self, inbound: Inbound) -> Inbound:
        """Return a message of the operators' room with the names of the people whom it mentions."""
        if not inbound.in_operators_room or not (people := mentioned_people(inbound.text)):
            return inbound
        client = await self._connect()
        names = {person: await self._names.of(client, person) for person in people}
        return replace(inbound, text=with_names(inbound.text, names))

    async def _refuse(self, inbound: Inbound, text: str) -> None:
        key = f"refused:{inbound.event}"
        where = (inbound.account, inbound.reply_to)
        await self.send(Outbound(key, inbound.conversation, web_api.escape(text), *where, plain=text))

    async def _fetch(self, file: SlackFile) -> Attachment:
        file = file if file.url else await self._file_info(file)
        host = urlsplit(file.url).hostname or ""
        if host not in (*_FILE_HOSTS, urlsplit(self._base_url).hostname):
            raise ChannelError(
                f"The file is on {host!r}, which is not a host of Slack; it is not downloaded.", permanent=True
            )
        data = await self._files.fetch(file.url, MAX_FILE_BYTES, {"Authorization": f"Bearer {self._bot_token}"})
        return Attachment(file.kind, file.mime, data, file.name)  # type: ignore[arg-type]

    async def _file_info(self, file: SlackFile) -> SlackFile:
        """Return a file of another workspace with its URL, which events do not contain."""
        async with translate_errors():
            known = (await (await self._connect()).files_info(file=file.id))["file"]
        found = files_of([known])
        if not (found.found and found.found[0].url):
            raise ChannelError(f"Slack does not provide the file {file.name!r}.", permanent=True)
        return found.found[0]


def _read_http_request(body: bytes, content_type: str) -> tuple[str, dict[str, Any]]:
    """Return an HTTP request's type, named as in Socket Mode, and its payload."""
    if not content_type.startswith("application/x-www-form-urlencoded"):
        payload = read_json(body)
        return ("url_verification" if payload.get("type") == "url_verification" else "events_api"), payload
    form = {name: values[0] for name, values in parse_qs(body.decode()).items()}
    return ("interactive", read_json(form["payload"])) if "payload" in form else ("slash_commands", form)
