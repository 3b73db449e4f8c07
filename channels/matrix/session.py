"""The desk's device on a homeserver: stored access token, keys and sync position; missed history."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qwendesk.channels.matrix.client_api import ADVICE, raise_for_error, translate_errors
from qwendesk.errors import ChannelError, ConfigError
from qwendesk.settings import PRIVATE_FILE_MODE

if TYPE_CHECKING:
    from nio import AsyncClient, Timeline

log = logging.getLogger(__name__)
_DEVICE_NAME = "Qwendesk"
_PAGE_EVENTS = 100
_MAX_PAGES = 20


class MatrixSession:
    """Restores the same device after a restart, so that it can decrypt messages that were encrypted for it.

    Args:
        homeserver: The homeserver's URL.
        user: The account's user id.
        password: The account's password, for the first login and after the access token became invalid.
        folder: The folder of the keys and of ``session.json``.
    """

    def __init__(self, homeserver: str, user: str, password: str, folder: Path) -> None:
        self._homeserver = homeserver
        self._user = user
        self._password = password
        self._folder = folder
        self._file = folder / "session.json"
        self._stored: dict[str, str] = {}

    @property
    def since(self) -> str | None:
        """The sync position (``next_batch``); None before the first sync."""
        return self._stored.get("since")

    async def open(self) -> AsyncClient:
        """Return a client that is logged in.

        Raises:
            ChannelError: The homeserver cannot be reached, or refuses the password.
        """
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._stored = self._read()
        client = self._client()
        try:
            if "token" in self._stored:
                client.restore_login(self._user, self._stored["device"], self._stored["token"])
            else:
                await self._log_in(client)
        except BaseException:
            await client.close()
            raise
        return client

    def save_position(self, since: str) -> None:
        """Store the sync position."""
        self._store(since=since)

    def forget_token(self, *, keep_device: bool) -> None:
        """Log in with the password next time, as a new device unless the homeserver keeps the old one."""
        self._stored.pop("token", None)
        if not keep_device:
            self._stored.pop("device", None)
        self._store()

    async def _log_in(self, client: AsyncClient) -> None:
        from nio import LoginError

        if device := self._stored.get("device"):
            client.device_id = device
        async with translate_errors():
            answer = await client.login(self._password, device_name=_DEVICE_NAME)
        if isinstance(answer, LoginError) and answer.status_code == "M_FORBIDDEN":
            raise ChannelError(f"The homeserver refuses the password of {self._user}. {ADVICE}", permanent=True)
        raise_for_error(answer)
        self._store(device=client.device_id or "", token=client.access_token)

    def _client(self) -> AsyncClient:
        from nio import AsyncClient, AsyncClientConfig

        config = AsyncClientConfig(max_limit_exceeded=0, max_timeouts=1, request_timeout=30)
        return AsyncClient(self._homeserver, self._user, store_path=str(self._folder), config=config)

    def _read(self) -> dict[str, str]:
        if not self._file.is_file():
            return {}
        try:
            stored: dict[str, str] = json.loads(self._file.read_text("utf-8"))
        except ValueError:
            text = f"{str(self._file)!r} is damaged: delete it; the desk then logs in as a new device."
            raise ConfigError(text) from None
        return stored if stored.get("user") == self._user else {}

    def _store(self, **values: str) -> None:
        self._stored |= {"user": self._user} | values
        fresh = self._file.with_suffix(".new")
        fresh.touch(mode=PRIVATE_FILE_MODE)
        fresh.write_text(json.dumps(self._stored), "utf-8")
        fresh.replace(self._file)


async def complete_timeline(
    client: AsyncClient, room: str, timeline: Timeline, since: str | None, me: str
) -> list[dict[str, Any]]:
    """Return a room's events since a sync, oldest first, including those that a limited timeline lacks.

    Args:
        client: The desk's client.
        room: The room's id.
        timeline: The room's timeline in the newest sync response.
        since: The previous sync position; None skips missed events.
        me: The desk's user id; events from before its join are skipped.

    Raises:
        ChannelError: The missed events cannot be read.
    """
    events = [event.source for event in timeline.events]
    if since is None or not timeline.limited or not timeline.prev_batch or any(_is_own_join(one, me) for one in events):
        return events
    return [*await _missed_events(client, room, timeline.prev_batch, since, me), *events]


async def _missed_events(client: AsyncClient, room: str, start: str, since: str, me: str) -> list[dict[str, Any]]:
    missed: list[dict[str, Any]] = []
    for _ in range(_MAX_PAGES):
        async with translate_errors():
            page = raise_for_error(await client.room_messages(room, start, since, limit=_PAGE_EVENTS))
        for event in page.chunk:
            if _is_own_join(event.source, me):
                return missed[::-1]
            missed.append(event.source)
        start = page.end or ""
        if not start or not page.chunk:
            return missed[::-1]
    log.warning("Room %s has more missed events than the desk reads: the oldest ones are left out.", room)
    return missed[::-1]


def _is_own_join(event: dict[str, Any], me: str) -> bool:
    """Return whether an event is the desk's join; a new name or avatar is a member event without a join."""
    if event.get("type") != "m.room.member" or event.get("state_key") != me:
        return False
    before = (event.get("unsigned") or {}).get("prev_content") or {}
    return (event.get("content") or {}).get("membership") == "join" and before.get("membership") != "join"
