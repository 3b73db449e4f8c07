"""Web API calls: post and update messages, response URLs; and the errors of slack_sdk."""

from __future__ import annotations

import html
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from cachetools import FIFOCache

from qwendesk.errors import ChannelError, ThreadGone, reason
from qwendesk.messages import Outbound
from qwendesk.safe_fetch import parse_retry_after

if TYPE_CHECKING:
    from slack_sdk.web.async_client import AsyncWebClient

log = logging.getLogger(__name__)
_CREDENTIALS = {"invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "missing_scope"}
_NOT_IN_CHANNEL = {"not_in_channel", "channel_not_found"}
_NO_THREAD = {"thread_not_found", "cannot_reply_to_message"}
_TRANSIENT = {
    "internal_error",
    "fatal_error",
    "request_timeout",
    "service_unavailable",
    "ratelimited",
    "team_added_to_org",
}
MAX_SECTION_CHARS = 3000
"""The limit of a section block's text."""

_RESPONSE_HOSTS = ("hooks.slack.com", "hooks.slack-gov.com")
_MAX_REMEMBERED = 1000
RESPONSE_ID_PREFIX = "response:"
"""Prefix of the id of a message that was posted to a response URL; Slack returns no id for it."""


class NotInChannel(ChannelError):
    """The app is not a member of the channel."""


@asynccontextmanager
async def translate_errors() -> AsyncIterator[None]:
    """Raise ``ChannelError`` for errors of the library."""
    import aiohttp
    from slack_sdk.errors import SlackApiError, SlackClientError

    try:
        yield
    except SlackApiError as error:
        raise _channel_error(error.response) from error
    except (SlackClientError, aiohttp.ClientError, TimeoutError, OSError) as error:
        raise ChannelError(f"Slack cannot be reached: {reason(error)}.") from error


def _channel_error(answer: Any) -> ChannelError:
    reason = str(answer.get("error") or "an error without a name")
    if answer.status_code == 429:
        wait = parse_retry_after(str(answer.headers.get("Retry-After", ""))) or 1.0
        return ChannelError(f"Slack asks to wait {wait:g} s.", retry_after=wait)
    if reason in _CREDENTIALS:
        advice = "Copy the bot's token again into QWENDESK_CHANNELS__SLACK__BOT_TOKEN, and install the app again."
        return ChannelError(f"Slack refuses the credentials: {reason}. {advice}", permanent=True)
    if reason in _NOT_IN_CHANNEL:
        return NotInChannel(f"Slack refuses: {reason}. Invite the app into the channel.", permanent=True)
    if reason in _NO_THREAD:
        return ThreadGone(f"Slack refuses: {reason}. The thread was deleted.", permanent=True)
    return ChannelError(f"Slack refuses: {reason}.", permanent=answer.status_code < 500 and reason not in _TRANSIENT)


async def send(client: AsyncWebClient, message: Outbound) -> str:
    """Post a message and return its ``ts``, which is its id."""
    channel, _, thread = message.conversation.partition(":")
    try:
        return await _post(client, channel, thread, message, message.text)
    except Exception as error:
        if not _is_markup_error(error):
            raise
        return await _post(client, channel, thread, message, escape(message.plain or message.text))


async def edit(client: AsyncWebClient, message_id: str, message: Outbound) -> None:
    """Update the text of a message."""
    channel = message.conversation.partition(":")[0]
    await client.chat_update(channel=channel, ts=message_id, text=message.text, **_blocks(message, message.text))


class UserNames:
    """Names of people, each asked for once; the app needs the scope users:read."""

    def __init__(self) -> None:
        self._known = FIFOCache[str, str](_MAX_REMEMBERED)

    async def of(self, client: AsyncWebClient, user: str) -> str:
        """Return the name that a person shows; empty if it cannot be read."""
        if user in self._known:
            return self._known[user]
        try:
            async with translate_errors():
                found = (await client.users_info(user=user))["user"]
        except ChannelError as error:
            log.warning("The name of a person cannot be read: %s The app needs the scope users:read.", error)
            return ""
        profile = found.get("profile") or {}
        name = profile.get("display_name") or found.get("real_name") or profile.get("real_name") or found.get("name")
        self._known[user] = str(name or "")
        return self._known[user]


class ResponseUrls:
    """Remembers the response URL of each conversation; only the first part of an answer carries it.

    Args:
        hosts: Allowed hosts beside those of Slack.
    """

    def __init__(self, hosts: Sequence[str | None] = ()) -> None:
        self._hosts = {*_RESPONSE_HOSTS, *hosts}
        self._known = FIFOCache[str, str](_MAX_REMEMBERED)

    def find(self, message: Outbound) -> str | None:
        """Return the response URL for a message, or None."""
        url = message.reply_to or ""
        if url.startswith(("https://", "http://")) and urlsplit(url).hostname in self._hosts:
            self._known[message.conversation] = url
        return self._known.get(message.conversation)


def response_payload(message: Outbound) -> dict[str, Any]:
    """Return the payload of a slash command's response URL; only the command's sender sees it."""
    return {"response_type": "ephemeral", "replace_original": False, "text": message.text} | _blocks(
        message, message.text
    )


def escape(text: str) -> str:
    """Escape ``&``, ``<`` and ``>`` in a text without markup."""
    return html.escape(text, quote=False)


async def _post(client: AsyncWebClient, channel: str, thread: str, message: Outbound, text: str) -> str:
    quiet = {"unfurl_links": False, "unfurl_media": False}
    more = quiet | ({"thread_ts": thread} if thread else {}) | _blocks(message, text)
    return str((await client.chat_postMessage(channel=channel, text=text, **more))["ts"])


def _blocks(message: Outbound, text: str) -> dict[str, Any]:
    if not message.buttons:
        return {}
    buttons = [
        {
            "type": "button",
            "action_id": f"choice{number}",
            "text": {"type": "plain_text", "text": button.shown_label[:75], "emoji": True},
            "value": button.value,
        }
        for number, button in enumerate(message.buttons)
    ]
    section = {"type": "section", "expand": True, "text": {"type": "mrkdwn", "text": text[:MAX_SECTION_CHARS]}}
    return {"blocks": [section, {"type": "actions", "elements": buttons}]}


def _is_markup_error(error: Exception) -> bool:
    from slack_sdk.errors import SlackApiError

    return isinstance(error, SlackApiError) and error.response.get("error") in ("invalid_blocks", "invalid_arguments")
