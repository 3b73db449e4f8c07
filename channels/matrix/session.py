"""The desk's device on a homeserver: its keys, its token, and how far it has read, kept in a folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from qwendesk.channels.matrix.failures import ADVICE, good, told
from qwendesk.errors import ChannelError, ConfigError

if TYPE_CHECKING:
    from nio import AsyncClient

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
