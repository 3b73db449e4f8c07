"""The XMPP channel on slixmpp."""

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

from qwendesk.channels.base import MAX_FILE_BYTES, Channel, ChannelCapabilities, Manifest, Setting
from qwendesk.channels.connection import Connection, Enqueue, Values
from qwendesk.channels.persistent_connection import PersistentConnectionChannel
from qwendesk.channels.xmpp.parse import parse
from qwendesk.errors import ChannelError, InputError
from qwendesk.messages import Attachment, Outbound, kind_of
from qwendesk.safe_fetch import Address, Fetched, Fetcher, is_public, resolved


class XmppChannel(PersistentConnectionChannel, Channel):
    """An account; rooms are entered where they are named in the settings."""

    manifest = Manifest(
        "xmpp",
        "XMPP",
        ChannelCapabilities(
            max_length=6000,
            length_unit="bytes",
            edits=True,
            edit_interval=2.0,
            typing=30.0,
            groups=True,
            max_file_in=MAX_FILE_BYTES,
        ),
        (
            Setting("jid", "The desk's account, such as desk@example.org.", required=True),
            Setting("password", "Its password.", True, True),
            Setting("rooms", "Rooms to be in, such as help@rooms.example.org.", default=()),
            Setting("nick", "Its name in rooms; empty: the account's."),
            Setting("host", "The server's address; empty: what the account's domain says."),
            Setting("port", "Its port, where an address is set.", default=5222),
            Setting("security", "How it is kept secret.", default="starttls", choices=("starttls", "tls", "none")),
            Setting("trusted_files", "Addresses in one's own network to fetch files below.", default=()),
        ),
        needs=("slixmpp",),
        simulator="qwendesk.testing.simulators.xmpp:XmppSimulator",
    )

    def make_connection(self) -> Connection:
        """Make a session."""
        return XmppSession(self._settings, self.enqueue)


_PORTS = {"http": 80, "https": 443}


async def fetch_file(url: str, largest: int, trusted: Sequence[str] = ()) -> Attachment:
    """Return the file at an address of the open internet.

    Args:
        url: the address; it may be all that one needs to have the file, so it is told to nobody.
        largest: bytes that the file may have.
        trusted: addresses below which a file may lie in one's own network; where it sends on to may not.

    Raises:
        ChannelError: it cannot be had.
    """
    is_trusted = url.startswith(tuple(start.rstrip("/") + "/" for start in trusted))
    try:
        found = await _found(url, largest, is_trusted)
    except InputError as error:
        reason = str(error).replace(repr(url), "that")
        raise ChannelError(f"A file on {_host(url)!r} was not fetched: {reason}.", permanent=True) from error
    except ValueError as error:
        raise ChannelError("A file was not fetched: what was written is no address.", permanent=True) from error
    return Attachment(kind_of(found.mime), found.mime or "application/octet-stream", found.data, found.name)


async def _found(url: str, largest: int, trusted: bool) -> Fetched:
    if not trusted:
        return await Fetcher(most=largest).fetch(url)
    if ".." in unquote(urlsplit(url).path).replace("\\", "/").split("/"):
        raise InputError("its address leads out of the trusted one")
    home = _TrustedServer(url)
    return await Fetcher(most=largest, allowed=home.allows, resolve=home.resolve).fetch(url)


class _TrustedServer:
    """Lets one server lie in one's own network, and no other that it sends on to."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._home = parts.hostname, parts.port or _PORTS.get(parts.scheme)
        self._is_home = False

    async def resolve(self, host: str, port: int) -> list[str]:
        """Return a name's addresses, which are asked about next."""
        self._is_home = (host, port) == self._home
        return await resolved(host, port)

    def allows(self, address: Address) -> bool:
        """Tell whether an address of the name that was resolved last may be asked."""
        return self._is_home or is_public(address)


def _host(url: str) -> str:
    return urlsplit(url).hostname or "?"


_TRANSIENT_CONDITIONS = {
    "internal-server-error",
    "remote-server-not-found",
    "remote-server-timeout",
    "resource-constraint",
}

_INVALID_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

"""What no XML can hold: one such character would end the connection."""

_OCCUPANT_ID = "urn:xmpp:occupant-id:0"

_SELF_PRESENCE = 110

_NICK_CHANGED = 303


class XmppSession(Connection):
    """Made anew for each connection."""

    title = "XMPP"

    def __init__(self, settings: Values, put: Enqueue) -> None:
        super().__init__(settings, put)
        self._nick = settings["nick"] or JID(settings["jid"]).user
        self.vouching = {JID(room).bare: False for room in settings["rooms"]}
        """The rooms to be in, and whether each tells people apart by lasting names."""
        self._stays = defaultdict[str, str](lambda: uuid4().hex)
        """Of whom nothing lasting is known: what they are called for as long as they stay."""
        security = settings["security"]
        plain = security == "none"
        allowed = {"feature_mechanisms": {"unencrypted_plain": plain, "unencrypted_scram": plain}}
        self.client = client = ClientXMPP(settings["jid"], settings["password"], plugin_config=allowed)
        for number in ("0045", "0066", "0085", "0199", "0203", "0308", "0421", "0461"):
            client.register_plugin(f"xep_{number}")
        client.enable_direct_tls, client.enable_starttls = security == "tls", security == "starttls"
        client.enable_plaintext = plain
        client.add_event_handler("message", self.tolerant(self._hear))
        client.add_event_handler("message_error", self.tolerant(self._refused))
        wrong = f"the server refuses {settings['jid']!r}: check QWENDESK_CHANNELS__XMPP__PASSWORD, and 'security'"
        client.add_event_handler("failed_all_auth", lambda _: self.fail(wrong, permanent=True))
        for broken in ("connection_failed", "ssl_invalid_chain", "disconnected"):
            client.add_event_handler(broken, lambda why: self.fail(f"the server is not reached, {why or 'it hung up'}"))

    async def open(self) -> None:
        """Log in and enter the rooms."""
        self.client.connect(self._settings["host"] or None, self._settings["port"])
        await self.wait_for(self.client.wait_until("session_start"))
        for room in self.vouching:
            await self.wait_for(self._enter(room))

    def listen(self, listening: bool) -> None:
        """Let the server give this connection what is written to the account, or keep that for one that listens."""
        self.client.send_presence(ppriority=0 if listening else -1)

    async def ping(self, name: str) -> None:
        """Ask the server for a sign; that it cannot give one is a sign too."""
        await self.client.plugin["xep_0199"].ping()

    def status(self) -> str:
        """Say in one line as whom the desk is connected."""
        return f"connected as {self.client.boundjid.full}, in {len(self.vouching)} rooms"

    async def send(self, message: Outbound) -> str:
        """Send a message and return its id, by which it is known however often it is sent."""
        stanza = self._written(message)
        stanza["id"] = sha256(message.key.encode()).hexdigest()[:32]
        await self._deliver(stanza)
        return str(stanza["id"])

    async def edit(self, message_id: str, message: Outbound) -> None:
        """Correct a message that was sent."""
        stanza = self._written(message)
        stanza["replace"]["id"] = message_id
        await self._deliver(stanza)

    async def typing(self, conversation: str) -> None:
        """Show that an answer is being written."""
        self._stanza(conversation, "composing").send()

    def nick_in(self, room: str) -> str:
        """Return what the desk is called in a room; empty: that is none of its rooms."""
        nicks = self.client.plugin["xep_0045"].our_nicks[None]
        return str(nicks.get(JID(room), self._nick)) if room in self.vouching else ""

    def author_of(self, message: Message) -> str:
        """Return who wrote a message, as their server or the room vouches for it, or somebody who may be anybody."""
        sender, muc = message["from"], self.client.plugin["xep_0045"]
        if sender.bare not in self.vouching:
            return str(sender.bare)
        if real := muc.get_jid_property(sender.bare, sender.resource, "jid"):
            return JID(real).bare
        if self.vouching[sender.bare] and (lasting := message["occupant-id"]["id"]):
            return f"{sender.bare}/{lasting}"
        return f"unproven:{sender.full}/{self._stays[sender.full]}"

    async def close(self) -> None:
        """Hang up."""
        await super().close()
        self.client.cancel_connection_attempt()
        await self.client.disconnect(wait=1.0)

    def _hear(self, message: Message) -> None:
        nick, author = self.nick_in(message["from"].bare), self.author_of(message)
        if parsed := parse(message, self.client.boundjid, nick, author):
            inbound, urls = parsed
            trusted = self._settings["trusted_files"]
            self._put(inbound, *(partial(fetch_file, url, MAX_FILE_BYTES, trusted) for url in urls))

    def _stanza(self, conversation: str, state: str) -> Message:
        """Return a message that says so far only what the desk is doing."""
        message = self.client.make_message(JID(conversation))
        message["type"] = "groupchat" if conversation in self.vouching else "chat"
        message["chat_state"] = state
        return message

    def _written(self, outbound: Outbound) -> Message:
        message = self._stanza(outbound.conversation, "active")
        message["body"] = _INVALID_XML.sub("\ufffd", outbound.text)
        if outbound.reply_to:
            message["reply"]["id"], _, message["reply"]["to"] = outbound.reply_to.partition(" ")
        return message

    async def _deliver(self, message: Message) -> None:
        async with self.confirming(message["id"], message["to"].bare):
            message.send()

    def _refused(self, message: Message) -> None:
        error = message["error"]
        permanent = error["type"] != "wait" and error["condition"] not in _TRANSIENT_CONDITIONS
        self.refuse(message["id"], f"{error['condition']} {error['text']}".rstrip(), permanent=permanent)

    async def _enter(self, room: str) -> None:
        muc, disco = self.client.plugin["xep_0045"], self.client.plugin["xep_0030"]
        self.client.add_event_handler(f"muc::{room}::got_offline", self.tolerant(self._left))
        try:
            await muc.join_muc_wait(JID(room), self._nick, maxstanzas=0)
        except PresenceError as error:
            raise ChannelError(f"The room {room!r} cannot be entered: {error.condition} {error.text}.") from error
        with suppress(IqError, IqTimeout):  # a room that does not say what it can
            self.vouching[room] = await disco.supports(JID(room), feature=_OCCUPANT_ID)

    def _left(self, presence: Presence) -> None:
        """Note that somebody has left a room: who takes a nick that was left is somebody else.

        Where the desk itself has left one, and not for another nick, the session ends.
        """
        self._stays.pop(presence["from"].full, None)
        codes = presence["muc"]["status_codes"]
        if _SELF_PRESENCE in codes and _NICK_CHANGED not in codes:
            self.fail(f"the desk was put out of the room {presence['from'].bare!r}")
