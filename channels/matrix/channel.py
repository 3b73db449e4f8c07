"""The Matrix channel: sync loop, key exchange, sending, and decrypted downloads."""

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

from qwendesk.channels.base import (
    MAX_FILE_BYTES,
    Accept,
    Channel,
    ChannelCapabilities,
    Manifest,
    Setting,
)
from qwendesk.channels.ingest import FileFetcher, submit, with_quotes
from qwendesk.channels.lifecycle import retry_until_stopped, sleep_unless_stopped, unless_stopped
from qwendesk.channels.matrix import client_api
from qwendesk.channels.matrix.client_api import LoggedOut, raise_for_error, translate_errors
from qwendesk.channels.matrix.parse import (
    MatrixEvent,
    MatrixFile,
    MatrixIdentity,
    parse,
    parse_room,
    quote_of,
    thread_of,
    thread_root,
)
from qwendesk.channels.matrix.session import MatrixSession, complete_timeline
from qwendesk.channels.room_settings import make_room, room_settings
from qwendesk.desk.operator_rooms.room import OpenedThread
from qwendesk.errors import ChannelError
from qwendesk.messages import Attachment, Inbound, Outbound

if TYPE_CHECKING:
    from nio import AsyncClient, SyncResponse

T = TypeVar("T")
log = logging.getLogger(__name__)
_ROOM_ID, _ROOM_HELP = r"![^\s#]+", "a room's id, such as !abc:example.org, in the room's settings under 'Advanced'."
_SYNC_TIMEOUT_MS = 25_000
_TYPING_MS = 8_000
_MAX_OWN_EVENTS = 1000
"""The newest own messages, to recognise replies and reactions to them."""


class MatrixChannel(Channel):
    """A Matrix account that accepts invitations to rooms."""

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
            single_process=True,
            groups=True,
            max_file_in=MAX_FILE_BYTES,
            sends_files=True,
        ),
        (
            Setting("homeserver", "The homeserver's URL, such as https://matrix.org.", required=True),
            Setting("user", "The desk's account, such as @desk:matrix.org.", required=True),
            Setting("password", "Its password, for the first login of the desk's device.", True, True),
            Setting("data_dir", "Folder for the device's keys; empty: in the desk's data folder."),
            *room_settings(_ROOM_HELP),
        ),
        needs=("nio", "vodozemac"),
    )

    def __init__(
        self,
        homeserver: str,
        user: str,
        password: str,
        data_dir: str,
        operators_room: str = "",
        operators_room_teams: tuple[str, ...] = (),
        operators_room_language: str = "",
    ) -> None:
        self.operators_room = make_room(
            "matrix", _ROOM_ID, _ROOM_HELP, operators_room, operators_room_teams, operators_room_language
        )
        folder = Path(data_dir or "matrix").expanduser()
        self._session = MatrixSession(homeserver.rstrip("/"), user, password, folder)
        self._me = MatrixIdentity(user, user.partition(":")[0].lstrip("@"))
        self._stopping = asyncio.Event()
        self._client: AsyncClient | None = None
        self._opening = asyncio.Lock()
        self._own = FIFOCache[str, str](_MAX_OWN_EVENTS)
        self._fetching = FileFetcher()

    async def start(self, accept: Accept) -> None:
        """Sync until ``stop``."""
        await retry_until_stopped(self._stopping, partial(self._sync_once, accept))

    async def stop(self) -> None:
        """Stop syncing; the running sync ends."""
        self._stopping.set()

    async def send(self, message: Outbound) -> str | None:
        """Send a message and return its event id."""
        sent = await self._call(lambda client: client_api.send(client, message))
        self._own[sent] = message.conversation
        return sent

    async def edit(self, message_id: str, message: Outbound) -> None:
        """Replace the text of a sent message."""
        await self._call(lambda client: client_api.edit(client, message_id, message))

    async def typing(self, conversation: str) -> None:
        """Show the typing indicator."""
        await self._call(lambda client: client_api.typing(client, conversation, _TYPING_MS))

    async def check(self) -> str:
        """Log in, twice if the homeserver has invalidated the access token, and return user and device."""
        with suppress(LoggedOut):
            await self._call(_who)
        told = await self._call(_who)
        if self.operators_room is None:
            return told
        await self._call(partial(_check_member, self.operators_room.room))
        return f"{told}, operators' room {self.operators_room.room}"

    async def open_thread(self, title: str, head: Outbound) -> OpenedThread:
        """Send the first event of a thread."""
        sent = await self._call(lambda client: client_api.send(client, head))
        return OpenedThread(thread_of(head.conversation, sent), sent)

    async def aclose(self) -> None:
        """Close the connections."""
        self._stopping.set()
        await self._close_client()

    async def _close_client(self) -> None:
        async with self._opening:
            client, self._client = self._client, None
            if client:
                await client.close()

    async def connect(self) -> AsyncClient:
        """Return the logged-in client; log in if there is none.

        Raises:
            ChannelError: The login failed.
        """
        async with self._opening:
            if self._client and not self._client.logged_in:  # the homeserver may not know the device any more
                await self._discard_client(keep_device=False)
            if self._client is None:
                self._client = await self._session.open()
            return self._client

    async def _call(self, action: Callable[[AsyncClient], Awaitable[T]]) -> T:
        """Call the homeserver; after an invalid access token, the next call logs in again.

        Raises:
            ChannelError: The call failed.
        """
        client = await self.connect()
        try:
            async with translate_errors():
                return await action(client)
        except LoggedOut as error:
            async with self._opening:
                if self._client is client:  # otherwise another task has logged in again
                    await self._discard_client(keep_device=error.soft)
            raise
        finally:
            if self._client is not client:  # a running call makes the library open a new connection
                await client.close()

    async def _discard_client(self, *, keep_device: bool) -> None:
        client, self._client = self._client, None
        if client:
            await client.close()
        self._session.forget_token(keep_device=keep_device)

    async def _sync_once(self, accept: Accept) -> None:
        answer = await self._call(self._sync)
        if answer is not None and await self._receive(answer, accept):
            self._session.save_position(answer.next_batch)

    async def _sync(self, client: AsyncClient) -> SyncResponse | None:
        """Return the sync response; None if the channel stops meanwhile."""
        first = self._session.since is None
        # messages from before the first login are not for the desk
        only_rooms = {"room": {"timeline": {"limit": 0 if first else 100}}}
        full = not client.rooms
        asking = client.sync(0 if first or full else _SYNC_TIMEOUT_MS, only_rooms, self._session.since, full_state=full)
        answer = raise_for_error(await unless_stopped(self._stopping, asking))
        if answer is not None:
            await self._exchange_keys(client)
        return answer

    async def _exchange_keys(self, client: AsyncClient) -> None:
        """Upload own keys, query and claim those of others, and share session keys."""
        if client.should_upload_keys:
            raise_for_error(await client.keys_upload())
        if client.should_query_keys:
            raise_for_error(await client.keys_query())
        if client.should_claim_keys:
            raise_for_error(await client.keys_claim(client.get_users_for_key_claiming()))
        await client.send_to_device_messages()

    async def _receive(self, answer: SyncResponse, accept: Accept) -> bool:
        """Pass the events of a sync response to the desk; False if the channel stops before the end."""
        client = await self.connect()
        for room in answer.rooms.invite:
            await self._call(partial(_join, room))
        for room, news in answer.rooms.join.items():
            for event in await complete_timeline(client, room, news.timeline, self._session.since, self._me.user):
                while not (await self._receive_event(room, event, accept) or self._stopping.is_set()):
                    await sleep_unless_stopped(self._stopping, 1.0)
        return not self._stopping.is_set()

    async def _receive_event(self, room: str, event: dict[str, Any], accept: Accept) -> bool:
        """Pass one event to the desk; False if it is busy or a download failed for now."""
        client = await self.connect()
        members = client.rooms[room].member_count if room in client.rooms else 2
        is_of_room = self.operators_room is not None and room == self.operators_room.room
        try:
            parsed = (
                parse_room(event, room, self._me) if is_of_room else parse(event, room, members, self._own, self._me)
            )
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            log.warning("The homeserver sent an invalid event: %r.", error)
            return True
        if parsed is None:
            return True
        try:
            fetching = [partial(self._fetch, parsed.file)] if parsed.file else []
            inbound = await self._fetching.with_attachments(parsed.inbound, fetching)
        except ChannelError:
            return False  # the event is tried again before later events of the room
        inbound = await self._with_reply(inbound, room, parsed)
        if inbound.change == "edited":
            inbound = await self._in_its_thread(inbound, room)
        return await submit(inbound, accept, partial(self._refuse, inbound))

    async def _with_reply(self, inbound: Inbound, room: str, parsed: MatrixEvent) -> Inbound:
        """Return a message with the quote and the file of the replied-to event, as far as available."""
        if not parsed.replied:
            return inbound
        quote, files = parsed.fallback, inbound.attachments
        try:
            replied = await self._call(partial(_event, room, parsed.replied))
            quote, file = quote_of(replied, self._me)
            files += (await self._fetch(file),) if file else ()
        except (ChannelError, LookupError, TypeError, ValueError, AttributeError) as error:
            log.warning("The replied-to event cannot be read: %s", error)
        return replace(inbound, text=with_quotes(inbound.text, [quote] if quote else []), attachments=files)

    async def _in_its_thread(self, inbound: Inbound, room: str) -> Inbound:
        """Return an edit in the operators' room with the thread of the edited event, which it does not name."""
        try:
            edited = await self._call(partial(_event, room, inbound.reply_to or ""))
            return replace(inbound, conversation=thread_of(room, thread_root(edited)))
        except (ChannelError, LookupError, TypeError, AttributeError) as error:
            log.warning("An edited event cannot be read: %s", error)
            return inbound

    async def _refuse(self, inbound: Inbound, text: str) -> None:
        await self.send(Outbound(f"refused:{inbound.event}", inbound.conversation, escape(text), plain=text))

    async def _fetch(self, file: MatrixFile) -> Attachment:
        data = await self._call(partial(_downloaded, file.url))
        if len(data) > MAX_FILE_BYTES:
            raise ChannelError(f"A file is larger than {MAX_FILE_BYTES:,} bytes.", permanent=True)
        if key := file.key:
            data = _decrypted(data, key)
        return Attachment(file.kind, file.mime, data, file.name)  # type: ignore[arg-type]


async def _who(client: AsyncClient) -> str:
    raise_for_error(await client.whoami())
    return f"connected as {client.user_id}, device {client.device_id}"


async def _check_member(room: str, client: AsyncClient) -> None:
    if room not in raise_for_error(await client.joined_rooms()).rooms:
        text = f"{client.user_id} is not in the operators' room {room}: invite the account while 'qwendesk serve' runs."
        raise ChannelError(text, permanent=True)


async def _join(room: str, client: AsyncClient) -> None:
    await client.join(room)


async def _event(room: str, name: str, client: AsyncClient) -> dict[str, Any]:
    found: dict[str, Any] = raise_for_error(await client.room_get_event(room, name)).event.source
    return found


async def _downloaded(url: str, client: AsyncClient) -> bytes:
    return bytes(raise_for_error(await client.download(url)).body)


def _decrypted(data: bytes, key: dict[str, Any]) -> bytes:
    from nio.crypto import decrypt_attachment
    from nio.exceptions import EncryptionError

    try:
        return bytes(decrypt_attachment(data, key["key"]["k"], key["hashes"]["sha256"], key["iv"]))
    except (EncryptionError, LookupError, TypeError, ValueError) as error:
        raise ChannelError(f"A file cannot be decrypted: {error}.", permanent=True) from error
