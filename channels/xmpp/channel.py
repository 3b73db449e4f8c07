"""The XMPP channel on slixmpp."""

from __future__ import annotations

from functools import partial
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from qwendesk.channels.base import Capabilities, Channel, Manifest, Setting, listed
from qwendesk.channels.files import fetch_file
from qwendesk.channels.over_line import OverLine
from qwendesk.channels.xmpp.parse import LARGEST_FILE, parse
from qwendesk.messages import Outbound

if TYPE_CHECKING:
    from slixmpp import Message

    from qwendesk.channels.simulate.base import Simulator
    from qwendesk.channels.xmpp.session import Session

_ABILITIES = Capabilities(
    max_length=6000,
    length_unit="bytes",
    edits=True,
    edit_interval=2.0,
    typing=30.0,
    groups=True,
    max_file_in=LARGEST_FILE,
)


class XmppChannel(OverLine["Session"], Channel):
    """An account; rooms are entered where they are named in the settings."""

    manifest = Manifest(
        "xmpp",
        "XMPP",
        _ABILITIES,
        (
            Setting("jid", "The desk's account, such as desk@example.org.", required=True),
            Setting("password", "Its password.", True, True),
            Setting("rooms", "Rooms to be in, such as help@rooms.example.org; several with commas."),
            Setting("nick", "Its name in rooms; empty: the account's."),
            Setting("host", "The server's address; empty: what the account's domain says."),
            Setting("port", "Its port, where an address is set.", default=5222),
            Setting("security", "How it is kept secret.", default="starttls", choices=("starttls", "tls", "none")),
            Setting("trusted_files", "Addresses in one's own network to fetch files below; several with commas."),
        ),
        needs=("slixmpp",),
    )

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._rooms = listed(settings["rooms"])
        self._trusted = [start.rstrip("/") + "/" for start in listed(settings["trusted_files"])]

    async def send(self, message: Outbound) -> str | None:
        """Send a message and return its id."""
        session = await self._line.link()
        stanza = session.written(message)
        stanza["id"] = sha256(message.key.encode()).hexdigest()[:32]
        await session.deliver(stanza)
        return str(stanza["id"])

    async def edit(self, message_id: str, message: Outbound) -> None:
        """Correct a message that was sent."""
        session = await self._line.link()
        stanza = session.written(message)
        stanza["replace"]["id"] = message_id
        await session.deliver(stanza)

    async def typing(self, conversation: str) -> None:
        """Show that an answer is being written."""
        (await self._line.link()).message(conversation, "composing").send()

    async def check(self) -> str:
        """Log in, and enter the rooms."""
        return f"connected as {(await self._line.link()).client.boundjid.full}, in {len(self._rooms)} rooms"

    @classmethod
    def simulator(cls) -> Simulator:
        """Return the platform without a network."""
        from qwendesk.channels.xmpp.simulator import XmppSimulator

        return XmppSimulator()

    def _link(self) -> Session:
        from qwendesk.channels.xmpp.session import Session

        return Session(self._settings, self._rooms, self._hear)

    def _hear(self, session: Session, message: Message) -> None:
        if parsed := parse(message, session.client.boundjid, session.room_of(message)):
            inbound, url = parsed
            self._line.put(inbound, *([partial(fetch_file, url, LARGEST_FILE, self._trusted)] if url else []))
