"""The IRC channel on irctokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qwendesk.channels.base import Capabilities, Channel, Manifest, Setting
from qwendesk.channels.over_line import OverLine
from qwendesk.messages import Outbound

if TYPE_CHECKING:
    from qwendesk.channels.irc.connection import Connection


class IrcChannel(OverLine["Connection"], Channel):
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

    async def send(self, message: Outbound) -> str | None:
        """Write a message, to whom it answers where others read along."""
        text = f"{message.reply_to}: {message.text}" if message.reply_to else message.text
        return await (await self._line.link()).say(_target(message.conversation), text)

    async def typing(self, conversation: str) -> None:
        """Show that an answer is being written, to programs that can show it."""
        await (await self._line.link()).type(_target(conversation))

    async def check(self) -> str:
        """Log in."""
        return f"connected to {self._settings['host']} as {(await self._line.link()).nick}"

    def _link(self) -> Connection:
        from qwendesk.channels.irc.connection import Connection

        return Connection(self._settings, self._line.put)


def _target(conversation: str) -> str:
    return conversation.partition(" ")[0]
