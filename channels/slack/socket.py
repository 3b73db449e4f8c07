"""Socket Mode: Slack's deliveries over a WebSocket that the desk opens."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from qwendesk.channels.slack.failures import told

if TYPE_CHECKING:
    from slack_sdk.web.async_client import AsyncWebClient

Take = Callable[[str, dict[str, Any]], Awaitable[bool]]
"""Takes a delivery's kind and payload, and tells whether that is done."""


async def listen(client: AsyncWebClient, app_token: str, stopping: asyncio.Event, take: Take) -> None:
    """Take deliveries until stopped; one is acknowledged only when it is taken, else Slack sends it again.

    Raises:
        ChannelError: Slack refuses the app's token.
    """
    from slack_sdk.socket_mode.aiohttp import SocketModeClient
    from slack_sdk.socket_mode.async_client import AsyncBaseSocketModeClient
    from slack_sdk.socket_mode.request import SocketModeRequest
    from slack_sdk.socket_mode.response import SocketModeResponse

    socket = SocketModeClient(app_token, web_client=client)

    async def took(_: AsyncBaseSocketModeClient, request: SocketModeRequest) -> None:
        payload = request.payload if isinstance(request.payload, dict) else {}
        if await take(request.type, payload):
            await socket.send_socket_mode_response(SocketModeResponse(request.envelope_id))

    socket.socket_mode_request_listeners.append(took)
    try:
        async with told():
            await socket.connect()  # type: ignore[no-untyped-call]
        await stopping.wait()
    finally:
        await socket.disconnect()  # type: ignore[no-untyped-call]
        await socket.close()  # type: ignore[no-untyped-call]
