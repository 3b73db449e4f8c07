"""The generic webhook: a program posts messages to the desk and receives answers at its own URL.

Calls are signed as in the Standard Webhooks specification 1.0: HMAC-SHA256 over id, timestamp and body. Source:
https://github.com/standard-webhooks/standard-webhooks
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qwendesk.channels.base import MAX_FILE_BYTES, Accept, Channel, ChannelCapabilities, Manifest, Setting
from qwendesk.channels.http_api import HttpApi
from qwendesk.channels.ingest import Quote, is_recent, read_body, read_json, with_quotes
from qwendesk.errors import ConfigError
from qwendesk.messages import Attachment, Inbound, Outbound, kind_of, storable_text
from qwendesk.settings import is_web_address

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute

MAX_BODY_BYTES = 28 * 2**20
"""A file of 20 MiB in base64 and its message."""
_ADVICE = "Check QWENDESK_CHANNELS__WEBHOOK__URL and QWENDESK_CHANNELS__WEBHOOK__SECRET."


def signed_headers(secret: str, name: str, body: bytes, now: float | None = None) -> dict[str, str]:
    """Return the headers of a signed body; a repeated message has the same ``name``."""
    moment = str(int(time.time() if now is None else now))
    return {
        "webhook-id": name,
        "webhook-timestamp": moment,
        "webhook-signature": f"v1,{_sign(secret, name, moment, body)}",
        "content-type": "application/json",
    }


def has_fresh_signature(headers: Mapping[str, str], now: float | None = None) -> bool:
    """Return whether a call is recent and has a signature; the body of other calls is not read."""
    named = headers.get("webhook-id") and "v1," in headers.get("webhook-signature", "")
    return bool(named) and is_recent(headers.get("webhook-timestamp", ""), now)


def verified_id(secret: str, headers: Mapping[str, str], body: bytes, now: float | None = None) -> str | None:
    """Return the id of a recent call with a valid signature; None for other calls."""
    if not has_fresh_signature(headers, now):
        return None
    name, moment = headers["webhook-id"], headers["webhook-timestamp"]
    expected = _sign(secret, name, moment, body).encode()
    shown = [one[3:].encode() for one in headers.get("webhook-signature", "").split(" ") if one.startswith("v1,")]
    return name if any(hmac.compare_digest(one, expected) for one in shown) else None


def signing_key(secret: str) -> bytes:
    """Return the key of a secret.

    Raises:
        ConfigError: The secret is not ``whsec_`` and base64, or its key is shorter than 24 bytes.
    """
    try:
        key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:  # not base64
        key = b""
    if not secret.startswith("whsec_") or len(key) < 24:
        raise ConfigError(
            "The webhook's secret must be 'whsec_' and at least 24 bytes in base64; make one: "
            "echo whsec_$(openssl rand -base64 32)"
        )
    return key


def _sign(secret: str, name: str, moment: str, body: bytes) -> str:
    content = f"{name}.{moment}.".encode() + body
    return base64.b64encode(hmac.digest(signing_key(secret), content, "sha256")).decode()


class WebhookChannel(Channel):
    """Signed calls in both directions, each with an id that identifies repetitions."""

    manifest = Manifest(
        "webhook",
        "Webhook",
        ChannelCapabilities(
            markup="markdown",
            max_length=100_000,
            buttons=8,
            groups=True,
            max_file_in=MAX_FILE_BYTES,
            sends_files=True,
        ),
        (
            Setting("url", "The URL to which answers are posted, such as https://shop.example/answers.", required=True),
            Setting("secret", "The key of both signatures: whsec_ and 24 to 64 bytes in base64.", True, True),
        ),
        hint="Make a secret: echo whsec_$(openssl rand -base64 32). Post messages, signed as Standard Webhooks say, to "
        "/channels/webhook/ of the desk's web server: docs/how-to/webhook.md has an example.",
        simulator="qwendesk.testing.simulators.webhook:WebhookSimulator",
    )

    def __init__(self, url: str, secret: str) -> None:
        if not is_web_address(url):
            raise ConfigError(f"'url' of the webhook is {url!r}; set a URL such as 'https://shop.example/answers'.")
        signing_key(secret)
        self._url = url
        self._secret = secret
        self._accept: Accept | None = None
        self._stopping = asyncio.Event()
        self._calls = HttpApi(self.manifest.title, _ADVICE)

    async def start(self, accept: Accept) -> None:
        """Accept calls until ``stop``."""
        self._accept = accept
        await self._stopping.wait()

    async def stop(self) -> None:
        """Accept no more calls."""
        self._accept = None
        self._stopping.set()

    async def send(self, message: Outbound) -> str | None:
        """Post a message; the call's id is the message's key."""
        body = json.dumps(_payload("message", message), ensure_ascii=False).encode()
        answer = await self._calls.post(self._url, body, signed_headers(self._secret, message.key, body))
        return str(answer["id"]) if isinstance(answer, dict) and "id" in answer else message.key

    async def check(self) -> str:
        """Post a signed ping to the program."""
        body = json.dumps({"type": "ping"}).encode()
        await self._calls.post(self._url, body, signed_headers(self._secret, "ping", body))
        return f"{self._url} accepts signed calls"

    def routes(self) -> Sequence[BaseRoute]:
        """Return the route that the program posts to."""
        from starlette.routing import Route

        return [Route("/", self._handle_call, methods=["POST"])]

    async def aclose(self) -> None:
        """Close the connections."""
        self._stopping.set()
        await self._calls.aclose()

    async def _handle_call(self, request: Request) -> Response:
        from starlette.responses import JSONResponse

        body = await read_body(request, MAX_BODY_BYTES) if has_fresh_signature(request.headers) else b""
        if body is None:
            return JSONResponse({"error": "too large"}, 413)
        name = verified_id(self._secret, request.headers, body)
        if name is None:
            return JSONResponse(
                {"error": "the signature is invalid, or its timestamp differs by more than five minutes"}, 401
            )
        if self._accept is None:
            return JSONResponse({"error": "the desk is stopping"}, 503)
        try:
            inbound = parse(read_json(body), name)
        except ValueError as error:
            return JSONResponse({"error": f"not a message: {error}"}, 400)
        admission = await self._accept(inbound)
        if admission.outcome == "busy":
            wait = str(max(1, round(admission.retry_after or 1)))
            return JSONResponse({"outcome": "busy"}, 503, {"Retry-After": wait})
        return JSONResponse({"outcome": admission.outcome, "sequence": admission.sequence, "text": admission.text})


def parse(body: Any, name: str) -> Inbound:
    """Return the message of a call's body.

    Raises:
        ValueError: A field is missing or has the wrong type; the text names it.
    """
    if not isinstance(body, dict):
        raise ValueError("the body has to be a JSON object with 'conversation' and 'text'")
    text, conversation = body.get("text") or "", body.get("conversation")
    if not isinstance(text, str):
        raise ValueError("'text' has to be a string")
    if not isinstance(conversation, str) or not conversation:
        raise ValueError("'conversation' is missing or no string: set your id of the conversation")
    files = body.get("attachments") or []
    if not isinstance(files, list):
        raise ValueError("'attachments' has to be a list")
    return Inbound(
        with_quotes(text, _quotes(body)),
        storable_text(conversation)[:200],
        tuple(_file(file) for file in files),
        person=storable_text(str(body.get("person") or conversation))[:200],
        channel="webhook",
        event=name[:200],
        reply_to=storable_text(str(body["id"]))[:200] if body.get("id") else None,
        locale=storable_text(str(body["locale"]))[:20] if body.get("locale") else None,
        group=body.get("group") is True,
        display_name=storable_text(str(body.get("name") or ""))[:200],
    )


def _quotes(body: dict[str, Any]) -> list[Quote]:
    """Return the quoted message of a reply.

    Raises:
        ValueError: The quote has the wrong type.
    """
    quote = body.get("quote")
    if quote is None:
        return []
    if not isinstance(quote, dict) or not isinstance(quote.get("text"), str):
        raise ValueError("'quote' has to be an object with the string 'text', and optionally 'name'")
    return [Quote(storable_text(quote["text"]), storable_text(str(quote.get("name") or "")))]


def _file(file: Any) -> Attachment:
    """Return an attachment.

    Raises:
        ValueError: A field is missing or invalid.
    """
    if not isinstance(file, dict) or not all(isinstance(file.get(key), str) for key in ("mime", "data")):
        raise ValueError("each of 'attachments' has to be an object with the strings 'mime' and 'data' (base64)")
    try:
        data = base64.b64decode(file["data"], validate=True)
    except ValueError as error:
        raise ValueError(f"'data' of an attachment is not base64: {error}") from None
    return Attachment(kind_of(file["mime"]), file["mime"], data, str(file.get("name", "")))


def _payload(kind: str, message: Outbound) -> dict[str, Any]:
    return {
        "type": kind,
        "key": message.key,
        "conversation": message.conversation,
        "text": message.text,
        "reply_to": message.reply_to,
        "buttons": [{"label": button.shown_label, "value": button.value} for button in message.buttons],
        "attachments": [
            {"mime": file.mime, "name": file.name, "data": base64.b64encode(file.data).decode()}
            for file in message.attachments
        ],
    }
