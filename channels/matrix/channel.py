"""The Matrix channel on matrix-nio, with encryption."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from cachetools import FIFOCache

from qwendesk.channels.base import MAX_FILE_BYTES, Accept, Channel, ChannelCapabilities, Manifest, Setting
from qwendesk.channels.ingest import FileFetcher, submit
from qwendesk.channels.matrix import messages
from qwendesk.channels.matrix.errors import TokenLost, good, told
from qwendesk.channels.matrix.parse import File, Me, Parsed, parse, quote_of
from qwendesk.channels.matrix.session import Session, whole
from qwendesk.channels.references import with_quotes
from qwendesk.channels.retry import retry_until_stopped, sleep_unless_stopped, unless_stopped
from qwendesk.errors import ChannelError
from qwendesk.messages import Attachment, Inbound, Outbound

if TYPE_CHECKING:
    from nio import AsyncClient, SyncResponse

T = TypeVar("T")
log = logging.getLogger(__name__)
_POLL_MS = 25_000
_TYPING_MS = 8_000
_OWN_EVENTS = 1000
"""So many of the desk's own messages are known for what they are when somebody replies or reacts to one."""


class MatrixChannel(Channel):
    """An account that joins the rooms it is invited to."""

    manifest = Manifest(
        "matrix",
        "Matrix",
        ChannelCapabilities(
            markup="html",
            max_length=4_000,
            length_unit="bytes",
            edits=True,
            edit_interval=4.0,
            typing=_TYPING_MS / 1000,
            one_process=True,
            groups=True,
            max_file_in=MAX_FILE_BYTES,
        ),
        (
            Setting("homeserver", "Its address, such as https://matrix.org.", required=True),
            Setting("user", "The desk's account, such as @desk:matrix.org.", required=True),
            Setting("password", "Its password; used once, to make the desk a device of its own.", True, True),
            Setting("data_dir", "Folder for the device's keys; empty: in the desk's data folder."),
        ),
        needs=("nio", "vodozemac"),
    )

    def __init__(self, homeserver: str, user: str, password: str, data_dir: str) -> None:
        folder = Path(data_dir or "matrix").expanduser()
        self._session = Session(homeserver.rstrip("/"), user, password, folder)
        self._me = Me(user, user.partition(":")[0].lstrip("@"))
        self._stopping = asyncio.Event()
        self._client: AsyncClient | None = None
        self._opening = asyncio.Lock()
        self._own = FIFOCache[str, str](_OWN_EVENTS)
        self._fetching = FileFetcher()

    async def start(self, accept: Accept) -> None:
        """Follow the rooms until ``stop``."""
        await retry_until_stopped(self._stopping, partial(self._follow, accept))

    async def stop(self) -> None:
        """End the sync that is waiting."""
        self._stopping.set()

    async def send(self, message: Outbound) -> str | None:
        """Send a message and return the id of its event."""
        sent = await self._told(lambda client: messages.send(client, message))
        self._own[sent] = message.conversation
        return sent

    async def edit(self, message_id: str, message: Outbound) -> None:
        """Replace a message's text."""
        await self._told(lambda client: messages.edit(client, message_id, message))

    async def typing(self, conversation: str) -> None:
        """Show that an answer is being written."""
        await self._told(lambda client: messages.typing(client, conversation, _TYPING_MS))

    async def check(self) -> str:
        """Log in; again, where the homeserver has logged the desk out."""
        with suppress(TokenLost):
            await self._told(_who)
        return await self._told(_who)

    async def aclose(self) -> None:
        """Close the connections."""
        self._stopping.set()
        await self._hang_up()

    async def _hang_up(self) -> None:
        async with self._opening:
            client, self._client = self._client, None
            if client:
                await client.close()

    async def _connected(self) -> AsyncClient:
        async with self._opening:
            if self._client and not self._client.logged_in:  # whether the homeserver knows the device is not known
                await self._part(keep_device=False)
            if self._client is None:
                self._client = await self._session.open()
            return self._client

    async def _told(self, action: Callable[[AsyncClient], Awaitable[T]]) -> T:
        """Do something as the desk's device; where that is logged out, the next try logs in again.

        Raises:
            ChannelError: it failed.
        """
        client = await self._connected()
        try:
            async with told():
                return await action(client)
        except TokenLost as error:
            async with self._opening:
                if self._client is client:  # else somebody has logged in again meanwhile
                    await self._part(keep_device=error.soft)
            raise
        finally:
            if self._client is not client:  # the library opens a connection anew for a call that was under way
                await client.close()

    async def _part(self, *, keep_device: bool) -> None:
        client, self._client = self._client, None
        if client:
            await client.close()
        self._session.lost_token(keep_device=keep_device)

    async def _follow(self, accept: Accept) -> None:
        answer = await self._told(self._synced)
        if answer is not None and await self._take(answer, accept):
            self._session.reached(answer.next_batch)

    async def _synced(self, client: AsyncClient) -> SyncResponse | None:
        """Return what is new; None where the desk stops meanwhile."""
        first = self._session.since is None
        # whatever was said before the desk was ever here is not for it
        only_rooms = {"room": {"timeline": {"limit": 0 if first else 100}}}
        full = not client.rooms
        asking = client.sync(0 if first or full else _POLL_MS, only_rooms, self._session.since, full_state=full)
        answer = good(await unless_stopped(self._stopping, asking))
        if answer is not None:
            await self._keep_keys(client)
        return answer

    async def _keep_keys(self, client: AsyncClient) -> None:
        """Publish keys, learn those of others, and pass on those for a conversation."""
        if client.should_upload_keys:
            good(await client.keys_upload())
        if client.should_query_keys:
            good(await client.keys_query())
        if client.should_claim_keys:
            good(await client.keys_claim(client.get_users_for_key_claiming()))
        await client.send_to_device_messages()

    async def _take(self, answer: SyncResponse, accept: Accept) -> bool:
        """Hand over what is new, and tell whether all of it is; False: the desk stops before."""
        client = await self._connected()
        for room in answer.rooms.invite:
            await self._told(partial(_join, room))
        for room, news in answer.rooms.join.items():
            for event in await whole(client, room, news.timeline, self._session.since, self._me.user):
                while not (await self._take_one(room, event, accept) or self._stopping.is_set()):
                    await sleep_unless_stopped(self._stopping, 1.0)
        return not self._stopping.is_set()

    async def _take_one(self, room: str, event: dict[str, Any], accept: Accept) -> bool:
        """Hand one event over; False: the desk is busy, or a file cannot be had now."""
        client = await self._connected()
        members = client.rooms[room].member_count if room in client.rooms else 2
        try:
            parsed = parse(event, room, members, self._own, self._me)
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            log.warning("An event of Matrix cannot be read: %r.", error)
            return True
        if parsed is None:
            return True
        try:
            fetching = [partial(self._fetch, parsed.file)] if parsed.file else []
            inbound = await self._fetching.with_attachments(parsed.inbound, fetching)
        except ChannelError:
            return False  # again in a moment: what stands behind it in the room waits
        inbound = await self._below(inbound, room, parsed)
        return await submit(inbound, accept, partial(self._refuse, inbound))

    async def _below(self, inbound: Inbound, room: str, parsed: Parsed) -> Inbound:
        """Return a message below the one that it replies to, with the file of that; without what is not to be had."""
        if not parsed.replied:
            return inbound
        quote, files = parsed.fallback, inbound.attachments
        try:
            replied = await self._told(partial(_event, room, parsed.replied))
            quote, file = quote_of(replied, self._me)
            files += (await self._fetch(file),) if file else ()
        except (ChannelError, LookupError, TypeError, ValueError, AttributeError) as error:
            log.warning("Something that is replied to cannot be seen: %s", error)
        return replace(inbound, text=with_quotes(inbound.text, [quote] if quote else []), attachments=files)

    async def _refuse(self, inbound: Inbound, text: str) -> None:
        await self.send(Outbound(f"refused:{inbound.event}", inbound.conversation, escape(text), plain=text))

    async def _fetch(self, file: File) -> Attachment:
        data = await self._told(partial(_downloaded, file.url))
        if len(data) > MAX_FILE_BYTES:
            raise ChannelError(f"A file is larger than {MAX_FILE_BYTES:,} bytes.", permanent=True)
        if key := file.key:
            data = _decrypted(data, key)
        return Attachment(file.kind, file.mime, data, file.name)  # type: ignore[arg-type]


async def _who(client: AsyncClient) -> str:
    good(await client.whoami())
    return f"connected as {client.user_id}, device {client.device_id}"


async def _join(room: str, client: AsyncClient) -> None:
    await client.join(room)


async def _event(room: str, name: str, client: AsyncClient) -> dict[str, Any]:
    found: dict[str, Any] = good(await client.room_get_event(room, name)).event.source
    return found


async def _downloaded(url: str, client: AsyncClient) -> bytes:
    return bytes(good(await client.download(url)).body)


def _decrypted(data: bytes, key: dict[str, Any]) -> bytes:
    from nio.crypto import decrypt_attachment
    from nio.exceptions import EncryptionError

    try:
        return bytes(decrypt_attachment(data, key["key"]["k"], key["hashes"]["sha256"], key["iv"]))
    except (EncryptionError, LookupError, TypeError, ValueError) as error:
        raise ChannelError(f"A file cannot be decrypted: {error}.", permanent=True) from error
