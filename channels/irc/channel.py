"""The IRC channel: its settings; the library is imported with the first connection."""

from __future__ import annotations

from qwendesk.channels.base import Channel, ChannelCapabilities, Manifest, Setting
from qwendesk.channels.connection import Connection
from qwendesk.channels.persistent_connection import PersistentConnectionChannel


class IrcChannel(PersistentConnectionChannel, Channel):
    """An IRC nick; each line of a message is one PRIVMSG."""

    manifest = Manifest(
        "irc",
        "IRC",
        ChannelCapabilities(max_length=2000, length_unit="bytes", typing=6.0, groups=True),
        (
            Setting("host", "The server's address.", required=True),
            Setting("port", "Its port.", default=6697),
            Setting("tls", "Whether to connect with TLS.", default=True),
            Setting("nick", "The desk's nick; _ is appended while it is in use.", default="qwendesk"),
            Setting("channels", "Channels to join, such as #help; a key after a space.", default=()),
            Setting("account", "The registered account to log in to by SASL; empty: none."),
            Setting("password", "The account's password; without an account, the server's.", True),
            Setting("line_seconds", "Seconds between two lines, after a burst of four.", default=1.0),
        ),
        needs=("irctokens",),
        simulator="qwendesk.testing.simulators.irc:IrcSimulator",
    )

    def make_connection(self) -> Connection:
        """Create a connection."""
        from qwendesk.channels.irc.connection import IrcConnection

        return IrcConnection(self._settings, self.enqueue)
