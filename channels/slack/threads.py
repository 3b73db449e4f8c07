"""Threads: the thread of a slash command, and the first message of a thread, which payloads of Slack lack."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from cachetools import FIFOCache

from qwendesk.channels.ingest import Quote, with_quotes
from qwendesk.channels.slack.blocks import blocks_text
from qwendesk.channels.slack.parse import SlackEvent, SlackIdentity, to_plain_text
from qwendesk.channels.slack.web_api import translate_errors
from qwendesk.errors import ChannelError
from qwendesk.messages import Inbound

if TYPE_CHECKING:
    from slack_sdk.web.async_client import AsyncWebClient


log = logging.getLogger(__name__)
_MAX_THREADS = 1000
_MAX_REMEMBERED = 1000


class ThreadRoots:
    """Quotes the first message of a thread once, in the first message that mentions the desk there."""

    def __init__(self) -> None:
        self._shown = FIFOCache[str, str | None](_MAX_THREADS)
        """For each thread, the event that quotes its first message."""
        self._refused = False

    async def add_root(self, client: AsyncWebClient, parsed: SlackEvent, me: SlackIdentity) -> SlackEvent:
        """Return a message with the first message of its thread quoted, or unchanged if that cannot be read."""
        channel, _, thread = parsed.inbound.conversation.partition(":")
        known = self._shown.setdefault(parsed.inbound.conversation, parsed.inbound.event) if parsed.in_thread else None
        if not parsed.in_thread or known != parsed.inbound.event:
            return parsed
        try:
            async with translate_errors():
                answer = await client.conversations_replies(channel=channel, ts=thread, limit=1, inclusive=True)
        except ChannelError as error:
            if not self._refused:
                log.warning(
                    "The first message of a thread cannot be read: %s The app needs the scope channels:history.", error
                )
            self._refused = self._refused or error.permanent
            return parsed
        quotes = [quote for message in answer.get("messages") or () if (quote := _quote(message, me))]
        return replace(parsed, inbound=replace(parsed.inbound, text=with_quotes(parsed.inbound.text, quotes[:1])))


def _quote(message: dict[str, object], me: SlackIdentity) -> Quote | None:
    blocks = message.get("blocks")
    text = to_plain_text(str(message.get("text") or ""), me) or blocks_text(
        blocks if isinstance(blocks, list) else (), str
    )
    own = message.get("user") == me.user
    profile = message.get("user_profile")
    name = str(profile.get("real_name") or "") if isinstance(profile, dict) else ""
    author = name or str(message.get("username") or message.get("user") or "")
    return Quote(text, author) if text and not own else None  # the desk knows its own messages


class CommandThreads:
    """Remembers each person's last thread per channel: slash commands do not name their thread."""

    def __init__(self) -> None:
        self._last = FIFOCache[str, str](_MAX_REMEMBERED)

    def assign(self, inbound: Inbound) -> Inbound:
        """Return a message with its conversation; a chat command gets the person's last thread in the channel.

        In the operators' room it gets none: the last thread may be that of another customer.
        """
        if inbound.in_operators_room:
            return inbound
        channel = inbound.conversation.partition(":")[0]
        key = f"{channel} {inbound.person}"
        if (inbound.event or "").startswith("command:"):
            is_command = inbound.text.startswith("/")
            return replace(inbound, conversation=self._last.get(key, channel)) if is_command else inbound
        if inbound.group:
            self._last[key] = inbound.conversation
        return inbound
