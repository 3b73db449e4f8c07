"""The XMPP channel on slixmpp."""

from __future__ import annotations

from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING

from qwendesk.channels.base import Capabilities, Channel, Manifest, Setting
from qwendesk.channels.files import fetch_file
from qwendesk.channels.over_line import OverLine
from qwendesk.channels.xmpp.parse import parse
from qwendesk.messages import Outbound

if TYPE_CHECKING:
    from slixmpp import Message

    from qwendesk.channels.xmpp.session import Session

_LARGEST_FILE = 20 * 2**20


class XmppChannel(OverLine["Session"], Channel):
    """An account; rooms are entered where they are named in the settings."""

    manifest = Manifest(
        "xmpp",
        "XMPP",
        Capabilities(
            max_length=6000,
            length_unit="bytes",
            edits=True,
            edit_interval=2.0,
            typing=30.0,
            groups=True,
            max_file_in=_LARGEST_FILE,
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
        simulator="qwendesk.channels.xmpp.simulator:XmppSimulator",
    )

    async def send(self, message: Outbound) -> str | None:
        """Send a message and return its id."""
        name = sha256(message.key.encode()).hexdigest()[:32]
        await (await self._line.link()).say(message, name)
        return name

    async def edit(self, message_id: str, message: Outbound) -> None:
        """Correct a message that was sent."""
        await (await self._line.link()).say(message, corrects=message_id)

    async def typing(self, conversation: str) -> None:
        """Show that an answer is being written."""
        (await self._line.link()).message(conversation, "composing").send()

    async def check(self) -> str:
        """Log in, and enter the rooms."""
        session = await self._line.link()
        return f"connected as {session.client.boundjid.full}, in {len(session.vouching)} rooms"

    def _link(self) -> Session:
        from qwendesk.channels.xmpp.session import Session

        return Session(self._settings, self._hear)

    def _hear(self, session: Session, message: Message) -> None:
        nick, author = session.nick_in(message["from"].bare), session.author_of(message)
        if parsed := parse(message, session.client.boundjid, nick, author):
            inbound, url = parsed
            trusted = self._settings["trusted_files"]
            self._line.put(inbound, *([partial(fetch_file, url, _LARGEST_FILE, trusted)] if url else []))
