"""The message that a thread is about: who calls the desk into a thread points at it, and Slack does not send it."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from cachetools import FIFOCache

from qwendesk.channels.references import Quote, with_quotes
from qwendesk.channels.slack.blocks import words
from qwendesk.channels.slack.errors import told
from qwendesk.channels.slack.parse import Me, Parsed, plain
from qwendesk.errors import ChannelError

if TYPE_CHECKING:
    from slack_sdk.web.async_client import AsyncWebClient

log = logging.getLogger(__name__)
_MOST = 1000


class Roots:
    """Shows the first message of a thread once, when the desk is first called into it."""

    def __init__(self) -> None:
        self._shown = FIFOCache[str, str | None](_MOST)
        """By their threads, the deliveries that the first message was shown with."""
        self._refused = False

    async def above(self, client: AsyncWebClient, parsed: Parsed, me: Me) -> Parsed:
        """Return a message below the one that its thread is about; without it where that cannot be had."""
        channel, _, thread = parsed.inbound.conversation.partition(":")
        known = self._shown.setdefault(parsed.inbound.conversation, parsed.inbound.event) if parsed.in_thread else None
        if not parsed.in_thread or known != parsed.inbound.event:
            return parsed
        try:
            async with told():
                answer = await client.conversations_replies(channel=channel, ts=thread, limit=1, inclusive=True)
        except ChannelError as error:
            if not self._refused:
                log.warning("What threads are about is not seen: %s The app needs channels:history.", error)
            self._refused = self._refused or error.permanent
            return parsed
        quotes = [quote for message in answer.get("messages") or () if (quote := _quote(message, me))]
        return replace(parsed, inbound=replace(parsed.inbound, text=with_quotes(parsed.inbound.text, quotes[:1])))


def _quote(message: dict[str, object], me: Me) -> Quote | None:
    blocks = message.get("blocks")
    text = plain(str(message.get("text") or ""), me) or words(blocks if isinstance(blocks, list) else (), str)
    own = message.get("user") == me.user
    profile = message.get("user_profile")
    name = str(profile.get("real_name") or "") if isinstance(profile, dict) else ""
    author = name or str(message.get("username") or message.get("user") or "")
    return Quote(text, author) if text and not own else None  # its own words the desk knows
