"""Where answers to slash commands go in channels that the app is no member of, and which thread a command is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import urlsplit

from cachetools import FIFOCache

from qwendesk.messages import Inbound, Outbound

_HOSTS = ("hooks.slack.com", "hooks.slack-gov.com")
_MOST = 1000
MARK = "response:"
"""What the name of a message begins with that was posted to such an address; Slack gives it none."""


class Doors:
    """Knows the addresses, which come with the first part of an answer alone.

    Args:
        hosts: where else such an address may be.
    """

    def __init__(self, hosts: Sequence[str | None] = ()) -> None:
        self._hosts = {*_HOSTS, *hosts}
        self._known = FIFOCache[str, str](_MOST)

    def find(self, message: Outbound) -> str | None:
        """Return the address for a message; None where there is none."""
        url = message.reply_to or ""
        if url.startswith(("https://", "http://")) and urlsplit(url).hostname in self._hosts:
            self._known[message.conversation] = url
        return self._known.get(message.conversation)


class Threads:
    """Knows where each person spoke to the desk last: Slack does not say in which thread a command was given."""

    def __init__(self) -> None:
        self._last = FIFOCache[str, str](_MOST)

    def place(self, inbound: Inbound) -> Inbound:
        """Return a message in its conversation: a command in a channel is about the person's last one there."""
        channel = inbound.conversation.partition(":")[0]
        key = f"{channel} {inbound.person}"
        if (inbound.event or "").startswith("command:"):
            is_command = inbound.text.startswith("/")
            return replace(inbound, conversation=self._last.get(key, channel)) if is_command else inbound
        if inbound.group:
            self._last[key] = inbound.conversation
        return inbound
