"""The IRC channel on irctokens."""

from __future__ import annotations

from qwendesk.channels.base import Capabilities, Channel, Manifest, Setting
from qwendesk.channels.link import Link
from qwendesk.channels.over_line import OverLine


class IrcChannel(OverLine, Channel):
    """A nick; a message of several lines is written as so many."""

    manifest = Manifest(
        "irc",
        "IRC",
        Capabilities(max_length=2000, length_unit="bytes", typing=6.0, groups=True),
        (
            Setting("host", "The server's address.", required=True),
            Setting("port", "Its port.", default=6697),
            Setting("tls", "Whether the connection is kept secret.", default=True),
            Setting("nick", "What the desk is called; where that is taken, _ is added.", default="qwendesk"),
            Setting("channels", "Channels to be in, such as #help; a key after a space.", default=()),
            Setting("account", "The registered account to log in to (SASL); empty: none."),
            Setting("password", "The account's password; without an account, the server's.", True),
            Setting("line_seconds", "Seconds from line to line, after a few at once.", default=1.0),
        ),
        needs=("irctokens",),
        simulator="qwendesk.channels.irc.simulator:IrcSimulator",
    )

    def make(self) -> Link:
        """Make a connection."""
        from qwendesk.channels.irc.connection import Connection

        return Connection(self._settings, self.put)
