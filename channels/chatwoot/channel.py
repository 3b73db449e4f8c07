"""The Chatwoot channel: an agent bot that answers pending conversations; file downloads with redirects."""

from __future__ import annotations

import asyncio
import hmac
import json
import logging
import mimetypes
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urljoin, urlsplit

from qwendesk.channels.base import MAX_FILE_BYTES, Accept, Channel, ChannelCapabilities, Manifest, Setting
from qwendesk.channels.http_api import HttpApi
from qwendesk.channels.ingest import FileFetcher, is_recent, read_body, read_json, submit
from qwendesk.errors import ChannelError, InputError
from qwendesk.messages import Attachment, Inbound, Outbound, storable_text
from qwendesk.safe_fetch import Address, Fetcher, is_public

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

log = logging.getLogger(__name__)
_MAX_REDIRECTS = 3
_MAX_BODY_BYTES = 2**20
FETCH_TIMEOUT_SECONDS = 3.0
"""Chatwoot waits five seconds for a response, does not repeat a call, and then assigns the conversation to agents."""
_NOT_FOUND = 404
_ADVICE = "Copy the agent bot's access token again into QWENDESK_CHANNELS__CHATWOOT__TOKEN."


@dataclass(frozen=True, slots=True)
class ChatwootFile:
    """An attachment with its download URL."""

    url: str
    kind: str
    name: str
    """The file name; for an unsupported attachment, its type."""


@dataclass(frozen=True, slots=True)
class ChatwootMessage:
    """A parsed webhook call: the customer's message and its files."""

    inbound: Inbound
    files: tuple[ChatwootFile, ...] = ()


def parse(body: dict[str, Any]) -> ChatwootMessage | None:
    """Return a customer's message, or an agent's to a customer; None for other events, notes and open conversations.

    Raises:
        LookupError, TypeError, ValueError, AttributeError: The body does not conform to the documentation.
    """
    if body.get("event") != "message_created" or body.get("private"):
        return None
    if body.get("message_type") in ("outgoing", 1):
        return _agents_message(body)
    if body.get("message_type") not in ("incoming", 0):
        return None
    conversation, sender = body["conversation"], body["sender"]
    if conversation.get("status", "pending") != "pending" or sender.get("type") in ("user", "agent_bot"):
        return None
    found = tuple(_files(body.get("attachments") or ()))
    readable = tuple(file for file in found if file.kind)
    text = str(body.get("content") or "")
    if not text and not found:
        return None
    contact = conversation.get("meta", {}).get("sender", {})
    return ChatwootMessage(
        Inbound(
            text,
            str(int(conversation["id"])),
            person=str(int(sender["id"])),
            channel="chatwoot",
            account=str(int(body["account"]["id"])),
            event=str(int(body["id"])),
            locale=_locale(sender, contact, conversation),
            display_name=storable_text(str(sender.get("name") or ""))[:200],
            unsupported_media=next((file.name for file in found if not file.kind), None),
        ),
        readable,
    )


def _agents_message(body: dict[str, Any]) -> ChatwootMessage | None:
    """Return the message that an agent has written to a customer in Chatwoot; None for those of bots."""
    sender, text = body.get("sender") or {}, str(body.get("content") or "")
    if sender.get("type") != "user" or not text:
        return None
    return ChatwootMessage(
        Inbound(
            text,
            str(int(body["conversation"]["id"])),
            channel="chatwoot",
            account=str(int(body["account"]["id"])),
            event=str(int(body["id"])),
            display_name=storable_text(str(sender.get("name") or ""))[:200],
            from_operator=True,
        )
    )


def _files(attachments: Any) -> list[ChatwootFile]:
    kinds = {"image": "image", "audio": "audio", "file": "document"}
    return [_file(one, kinds.get(str(one.get("file_type")), "")) for one in attachments]


def _file(attachment: dict[str, Any], kind: str) -> ChatwootFile:
    url = attachment.get("data_url")
    if not (url and kind):  # contacts and locations have no URL; videos are not supported
        return ChatwootFile("", "", str(attachment.get("file_type") or "file")[:20])
    return ChatwootFile(str(url), kind, unquote(str(url).partition("?")[0].rpartition("/")[2])[:200])


def _locale(*places: dict[str, Any]) -> str | None:
    for place in places:
        more = place.get("additional_attributes") or {}
        if found := more.get("browser_language") or (more.get("browser") or {}).get("browser_language"):
            return str(found)[:20]
    return None


class ChatwootFiles:
    """Downloads files of Chatwoot and of the storage that Chatwoot redirects to.

    Args:
        base_url: Chatwoot's URL, the only one that may be in a private network.
        api: The HTTP client of Chatwoot.
        max_bytes: The largest allowed size of a file.
        allowed: Returns whether another server's address is allowed.
    """

    def __init__(
        self, base_url: str, api: HttpApi, max_bytes: int, allowed: Callable[[Address], bool] = is_public
    ) -> None:
        self._home = urlsplit(base_url)
        self._api = api
        self._max_bytes = max_bytes
        self._storage = Fetcher(most=max_bytes, allowed=allowed)

    async def fetch(self, url: str) -> bytes:
        """Download a file.

        Raises:
            ChannelError: The download failed, or its URL is not allowed.
        """
        if not self._is_home(url):
            raise ChannelError(f"A file is outside of {self._home.netloc}; it is not downloaded.", permanent=True)
        for _ in range(_MAX_REDIRECTS + 1):
            if not self._is_home(url):
                return await self._fetch_from_storage(url)
            found = await self._api.fetch_or_redirect(url, self._max_bytes)
            if isinstance(found, bytes):
                return found
            url = _redirect_url(url, found)
        raise ChannelError(
            f"A file is redirected more than {_MAX_REDIRECTS} times; it is not downloaded.", permanent=True
        )

    def _is_home(self, url: str) -> bool:
        try:
            parts = urlsplit(url)
        except ValueError:
            return False
        return (parts.scheme, parts.netloc) == (self._home.scheme, self._home.netloc)

    async def _fetch_from_storage(self, url: str) -> bytes:
        if not url.startswith(("https://", f"{self._home.scheme}://")):
            raise ChannelError("A file is redirected to a URL without TLS; it is not downloaded.", permanent=True)
        try:
            return (await self._storage.fetch(url)).data
        except (InputError, ValueError) as error:
            raise ChannelError(f"A redirected file was not downloaded: {error}.", permanent=True) from error


def _redirect_url(url: str, place: str) -> str:
    try:
        return urljoin(url, place)
    except ValueError as error:
        raise ChannelError(f"A file is redirected to an invalid URL: {error}.", permanent=True) from error


class ChatwootChannel(Channel):
    """A Chatwoot agent bot: receives messages by webhook and answers over the API."""

    manifest = Manifest(
        "chatwoot",
        "Chatwoot",
        ChannelCapabilities(markup="markdown", max_length=20_000, max_file_in=MAX_FILE_BYTES),
        (
            Setting("base_url", "Chatwoot's URL, such as https://app.chatwoot.com.", required=True),
            Setting("token", "The agent bot's access token.", True, True),
            Setting("secret", "The agent bot's webhook secret.", True, True),
        ),
        simulator="qwendesk.testing.simulators.chatwoot:ChatwootSimulator",
    )

    def __init__(self, base_url: str, token: str, secret: str) -> None:
        self._base_url = base_url.rstrip("/")
        self._token = token
        self._secret = secret.encode()
        self._accept: Accept | None = None
        self._stopping = asyncio.Event()
        self._api = HttpApi(self.manifest.title, _ADVICE)
        self._fetching = FileFetcher(max_attempts=1)
        self._files = ChatwootFiles(self._base_url, self._api, MAX_FILE_BYTES)

    async def start(self, accept: Accept) -> None:
        """Accept webhook calls until ``stop``."""
        self._accept = accept
        await self._stopping.wait()

    async def stop(self) -> None:
        """Accept no more calls."""
        self._accept = None
        self._stopping.set()

    async def send(self, message: Outbound) -> str | None:
        """Post a message to the conversation as the bot."""
        path = f"accounts/{int(message.account)}/conversations/{int(message.conversation)}/messages"
        body = {"content": message.text, "message_type": "outgoing", "private": False}
        answer = await self._post(path, body)
        return str(answer["id"]) if isinstance(answer, dict) and "id" in answer else None

    async def check(self) -> str:
        """Post to a conversation that does not exist: with a valid token the response is 404."""
        # bots may create messages, but not call the profile endpoint: BOT_ACCESSIBLE_ENDPOINTS in Chatwoot's source
        url = f"{self._base_url}/api/v1/accounts/0/conversations/0/messages"
        status = await self._api.post_status(url, {"api_access_token": self._token})
        if status != _NOT_FOUND:
            advice = f" {_ADVICE}" if status in (401, 403) else ""
            raise ChannelError(f"Chatwoot answered {status}.{advice}", permanent=status in (401, 403))
        return f"connected to {self._base_url}"

    def routes(self) -> Sequence[BaseRoute]:
        """Return the route of the agent bot's webhook."""
        from starlette.routing import Route

        return [Route("/", self._handle_webhook, methods=["POST"])]

    async def aclose(self) -> None:
        """Close the connections."""
        self._stopping.set()
        await self._api.aclose()

    async def _post(self, path: str, body: dict[str, object]) -> object:
        headers = {"api_access_token": self._token, "content-type": "application/json"}
        return await self._api.post(f"{self._base_url}/api/v1/{path}", json.dumps(body).encode(), headers)

    async def _handle_webhook(self, request: Request) -> Response:
        from starlette.responses import Response

        if not self._may_be_signed(request.headers):
            return Response(status_code=401)
        body = await read_body(request, _MAX_BODY_BYTES)
        if body is None:
            return Response(status_code=413)
        if not self._signed(request.headers, body):
            return Response(status_code=401)
        if self._accept is None:
            return Response(status_code=503)
        try:
            content = read_json(body)
        except ValueError:
            return Response(status_code=400)
        try:
            parsed = parse(content)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            log.warning("A call of Chatwoot cannot be read: %r.", error)
            return Response(status_code=200)
        return Response(status_code=200 if parsed is None or await self._accept_message(parsed, self._accept) else 503)

    def _may_be_signed(self, headers: Mapping[str, str]) -> bool:
        """Return whether a request is recent and has a signature; the body of other requests is not read."""
        return is_recent(headers.get("X-Chatwoot-Timestamp", "")) and bool(headers.get("X-Chatwoot-Signature"))

    def _signed(self, headers: Mapping[str, str], body: bytes) -> bool:
        moment = headers.get("X-Chatwoot-Timestamp", "")
        expected = "sha256=" + hmac.digest(self._secret, f"{moment}.".encode() + body, "sha256").hex()
        return hmac.compare_digest(headers.get("X-Chatwoot-Signature", "").encode(), expected.encode())

    async def _accept_message(self, parsed: ChatwootMessage, accept: Accept) -> bool:
        """Pass a message to the desk; False if it is busy: Chatwoot then assigns the conversation to agents."""
        inbound = parsed.inbound
        try:
            async with asyncio.timeout(FETCH_TIMEOUT_SECONDS):
                inbound = await self._fetching.with_attachments(
                    inbound, [partial(self._fetch, file) for file in parsed.files]
                )
        except (ChannelError, TimeoutError):
            inbound = replace(inbound, unsupported_media="file")
        return await submit(inbound, accept, partial(self._refuse, inbound))

    async def _refuse(self, inbound: Inbound, text: str) -> None:
        await self.send(Outbound(f"refused:{inbound.event}", inbound.conversation, text, inbound.account))

    async def _fetch(self, file: ChatwootFile) -> Attachment:
        data = await self._files.fetch(file.url)
        mime = mimetypes.guess_type(file.name)[0] or "application/octet-stream"
        return Attachment(file.kind, mime, data, file.name)  # type: ignore[arg-type]
