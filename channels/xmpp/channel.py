"""The XMPP channel: its settings; the library is imported with the first session."""

from __future__ import annotations

from qwendesk.channels.base import MAX_FILE_BYTES, Channel, ChannelCapabilities, Manifest, Setting
from qwendesk.channels.connection import Connection
from qwendesk.channels.persistent_connection import PersistentConnectionChannel


class XmppChannel(PersistentConnectionChannel, Channel):
    """An XMPP account that joins the rooms of its settings."""

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
            Setting("rooms", "Rooms to join, such as help@rooms.example.org.", default=()),
            Setting("nick", "Its nick in rooms; empty: the account's name."),
            Setting("host", "The server's address; empty: from the DNS records of the account's domain."),
            Setting("port", "Its port, where an address is set.", default=5222),
            Setting(
                "security", "How the connection is encrypted.", default="starttls", choices=("starttls", "tls", "none")
            ),
            Setting(
                "trusted_files", "URL prefixes in a private network from which files may be downloaded.", default=()
            ),
        ),
        needs=("slixmpp",),
        simulator="qwendesk.testing.simulators.xmpp:XmppSimulator",
    )

    def make_connection(self) -> Connection:
        """Create a session."""
        from qwendesk.channels.xmpp.session import XmppSession

        return XmppSession(self._settings, self.enqueue)
