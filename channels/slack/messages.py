"""Web API calls: post and update messages; build the payload of response URLs."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

from qwendesk.messages import Outbound

if TYPE_CHECKING:
    from slack_sdk.web.async_client import AsyncWebClient

MAX_SECTION_CHARS = 3000
"""The limit of a section block's text."""


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
            "text": {"type": "plain_text", "text": button.face[:75], "emoji": True},
            "value": button.value,
        }
        for number, button in enumerate(message.buttons)
    ]
    section = {"type": "section", "expand": True, "text": {"type": "mrkdwn", "text": text[:MAX_SECTION_CHARS]}}
    return {"blocks": [section, {"type": "actions", "elements": buttons}]}


def _is_markup_error(error: Exception) -> bool:
    from slack_sdk.errors import SlackApiError

    return isinstance(error, SlackApiError) and error.response.get("error") in ("invalid_blocks", "invalid_arguments")
