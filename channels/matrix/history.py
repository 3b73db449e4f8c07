"""What was said while the desk was away, where that is more than one sync brings."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from qwendesk.channels.matrix.failures import good, told

if TYPE_CHECKING:
    from nio import AsyncClient, Timeline

log = logging.getLogger(__name__)
_IN_A_PAGE = 100
_PAGES = 20


async def whole(client: AsyncClient, room: str, timeline: Timeline, since: str | None, me: str) -> list[dict[str, Any]]:
    """Return a room's events since a sync, oldest first; those that the homeserver left out are asked for.

    Args:
        client: the desk's device.
        room: the room.
        timeline: what the newest sync brought of it.
        since: how far the desk had read; None: never, and then what was said is not for it.
        me: the desk's account; what was said before it came is not for it either.

    Raises:
        ChannelError: they cannot be had.
    """
    events = [event.source for event in timeline.events]
    if since is None or not timeline.limited or not timeline.prev_batch or any(_came(one, me) for one in events):
        return events
    return [*await _before(client, room, timeline.prev_batch, since, me), *events]


async def _before(client: AsyncClient, room: str, start: str, since: str, me: str) -> list[dict[str, Any]]:
    missed: list[dict[str, Any]] = []
    for _ in range(_PAGES):
        async with told():
            page = good(await client.room_messages(room, start, since, limit=_IN_A_PAGE))
        for event in page.chunk:
            if _came(event.source, me):
                return missed[::-1]
            missed.append(event.source)
        start = page.end or ""
        if not start or not page.chunk:
            return missed[::-1]
    log.warning("In %s more was said than the desk reads afterwards: the oldest part is left out.", room)
    return missed[::-1]


def _came(event: dict[str, Any], me: str) -> bool:
    """Tell whether the desk comes into the room here; a new name or picture is a membership that stays."""
    if event.get("type") != "m.room.member" or event.get("state_key") != me:
        return False
    before = (event.get("unsigned") or {}).get("prev_content") or {}
    return (event.get("content") or {}).get("membership") == "join" and before.get("membership") != "join"
