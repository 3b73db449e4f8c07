"""Posts what happens to tickets into an operators' room: each event once, in the order of each ticket."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from qwendesk.desk.operator_rooms.posts import RoomPosts, head, not_shown, short_head, title
from qwendesk.desk.operator_rooms.room import OperatorsRoom, RoomOutlet
from qwendesk.desk.operator_rooms.threads import RoomThreadRecord, RoomThreads
from qwendesk.desk.tickets.event_deliveries import ROOM_PREFIX, ClaimedDelivery, EventDeliveries, next_try
from qwendesk.desk.tickets.event_reading import EventReading
from qwendesk.desk.tickets.records import TicketEventRecord, TicketRecord
from qwendesk.desk.workspace.event_words import IN_THREAD
from qwendesk.errors import ChannelError, StoreError, ThreadGone
from qwendesk.memory.tenancy import TenantDatabase
from qwendesk.messages import Attachment, Outbound
from qwendesk.redaction import redact

log = logging.getLogger(__name__)
_POLL_SECONDS = 0.5
_LOOK_BACK = timedelta(days=7)
"""Events from this time before a room was first served make threads, too: tickets may wait already."""
_AT_ONCE = 4
"""Events that are posted at once, each of another ticket."""
LEASE = timedelta(seconds=30)
"""Time after which another process posts what a process that was killed has claimed."""
_MAX_EDIT_WAIT_SECONDS = 5.0
_PATIENCE = 3
"""Failed tries after which a post is given up if the room takes another one, also where the error is not permanent."""


class RoomSender:
    """Keeps the threads of one operators' room.

    A process that ends while it posts leaves the rest to the next one; the message that was on its way may come twice,
    as on every delivery of the channel.

    Args:
        database: the tenant's view of the database.
        channel: the room's channel.
        room: the room.
        outlet: posts there.
        posts: makes what is posted.
        poll_seconds: time between two looks for new events.
        lease: time after which another process may post what this one has claimed.
    """

    def __init__(
        self,
        database: TenantDatabase,
        channel: str,
        room: OperatorsRoom,
        outlet: RoomOutlet,
        posts: RoomPosts,
        *,
        poll_seconds: float = _POLL_SECONDS,
        lease: timedelta = LEASE,
    ) -> None:
        self.channel = channel
        self.error = ""
        """Why nothing can be posted; empty: the last post was made."""
        self._room = room
        self._outlet = outlet
        self._posts = posts
        self._lease = lease
        self._reader = f"{ROOM_PREFIX}{channel}"
        self._deliveries = EventDeliveries(database, to_rooms=True)
        self._threads = RoomThreads(database, channel)
        self._reading = EventReading(
            self._deliveries,
            self._reader,
            self.post_due,
            name=f"the operators' room of {channel}",
            poll_seconds=poll_seconds,
            look_back=_LOOK_BACK,
            prune=self._threads.prune,
        )

    def start(self) -> None:
        """Start to post."""
        self._reading.start()

    async def stop(self) -> None:
        """Stop; what is being posted is finished by the next start."""
        await self._reading.stop()

    async def post_due(self) -> int:
        """Post the events that are due, at most four; return how many were tried."""
        now = datetime.now(UTC)
        await self._deliveries.feed(self._reader, now)
        claimed = await self._deliveries.claim(self._reader, now, self._lease, _AT_ONCE)
        await asyncio.gather(*(self._try(delivery) for delivery in claimed))
        return len(claimed)

    async def _try(self, claimed: ClaimedDelivery) -> None:
        try:
            async with self._deliveries.holding(claimed, self._lease):
                refused = await self._deliver_or_replace(claimed)
        except StoreError:
            raise
        except Exception as failed:  # a faulty channel must not end the room
            await self._try_later(claimed, failed)
            return
        self.error = ""
        if refused:
            log.warning("A post is not shown in the operators' room of %s: %s", self.channel, refused)
        await self._deliveries.finish(claimed, response_status=None, error=refused, next_at=None)

    async def _try_later(self, claimed: ClaimedDelivery, failed: Exception) -> None:
        """Store when a post is tried again; a platform's rate limit is no error of the room, and uses up no try."""
        error = _told(failed)
        if isinstance(failed, ChannelError) and failed.retry_after:
            next_at: datetime | None = datetime.now(UTC) + timedelta(seconds=failed.retry_after)
            await self._deliveries.finish(claimed, response_status=None, error=error, next_at=next_at, is_counted=False)
            return
        if not isinstance(failed, ChannelError):
            log.error("A post in the operators' room of %s failed.", self.channel, exc_info=failed)
        elif not self.error:
            log.warning("The operators' room of %s cannot be written to: %s", self.channel, error)
        self.error = error
        await self._deliveries.finish(claimed, response_status=None, error=error, next_at=next_try(claimed.attempt))

    async def _deliver_or_replace(self, claimed: ClaimedDelivery) -> str | None:
        """Post an event, or that it cannot be shown; return why it is not shown, None: it is.

        Raises:
            ChannelError: nothing can be posted in the room now.
        """
        try:
            await self._deliver(claimed)
        except StoreError:
            raise
        except Exception as error:
            if _is_of_post(error, claimed) and await self._is_replaced(claimed):
                return _told(error)
            raise
        return None

    async def _is_replaced(self, claimed: ClaimedDelivery) -> bool:
        """Post that something cannot be shown; False if that is refused, too, so that the fault is one of the room."""
        found = await self._posts.event(claimed.event_id)
        if found is None:
            return False
        _, ticket = found
        try:
            thread = await self._threads.of(ticket.id, self._room.room) or await self._open(
                claimed, ticket, is_short=True
            )
            if thread is None:
                return False
            if thread.head_id is None:
                await self._send_head(claimed, ticket, thread, is_short=True)
            (piece, *_) = await self._outlet.split_message(not_shown(ticket, self._room.language))
            await self._outlet.send(
                Outbound(f"{claimed.id}:not_shown", thread.conversation, piece.text, plain=piece.plain)
            )
        except StoreError:
            raise
        except Exception as error:
            if isinstance(error, ChannelError) and error.retry_after:
                raise
            log.info("That a post is not shown in the operators' room of %s was not said: %s", self.channel, error)
            return False
        if not thread.is_introduced:  # what follows is told, each event by itself
            await self._threads.set_introduced(thread, 0, "")
            await self._deliveries.note_part(claimed, 0)
        return True

    async def _deliver(self, claimed: ClaimedDelivery) -> None:
        found = await self._posts.event(claimed.event_id)
        if found is None:  # deleted with its customer, as the delivery is
            return
        event, ticket = found
        thread = await self._threads.of(ticket.id, self._room.room)
        try:
            await self._tell(claimed, event, ticket, thread)
        except ThreadGone:
            if thread:
                await self._threads.remove(thread)
            await self._deliveries.note_part(claimed, 0)
            await self._tell(replace(claimed, parts_sent=0), event, ticket, None)

    async def _tell(
        self, claimed: ClaimedDelivery, event: TicketEventRecord, ticket: TicketRecord, thread: RoomThreadRecord | None
    ) -> None:
        """Post an event into the thread of its ticket, which is opened once the ticket needs a person."""
        shown = ticket if thread is None else None
        if thread is None:
            needs_person = ticket.state in ("waiting", "human") or event.kind == "approval_needed"
            if not needs_person or not self._room.takes(ticket.team):
                return
            thread = await self._open(claimed, ticket)
            if thread is None:
                return
        if thread.head_id is None:
            await self._send_head(claimed, ticket, thread)
        if not thread.is_introduced:
            introduction = await self._posts.introduction(ticket, thread.opened_at)
            await self._send(claimed, thread, introduction.text)
            if shown is None or head(introduction.ticket) != head(shown):
                await self._edit_head(claimed, introduction.ticket, thread)
            await self._threads.set_introduced(thread, introduction.newest_sequence, introduction.newest_event_id)
            return
        if _is_told(event, thread):
            return
        if event.kind not in IN_THREAD:
            await self._edit_head(claimed, ticket, thread)
        if post := await self._posts.post(event, with_files=self._outlet.capabilities.sends_files):
            await self._send(claimed, thread, post.text, post.files)

    async def _open(
        self, claimed: ClaimedDelivery, ticket: TicketRecord, *, is_short: bool = False
    ) -> RoomThreadRecord | None:
        """Open the thread of a ticket; None: the ticket was deleted meanwhile."""
        (piece, *_) = await self._outlet.split_message(short_head(ticket) if is_short else head(ticket))
        message = Outbound(f"{claimed.id}:thread", self._room.room, piece.text, plain=piece.plain)
        opened = await self._outlet.open_thread(f"#{ticket.number}" if is_short else title(ticket), message)
        try:
            await self._threads.add(ticket.id, self._room.room, opened)
        except StoreError:
            if await self._posts.event(claimed.event_id) is None:  # a thread refers to its ticket, which is gone
                return None
            raise
        return await self._threads.of(ticket.id, self._room.room)

    async def _send_head(
        self, claimed: ClaimedDelivery, ticket: TicketRecord, thread: RoomThreadRecord, *, is_short: bool = False
    ) -> None:
        (piece, *_) = await self._outlet.split_message(short_head(ticket) if is_short else head(ticket))
        message = Outbound(f"{claimed.id}:head", thread.conversation, piece.text, plain=piece.plain)
        await self._threads.set_head(thread, await self._outlet.send(message) or "")

    async def _edit_head(self, claimed: ClaimedDelivery, ticket: TicketRecord, thread: RoomThreadRecord) -> None:
        """Show the ticket's state in the first message; one that cannot be changed stays as it is."""
        if not thread.head_id or not self._outlet.capabilities.edits:
            return
        (piece, *_) = await self._outlet.split_message(head(ticket))
        message = Outbound(f"{claimed.id}:head", thread.conversation, piece.text, plain=piece.plain)
        for _ in range(2):
            try:
                await self._outlet.edit(thread.head_id, message)
                return
            except ThreadGone:
                raise
            except ChannelError as error:
                if not error.retry_after or error.retry_after > _MAX_EDIT_WAIT_SECONDS:
                    log.info("The first message of a ticket's thread was not changed: %s", error)
                    return
                await asyncio.sleep(error.retry_after)

    async def _send(
        self, claimed: ClaimedDelivery, thread: RoomThreadRecord, text: str, files: tuple[Attachment, ...] = ()
    ) -> None:
        """Post a text, without those of its messages that an earlier try has sent."""
        pieces = [(piece.text, piece.plain) for piece in await self._outlet.split_message(text)]
        pieces = pieces or ([("", "")] if files else [])
        for number, (shown, plain) in enumerate(pieces):
            if number < claimed.parts_sent:
                continue
            with_it = files if number == len(pieces) - 1 else ()
            key = f"{claimed.id}:{number}"
            message = Outbound(key, thread.conversation, shown, attachments=with_it, plain=plain)
            try:
                await self._outlet.send(message)
            except ChannelError as error:
                if not (error.permanent and with_it and shown) or isinstance(error, ThreadGone):
                    raise
                log.warning("The files of a message are not shown in the operators' room: %s", error)
                await self._outlet.send(replace(message, attachments=()))
            await self._deliveries.note_part(claimed, number + 1)


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, ChannelError) else redact(f"{type(error).__name__}: {error}")


def _is_of_post(error: Exception, claimed: ClaimedDelivery) -> bool:
    """Return whether an error may be one of the post, not of the room, so that another post may be taken."""
    if isinstance(error, ChannelError) and error.retry_after:
        return False
    return claimed.attempt > _PATIENCE or (isinstance(error, ChannelError) and error.permanent)


def _is_told(event: TicketEventRecord, thread: RoomThreadRecord) -> bool:
    """Return whether the introduction of a thread tells an event."""
    sequence = event.changes.get("sequence")
    if sequence is not None and event.kind in ("message", "answered", "replied"):
        return int(sequence) <= thread.newest_sequence
    return event.id <= thread.newest_event_id
