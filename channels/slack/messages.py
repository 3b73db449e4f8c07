"""Post and change messages through the Web API."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

from qwendesk.messages import Outbound

if TYPE_CHECKING:
    from slack_sdk.web.async_client import AsyncWebClient

LONGEST_SECTION = 3000
"""Characters of a text that stands above buttons."""


async def send(client: AsyncWebClient, message: Outbound) -> str:
    """Post a message and return its time stamp, which is its id."""
    channel, _, thread = message.conversation.partition(":")
    try:
        return await _post(client, channel, thread, message, message.text)
    except Exception as error:
        if not _about_markup(error):
            raise
        return await _post(client, channel, thread, message, escaped(message.plain or message.text))


async def edit(client: AsyncWebClient, message_id: str, message: Outbound) -> None:
    """Replace a message's text."""
    channel = message.conversation.partition(":")[0]
    await client.chat_update(channel=channel, ts=message_id, text=message.text, **_blocks(message, message.text))


def response(message: Outbound) -> dict[str, Any]:
    """Return what is posted to the address that came with a slash command; only who gave the command sees it."""
    return {"response_type": "ephemeral", "replace_original": False, "text": message.text} | _blocks(
        message, message.text
    )


def escaped(text: str) -> str:
    """Return a text without markup as Slack wants it written."""
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
            "text": {"type": "plain_text", "text": button.face[:75], "emoji": True},
            "value": button.value,
        }
        for number, button in enumerate(message.buttons)
    ]
    section = {"type": "section", "expand": True, "text": {"type": "mrkdwn", "text": text[:LONGEST_SECTION]}}
    return {"blocks": [section, {"type": "actions", "elements": buttons}]}


def _about_markup(error: Exception) -> bool:
    from slack_sdk.errors import SlackApiError

    return isinstance(error, SlackApiError) and error.response.get("error") in ("invalid_blocks", "invalid_arguments")
