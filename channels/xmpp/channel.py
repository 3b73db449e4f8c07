"""The XMPP channel on slixmpp."""

from __future__ import annotations

from qwendesk.channels.base import LARGEST_FILE, Capabilities, Channel, Manifest, Setting
from qwendesk.channels.link import Link
from qwendesk.channels.over_line import OverLine


class XmppChannel(OverLine, Channel):
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
            max_file_in=LARGEST_FILE,
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

    def make(self) -> Link:
        """Make a session."""
        from qwendesk.channels.xmpp.session import Session

        return Session(self._settings, self.put)
