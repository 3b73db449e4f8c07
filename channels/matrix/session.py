"""The desk's device on a homeserver: its keys, its token, and how far it has read, kept in a folder."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwendesk.channels.matrix.errors import ADVICE, good, told
from qwendesk.errors import ChannelError, ConfigError

if TYPE_CHECKING:
    from nio import AsyncClient, Timeline


_DEVICE = "Qwendesk"


class Session:
    """Logs in once; the same device comes back after a restart and can read what was encrypted for it.

    A token that was taken away is replaced by another login.

    Args:
        homeserver: its address.
        user: the account's full name.
        password: its password, for the first time and where the token was taken away.
        folder: where the keys are kept.
    """

    def __init__(self, homeserver: str, user: str, password: str, folder: Path) -> None:
        self._homeserver = homeserver
        self._user = user
        self._password = password
        self._folder = folder
        self._file = folder / "session.json"
        self._kept: dict[str, str] = {}

    @property
    def since(self) -> str | None:
        """How far the desk has read; None before it has read anything."""
        return self._kept.get("since")

    async def open(self) -> AsyncClient:
        """Return a client that is logged in.

        Raises:
            ChannelError: the homeserver cannot be reached, or refuses the password.
        """
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._kept = self._read()
        client = self._client()
        try:
            if "token" in self._kept:
                client.restore_login(self._user, self._kept["device"], self._kept["token"])
            else:
                await self._log_in(client)
        except BaseException:
            await client.close()
            raise
        return client

    def reached(self, since: str) -> None:
        """Remember how far has been read."""
        self._keep(since=since)

    def lost_token(self, *, keep_device: bool) -> None:
        """Log in by the password next time; as a new device, unless the homeserver still knows the old one."""
        self._kept.pop("token", None)
        if not keep_device:
            self._kept.pop("device", None)
        self._keep()

    async def _log_in(self, client: AsyncClient) -> None:
        from nio import LoginError

        if device := self._kept.get("device"):
            client.device_id = device
        async with told():
            answer = await client.login(self._password, device_name=_DEVICE)
        if isinstance(answer, LoginError) and answer.status_code == "M_FORBIDDEN":
            raise ChannelError(f"The homeserver does not know {self._user} by this password. {ADVICE}", permanent=True)
        good(answer)
        self._keep(device=client.device_id or "", token=client.access_token)

    def _client(self) -> AsyncClient:
        from nio import AsyncClient, AsyncClientConfig

        config = AsyncClientConfig(max_limit_exceeded=0, max_timeouts=1, request_timeout=30)
        return AsyncClient(self._homeserver, self._user, store_path=str(self._folder), config=config)

    def _read(self) -> dict[str, str]:
        if not self._file.is_file():
            return {}
        try:
            kept: dict[str, str] = json.loads(self._file.read_text("utf-8"))
        except ValueError:
            text = f"{str(self._file)!r} is damaged: delete it, and the desk logs in as a new device."
            raise ConfigError(text) from None
        return kept if kept.get("user") == self._user else {}

    def _keep(self, **values: str) -> None:
        self._kept |= {"user": self._user} | values
        fresh = self._file.with_suffix(".new")
        fresh.touch(mode=0o600)
        fresh.write_text(json.dumps(self._kept), "utf-8")
        fresh.replace(self._file)


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
