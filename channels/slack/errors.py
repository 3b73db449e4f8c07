"""Translate errors of slack_sdk to ``ChannelError``."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from qwendesk.channels.http_api import parse_retry_after
from qwendesk.errors import ChannelError, reason

_CREDENTIALS = {"invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "missing_scope"}
_NOT_IN_CHANNEL = {"not_in_channel", "channel_not_found"}
_TRANSIENT = {
    "internal_error",
    "fatal_error",
    "request_timeout",
    "service_unavailable",
    "ratelimited",
    "team_added_to_org",
}


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
    return ChannelError(f"Slack refuses: {reason}.", permanent=answer.status_code < 500 and reason not in _TRANSIENT)
