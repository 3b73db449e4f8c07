"""One connection to an XMPP server: logged in, in its rooms, and sure of what it has sent."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from uuid import uuid4

from slixmpp import JID, ClientXMPP, Message, Presence
from slixmpp.exceptions import IqError, IqTimeout, PresenceError

from qwendesk.channels.link import Link
from qwendesk.channels.xmpp.parse import UNPROVEN, Room
from qwendesk.errors import ChannelError
from qwendesk.messages import Outbound

_FOR_NOW = {"internal-server-error", "remote-server-not-found", "remote-server-timeout", "resource-constraint"}
_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What no XML can hold: one such character would end the connection."""
_OCCUPANT_ID = "urn:xmpp:occupant-id:0"
_ONESELF = 110
_RENAMED = 303
_ASK_SECONDS = 60.0
"""After so long the server is asked whether it is still there: a connection can be lost without a sign."""


class Session(Link):
    """Made anew for each connection.

    Args:
        of: the channel's settings.
        rooms: the rooms to enter.
        heard: is given each message; must not wait.
    """

    def __init__(self, of: dict[str, Any], rooms: list[str], heard: Callable[[Session, Message], None]) -> None:
        super().__init__("XMPP")
        self._of = of
        self._nick = of["nick"] or JID(of["jid"]).user
        self._vouching = dict.fromkeys(rooms, False)
        self._refused: dict[str, Message | None] = {}
        self._stays: dict[str, str] = {}
        """Of whom nothing lasting is known: what they are called for as long as they stay."""
        self._begun = asyncio.Event()
        self._asking: asyncio.Task[None] | None = None
        plain = of["security"] == "none"
        allowed = {"feature_mechanisms": {"unencrypted_plain": plain, "unencrypted_scram": plain}}
        self.client = client = ClientXMPP(of["jid"], of["password"], plugin_config=allowed)
        for number in ("0030", "0045", "0066", "0085", "0199", "0203", "0308", "0461"):
            client.register_plugin(f"xep_{number}")
        client.enable_direct_tls, client.enable_starttls = of["security"] == "tls", of["security"] == "starttls"
        client.enable_plaintext = plain
        client.add_event_handler("message", self.reading(lambda message: heard(self, message)))
        client.add_event_handler("groupchat_presence", self.reading(self._moved))
        client.add_event_handler("message_error", self._was_refused)
        client.add_event_handler("session_start", lambda _: self._begun.set())
        wrong = f"the server refuses {of['jid']!r}: check QWENDESK_CHANNELS__XMPP__PASSWORD, and 'security'"
        client.add_event_handler("failed_all_auth", lambda _: self.end(wrong, permanent=True))
        for broken in ("connection_failed", "ssl_invalid_chain", "disconnected"):
            client.add_event_handler(broken, lambda why: self.end(f"the server is not reached, {why or 'it hung up'}"))

    async def open(self) -> None:
        """Log in and enter the rooms."""
        self.client.connect(self._of["host"] or None, self._of["port"])
        await self.lasting(self._begun.wait())
        for room in self._vouching:
            await self.lasting(self._enter(room))
        self._asking = asyncio.create_task(self._ask_again_and_again())

    def listen(self, listening: bool) -> None:
        """Let the server give this connection what is written to the account, or keep that for one that listens."""
        self.client.send_presence(ppriority=0 if listening else -1)

    def message(self, conversation: str, state: str) -> Message:
        """Return a message that says so far only what the desk is doing."""
        message = self.client.make_message(JID(conversation))
        message["type"] = "groupchat" if conversation in self._vouching else "chat"
        message["chat_state"] = state
        return message

    def written(self, outbound: Outbound) -> Message:
        """Return a message with a text."""
        message = self.message(outbound.conversation, "active")
        message["body"] = _NOT_XML.sub("\ufffd", outbound.text)
        if outbound.reply_to:
            message["reply"]["id"], _, message["reply"]["to"] = outbound.reply_to.partition(" ")
        return message

    async def deliver(self, message: Message) -> None:
        """Send a message, and wait until the server would have refused it: it answers in order.

        Raises:
            ChannelError: it was refused, or the connection is lost.
        """
        self._refused[message["id"]] = None
        message.send()
        try:
            await self.lasting(self._asked())
        finally:
            refused = self._refused.pop(message["id"])
        if refused:
            error = refused["error"]
            why = f"XMPP refuses the message: {error['condition']} {error['text']}".rstrip()
            raise ChannelError(f"{why}.", permanent=error["type"] != "wait" and error["condition"] not in _FOR_NOW)

    def room_of(self, message: Message) -> Room | None:
        """Return the room that a message came from or through, and who wrote it; None where it is no room's."""
        sender, muc = message["from"], self.client.plugin["xep_0045"]
        if sender.bare not in self._vouching:
            return None
        nick = str(muc.our_nicks[None].get(JID(sender.bare), self._nick))
        real = muc.rooms[None].get(JID(sender.bare), {}).get(sender.resource, {}).get("jid")
        given = message.xml.find(f"{{{_OCCUPANT_ID}}}occupant-id")
        lasting = given.get("id") if given is not None and self._vouching[sender.bare] else None
        if real:
            return Room(nick, JID(real).bare)
        return Room(nick, f"{sender.bare}/{lasting}" if lasting else self._unproven(sender))

    async def close(self) -> None:
        """Hang up."""
        self.end("the desk has hung up")
        if self._asking:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
        self.client.cancel_connection_attempt()
        await self.client.disconnect(wait=1.0)

    async def _enter(self, room: str) -> None:
        muc, disco = self.client.plugin["xep_0045"], self.client.plugin["xep_0030"]
        try:
            await muc.join_muc_wait(JID(room), self._nick, maxstanzas=0)
        except PresenceError as error:
            raise ChannelError(f"The room {room!r} cannot be entered: {error.condition} {error.text}.") from error
        with suppress(IqError, IqTimeout):  # a room that does not say what it can
            self._vouching[room] = await disco.supports(JID(room), feature=_OCCUPANT_ID)

    def _unproven(self, occupant: JID) -> str:
        """Return a name for who may be anybody; who takes a nick that was left is somebody else."""
        stay = self._stays.setdefault(occupant.full, uuid4().hex)
        return f"{UNPROVEN}{occupant.full}/{stay}"

    def _moved(self, presence: Presence) -> None:
        """Note that somebody has left, or goes by another nick; an end of the desk's own stay ends the session."""
        if presence["type"] != "unavailable":
            return
        self._stays.pop(presence["from"].full, None)
        codes = presence["muc"]["status_codes"]
        if _ONESELF in codes and _RENAMED not in codes and presence["from"].bare in self._vouching:
            self.end(f"the desk was put out of the room {presence['from'].bare!r}")

    async def _ask_again_and_again(self) -> None:
        while not self.ended.done():
            await asyncio.sleep(_ASK_SECONDS)
            with suppress(ChannelError):
                await self.lasting(self._asked())

    async def _asked(self) -> None:
        try:
            await self.client.plugin["xep_0199"].send_ping(JID(self.client.boundjid.host))
        except IqError:
            pass  # that is an answer too
        except IqTimeout as error:
            raise TimeoutError from error

    def _was_refused(self, message: Message) -> None:
        if message["id"] in self._refused:
            self._refused[message["id"]] = message
