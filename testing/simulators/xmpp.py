"""Simulated XMPP server: the desk's account and one room."""

from __future__ import annotations

import asyncio
import base64
import json
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree as ET
from xml.sax.saxutils import escape, quoteattr

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from qwendesk.testing.simulators.base import Fault, SeenMessage, Simulator, UserMessage, serve

_DOMAIN, _PASSWORD = "here.example", "simulated-password"
_DESK, _ROOM = f"desk@{_DOMAIN}", f"lobby@rooms.{_DOMAIN}"
_SASL = "xmlns='urn:ietf:params:xml:ns:xmpp-sasl'"
_SPACES = "xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'"
_STREAM = f"<stream:stream {_SPACES} from='{_DOMAIN}' id='1' version='1.0'>"
_FEATURES = {
    False: f"<mechanisms {_SASL}><mechanism>PLAIN</mechanism></mechanisms>",
    True: "<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/>",
}
_REFUSALS: dict[Fault, tuple[str, str]] = {
    "slow_down": ("wait", "resource-constraint"),
    "gone": ("cancel", "item-not-found"),
    "broken": ("wait", "internal-server-error"),
    "bad_markup": ("modify", "bad-request"),
}
_BIND, _CORRECT = "{urn:ietf:params:xml:ns:xmpp-bind}bind", "{urn:xmpp:message-correct:0}replace"
_REPLY, _COMPOSING = "{urn:xmpp:reply:0}reply", "{http://jabber.org/protocol/chatstates}composing"


class XmppSimulator(Simulator):
    """An XMPP server on TCP; all groups are one room."""

    sends_retry_after = False
    users_can_edit = True
    sends_locale = False

    def __init__(self) -> None:
        super().__init__()
        self._port, self._files_url = 0, ""
        self._files: dict[str, tuple[bytes, str]] = {}
        self._stream: _Stream | None = None
        self._present = asyncio.Event()
        self._number = 0
        self._last = ""
        self._written = UserMessage(), ""

    def settings(self) -> dict[str, Any]:
        """Return the channel settings of this server."""
        where = {"host": "127.0.0.1", "port": self._port, "security": "none", "trusted_files": self._files_url}
        return where | {"jid": _DESK, "password": _PASSWORD, "rooms": _ROOM}

    async def wait_started(self) -> None:
        """Wait until the desk is online."""
        await self._present.wait()

    async def write(self, written: UserMessage) -> str:
        """Deliver a person's message."""
        self._number += 1
        name = f"m{self._number}"
        self._written = written, name
        files = "".join(self._offered(file.name or name, file.data, file.mime) for file in written.files)
        await self._send(written, name, files)
        return name

    async def edit(self, text: str) -> None:
        """Deliver a correction of the last message; each correction names the original message."""
        self._number += 1
        written, name = self._written
        correction = f"<replace id='{name}' xmlns='urn:xmpp:message-correct:0'/>"
        await self._send(replace(written, text=text), f"m{self._number}", correction)

    async def _send(self, written: UserMessage, name: str, more: str) -> None:
        kind = "groupchat" if written.group else "chat"
        sender = f"{_ROOM}/p{written.person}" if written.group else f"p{written.person}@{_DOMAIN}/phone"
        text = f"desk: {written.text}" if written.mention else written.text
        body = f"<body>{escape(text)}</body>{more}"
        kind = "headline" if written.bot else kind  # XMPP has no mark of bots; headlines get no reply
        where = f"from={quoteattr(sender)} to='{_DESK}'"
        self._last = f"<message {where} id='{name}' type='{kind}'>{body}</message>"
        await self.repeat()

    async def repeat(self) -> None:
        """Deliver the last message again."""
        await self._present.wait()
        await self._told(self._last.encode())

    async def deliver_malformed(self, payload: Any) -> None:
        """Deliver bytes into the stream, other values in invalid stanzas."""
        await self._present.wait()
        if isinstance(payload, bytes):
            await self._told(payload)
            with suppress(UnicodeDecodeError):
                payload.decode()
                return
            await self._gone()  # a client closes a malformed stream
            return
        text = escape(json.dumps(payload))
        for sender in ("@@", f"{_ROOM}/", ""):
            malformed = f"<message from='{sender}' type='chat' id=''><replace/><body>{text}</body></message>"
            await self._told(malformed.encode())

    async def _start(self, stack: AsyncExitStack) -> None:
        self._files_url = await stack.enter_async_context(serve(Starlette(routes=[Route("/{name}", self._file)])))
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self._port = server.sockets[0].getsockname()[1]
        stack.callback(server.close)
        stack.callback(self._close_stream)

    def _offered(self, name: str, data: bytes, mime: str) -> str:
        self._files[name] = data, mime
        return f"<x xmlns='jabber:x:oob'><url>{escape(f'{self._files_url}/{quote(name)}')}</url></x>"

    async def _file(self, request: Request) -> Response:
        data, mime = self._files[request.path_params["name"]]
        return Response(data, media_type=mime)

    async def _told(self, data: bytes) -> None:
        if self._stream is None:
            raise ConnectionError("the desk is not connected")
        self._stream.writer.write(data)
        await self._stream.writer.drain()

    async def _gone(self) -> None:
        while self._present.is_set():  # noqa: ASYNC110 - an event can be waited for only until it is set
            await asyncio.sleep(0.01)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        stream = _Stream(self, writer)
        with suppress(ET.ParseError, ConnectionError):
            while data := await reader.read(65536):
                stream.feed(data)
        if self._stream is stream:
            self._present.clear()
        writer.close()

    def _close_stream(self) -> None:
        if self._stream:
            self._stream.writer.close()

    def set_stream(self, stream: _Stream) -> None:
        """Set the connection on which the desk receives messages."""
        self._stream = stream
        self._present.set()

    def take(self, stanza: ET.Element) -> str:
        """Record a message of the desk and return the server's reply."""
        if stanza.find(_COMPOSING) is not None:
            self.typing.append(stanza.get("to", ""))
        body = stanza.findtext("{jabber:client}body")
        if body is not None and self.faults:
            kind, condition = _REFUSALS[self.faults.pop(0)]
            why = f"<error type='{kind}'><{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>"
            where = f"from={quoteattr(stanza.get('to', ''))} to='{_DESK}'"
            return f"<message type='error' id={quoteattr(stanza.get('id', ''))} {where}>{why}</message>"
        if body is not None:
            self._show(stanza, body)
        self.notify()
        return ""

    def _show(self, stanza: ET.Element, body: str) -> None:
        corrected = stanza.find(_CORRECT)
        if corrected is None:
            answers = stanza.find(_REPLY)
            replied = None if answers is None else answers.get("id")
            self.messages.append(SeenMessage(stanza.get("id", ""), stanza.get("to", ""), body, replied, [body]))
            return
        shown = next(one for one in self.messages if one.id == corrected.get("id"))
        shown.versions += [body] if body != shown.text else []
        shown.text = body


class _Stream:
    """One connection of a client to the server."""

    def __init__(self, platform: XmppSimulator, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self._platform = platform
        self._known = False
        self._begin()

    def _begin(self) -> None:
        self._parser: Any = ET.XMLPullParser(("start", "end"))
        self._depth = 0

    def feed(self, data: bytes) -> None:
        """Parse received data."""
        parser = self._parser
        parser.feed(data)
        for event, element in parser.read_events():
            self._depth += 1 if event == "start" else -1
            if event == "start" and self._depth == 1:
                self._say(f"{_STREAM}<stream:features>{_FEATURES[self._known]}</stream:features>")
            elif event == "end" and self._depth == 0:
                self._say("</stream:stream>")
                self.writer.close()
            elif event == "end" and self._depth == 1:
                self._answer(element)

    def _answer(self, stanza: ET.Element) -> None:
        match stanza.tag.rpartition("}")[2]:
            case "auth":
                self._authenticate(stanza)
            case "iq" if stanza.get("type") in ("get", "set"):
                self._say(self._result(stanza))
            case "presence" if "/" in stanza.get("to", ""):
                self._say(_entered(stanza.get("to", "")))
            case "presence" if stanza.get("to") is None:
                self._platform.set_stream(self)
            case "message":
                self._say(self._platform.take(stanza))

    def _authenticate(self, stanza: ET.Element) -> None:
        self._known = base64.b64decode(stanza.text or "").split(b"\0")[2:] == [_PASSWORD.encode()]
        self._say(f"<success {_SASL}/>" if self._known else f"<failure {_SASL}><not-authorized/></failure>")
        self._begin()

    def _result(self, stanza: ET.Element) -> str:
        bound = f"<bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><jid>{_DESK}/here</jid></bind>"
        content = bound if stanza.find(_BIND) is not None else ""
        where = quoteattr(stanza.get("to", _DOMAIN))
        return f"<iq type='result' id={quoteattr(stanza.get('id', ''))} from={where}>{content}</iq>"

    def _say(self, text: str) -> None:
        self.writer.write(text.encode())


def _entered(occupant: str) -> str:
    """Return a room's replies to a join: the own presence and the subject."""
    item = "<item affiliation='member' role='participant'/><status code='110'/>"
    presence = f"<x xmlns='http://jabber.org/protocol/muc#user'>{item}</x>"
    room = occupant.partition("/")[0]
    subject = f"<message from={quoteattr(room)} type='groupchat'><subject/></message>"
    return f"<presence from={quoteattr(occupant)}>{presence}</presence>{subject}"
