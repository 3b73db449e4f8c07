"""One XMPP session: rooms, chat states, corrections, and file downloads."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from hashlib import sha256
from urllib.parse import unquote, urlsplit
from uuid import uuid4

from slixmpp import JID, ClientXMPP, Message, Presence
from slixmpp.exceptions import IqError, IqTimeout, PresenceError

from qwendesk.channels.base import MAX_FILE_BYTES
from qwendesk.channels.connection import ChannelSettings, Connection, Enqueue
from qwendesk.channels.xmpp.parse import parse
from qwendesk.errors import ChannelError, InputError
from qwendesk.messages import Attachment, Outbound, kind_of
from qwendesk.safe_fetch import Address, Fetched, Fetcher, is_public, resolved

_PORTS = {"http": 80, "https": 443}
_TRANSIENT_CONDITIONS = {
    "internal-server-error",
    "remote-server-not-found",
    "remote-server-timeout",
    "resource-constraint",
}
_INVALID_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that XML 1.0 excludes: the server closes a stream that contains one."""
_OCCUPANT_ID = "urn:xmpp:occupant-id:0"
_SELF_PRESENCE = 110
_NICK_CHANGED = 303


async def fetch_file(url: str, max_bytes: int, trusted: Sequence[str] = ()) -> Attachment:
    """Download a file from the public internet.

    Args:
        url: The file's URL; it may contain a secret, so errors show only its host.
        max_bytes: The maximum size.
        trusted: URL prefixes that may be in a private network; redirects from them may not.

    Raises:
        ChannelError: The download failed or is not allowed.
    """
    is_trusted = url.startswith(tuple(start.rstrip("/") + "/" for start in trusted))
    try:
        found = await _download(url, max_bytes, is_trusted)
    except InputError as error:
        reason = str(error).replace(repr(url), "that")
        raise ChannelError(f"A file on {_host(url)!r} was not downloaded: {reason}.", permanent=True) from error
    except ValueError as error:
        raise ChannelError("A file was not downloaded: its URL is invalid.", permanent=True) from error
    return Attachment(kind_of(found.mime), found.mime or "application/octet-stream", found.data, found.name)


async def _download(url: str, max_bytes: int, trusted: bool) -> Fetched:
    if not trusted:
        return await Fetcher(most=max_bytes).fetch(url)
    if ".." in unquote(urlsplit(url).path).replace("\\", "/").split("/"):
        raise InputError("its path leaves the trusted prefix")
    server = _TrustedServer(url)
    return await Fetcher(most=max_bytes, allowed=server.allows, resolve=server.resolve).fetch(url)


class _TrustedServer:
    """Allows private addresses for one server, not for servers that it redirects to."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._server = parts.hostname, parts.port or _PORTS.get(parts.scheme)
        self._is_trusted = False

    async def resolve(self, host: str, port: int) -> list[str]:
        """Return the addresses of a host and remember whether it is the trusted server."""
        self._is_trusted = (host, port) == self._server
        return await resolved(host, port)

    def allows(self, address: Address) -> bool:
        """Return whether an address of the host that was resolved last is allowed."""
        return self._is_trusted or is_public(address)


def _host(url: str) -> str:
    return urlsplit(url).hostname or "?"


class XmppSession(Connection):
    """One session of the account."""

    title = "XMPP"

    def __init__(self, settings: ChannelSettings, enqueue: Enqueue) -> None:
        super().__init__(settings, enqueue)
        self._nick = settings["nick"] or JID(settings["jid"]).user
        self.occupant_ids = {JID(room).bare: False for room in settings["rooms"]}
        """The rooms to join, and whether each supports occupant ids."""
        self._temporary_ids = defaultdict[str, str](lambda: uuid4().hex)
        """Ids of occupants without a known account or occupant id, valid until they leave."""
        security = settings["security"]
        plain = security == "none"
        allowed = {"feature_mechanisms": {"unencrypted_plain": plain, "unencrypted_scram": plain}}
        self.client = client = ClientXMPP(settings["jid"], settings["password"], plugin_config=allowed)
        for number in ("0045", "0066", "0085", "0199", "0203", "0308", "0421", "0461"):
            client.register_plugin(f"xep_{number}")
        client.enable_direct_tls, client.enable_starttls = security == "tls", security == "starttls"
        client.enable_plaintext = plain
        client.add_event_handler("message", self.skip_malformed(self._handle_message))
        client.add_event_handler("message_error", self.skip_malformed(self._handle_error))
        wrong = f"the server refuses {settings['jid']!r}: check QWENDESK_CHANNELS__XMPP__PASSWORD, and 'security'"
        client.add_event_handler("failed_all_auth", lambda _: self.fail(wrong, permanent=True))
        for broken in ("connection_failed", "ssl_invalid_chain", "disconnected"):
            client.add_event_handler(
                broken, lambda why: self.fail(f"the server cannot be reached, {why or 'it closed the connection'}")
            )

    async def open(self) -> None:
        """Log in and join the rooms."""
        self.client.connect(self._settings["host"] or None, self._settings["port"])
        await self.wait_for(self.client.wait_until("session_start"))
        for room in self.occupant_ids:
            await self.wait_for(self._join(room))

    def set_receiving(self, receiving: bool) -> None:
        """Set the presence priority: a negative one makes the server route messages to other sessions."""
        self.client.send_presence(ppriority=0 if receiving else -1)

    async def ping(self, name: str) -> None:
        """Ping the server; an error reply counts as an answer."""
        await self.client.plugin["xep_0199"].ping()

    def status(self) -> str:
        """Return the full JID and the number of rooms."""
        return f"connected as {self.client.boundjid.full}, in {len(self.occupant_ids)} rooms"

    async def send(self, message: Outbound) -> str:
        """Send a message and return its id, which is the same for each repetition."""
        stanza = self._text_stanza(message)
        stanza["id"] = sha256(message.key.encode()).hexdigest()[:32]
        await self._deliver(stanza)
        return str(stanza["id"])

    async def edit(self, message_id: str, message: Outbound) -> None:
        """Send a correction of a sent message."""
        stanza = self._text_stanza(message)
        stanza["replace"]["id"] = message_id
        await self._deliver(stanza)

    async def typing(self, conversation: str) -> None:
        """Send the chat state ``composing``."""
        self._stanza(conversation, "composing").send()

    def nick_in(self, room: str) -> str:
        """Return the desk's nick in a room; empty if it is none of the desk's rooms."""
        nicks = self.client.plugin["xep_0045"].our_nicks[None]
        return str(nicks.get(JID(room), self._nick)) if room in self.occupant_ids else ""

    def author_of(self, message: Message) -> str:
        """Return the author's verified JID or occupant id; otherwise a temporary id with the prefix ``unproven:``."""
        sender, muc = message["from"], self.client.plugin["xep_0045"]
        if sender.bare not in self.occupant_ids:
            return str(sender.bare)
        if real := muc.get_jid_property(sender.bare, sender.resource, "jid"):
            return JID(real).bare
        if self.occupant_ids[sender.bare] and (lasting := message["occupant-id"]["id"]):
            return f"{sender.bare}/{lasting}"
        return f"unproven:{sender.full}/{self._temporary_ids[sender.full]}"

    async def close(self) -> None:
        """Close the session."""
        await super().close()
        self.client.cancel_connection_attempt()
        await self.client.disconnect(wait=1.0)

    def _handle_message(self, message: Message) -> None:
        nick, author = self.nick_in(message["from"].bare), self.author_of(message)
        if parsed := parse(message, self.client.boundjid, nick, author):
            inbound, urls = parsed
            trusted = self._settings["trusted_files"]
            self._enqueue(inbound, *(partial(fetch_file, url, MAX_FILE_BYTES, trusted) for url in urls))

    def _stanza(self, conversation: str, state: str) -> Message:
        """Return a message that contains only a chat state."""
        message = self.client.make_message(JID(conversation))
        message["type"] = "groupchat" if conversation in self.occupant_ids else "chat"
        message["chat_state"] = state
        return message

    def _text_stanza(self, outbound: Outbound) -> Message:
        message = self._stanza(outbound.conversation, "active")
        message["body"] = _INVALID_XML.sub("\ufffd", outbound.text)
        if outbound.reply_to:
            message["reply"]["id"], _, message["reply"]["to"] = outbound.reply_to.partition(" ")
        return message

    async def _deliver(self, message: Message) -> None:
        async with self.confirming(message["id"], message["to"].bare):
            message.send()

    def _handle_error(self, message: Message) -> None:
        error = message["error"]
        permanent = error["type"] != "wait" and error["condition"] not in _TRANSIENT_CONDITIONS
        self.refuse(message["id"], f"{error['condition']} {error['text']}".rstrip(), permanent=permanent)

    async def _join(self, room: str) -> None:
        muc, disco = self.client.plugin["xep_0045"], self.client.plugin["xep_0030"]
        self.client.add_event_handler(f"muc::{room}::got_offline", self.skip_malformed(self.handle_leave))
        try:
            await muc.join_muc_wait(JID(room), self._nick, maxstanzas=0)
        except PresenceError as error:
            raise ChannelError(f"The room {room!r} cannot be joined: {error.condition} {error.text}.") from error
        with suppress(IqError, IqTimeout):  # the room does not answer service discovery
            self.occupant_ids[room] = await disco.supports(JID(room), feature=_OCCUPANT_ID)

    def handle_leave(self, presence: Presence) -> None:
        """Drop the temporary id of an occupant who left: the next one with the nick is another person.

        If the desk has left, not by a change of nick, the session ends.
        """
        self._temporary_ids.pop(presence["from"].full, None)
        codes = presence["muc"]["status_codes"]
        if _SELF_PRESENCE in codes and _NICK_CHANGED not in codes:
            self.fail(f"the desk was removed from the room {presence['from'].bare!r}")
