"""Base class of channels with one persistent connection, and the queue of their incoming messages."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import uuid4

from qwendesk.channels.base import Accept
from qwendesk.channels.connection import Connection
from qwendesk.channels.ingest import Fetch, submit, with_attachments
from qwendesk.channels.lifecycle import retry_until_stopped, sleep_unless_stopped, unless_stopped
from qwendesk.errors import ChannelError
from qwendesk.messages import Inbound, Outbound

Refuse = Callable[[Inbound, str], Awaitable[object]]
log = logging.getLogger(__name__)
_MAX_QUEUED_MESSAGES = 1000
_MAX_CONCURRENT_FETCHES = 4
"""Messages whose files are fetched, and kept in memory, at the same time."""
_RETRY_SECONDS = 1.0


class InboundQueue:
    """Queues messages and submits them when the desk accepts them.

    Args:
        stopping: once set, messages that a busy desk does not accept are dropped.
        refuse: tells a person why a message was refused.
    """

    def __init__(self, stopping: asyncio.Event, refuse: Refuse) -> None:
        self._stopping = stopping
        self._refuse = refuse
        self._tasks: set[asyncio.Task[None]] = set()
        self._last: dict[str, asyncio.Task[None]] = {}
        """Task of the last message of each conversation."""
        self._fetching = asyncio.Semaphore(_MAX_CONCURRENT_FETCHES)
        self._submitting = asyncio.Lock()
        self._queued = 0

    def put(self, inbound: Inbound, files: tuple[Fetch, ...], accept: Accept) -> None:
        """Queue a message with its files, unless the queue is full; give it an event id if it has none."""
        if self._queued >= _MAX_QUEUED_MESSAGES:
            log.error(
                "A message on %s is lost: %d messages wait already for the busy desk.",
                inbound.channel,
                _MAX_QUEUED_MESSAGES,
            )
            return
        self._queued += 1
        inbound = inbound if inbound.event else replace(inbound, event=uuid4().hex)
        task = asyncio.create_task(self._take(inbound, files, accept, self._last.get(inbound.conversation)))
        self._last[inbound.conversation] = task
        self._tasks.add(task)
        task.add_done_callback(partial(self._remove, inbound.conversation))

    async def drain(self) -> None:
        """Wait until the queue is empty."""
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        """Stop submitting, and log how many messages are lost: the platform does not deliver them again."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        lost, self._queued = self._queued, 0
        if lost:
            log.error("%d messages are lost: the desk stopped before it accepted them.", lost)

    def _remove(self, conversation: str, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._last.get(conversation) is task:
            del self._last[conversation]

    async def _take(
        self, inbound: Inbound, files: tuple[Fetch, ...], accept: Accept, before: asyncio.Task[None] | None
    ) -> None:
        if before:
            await asyncio.wait([before])
        async with self._fetching if files else nullcontext():
            try:
                is_submitted = await self._submit(await _with_files(inbound, files), accept)
            except Exception as error:  # one message must not end the connection
                log.error("A message on %s is lost: %s.", inbound.channel, type(error).__name__)
                is_submitted = True  # logged already
        self._queued -= is_submitted

    async def _submit(self, inbound: Inbound, accept: Accept) -> bool:
        async with self._submitting:
            while not await submit(inbound, accept, partial(self._refuse, inbound)):
                if self._stopping.is_set():
                    return False
                await sleep_unless_stopped(self._stopping, _RETRY_SECONDS)
        return True


async def _with_files(inbound: Inbound, files: tuple[Fetch, ...]) -> Inbound:
    """Return a message with its files; without them if a file cannot be fetched."""
    try:
        return await with_attachments(inbound, files)
    except Exception as error:  # a stranger gave the address, and a library parsed it
        log.warning("A file of %s was not fetched: %s.", inbound.channel, type(error).__name__)
        return replace(inbound, unsupported_media="file")


class PersistentConnectionChannel(ABC):
    """Mixin, placed before ``Channel`` among the bases, that keeps a connection open and sends over it."""

    def __init__(self, **settings: Any) -> None:
        self._settings = settings
        self._connection: Connection | None = None
        self._opening = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._accept: Accept | None = None
        self._inbound = InboundQueue(self._stopping, self._refuse)
        self._connect_error = ""

    @abstractmethod
    def make_connection(self) -> Connection:
        """Create a connection that is not open yet and queues incoming messages by ``enqueue``."""

    @property
    def receive_error(self) -> str:
        """Why the channel misses messages; empty: it misses none."""
        return self._connect_error or (self._connection.join_errors if self._connection else "")

    async def start(self, accept: Accept) -> None:
        """Receive messages until ``stop``; reconnect when the connection is lost."""
        self._accept = accept
        try:
            await retry_until_stopped(self._stopping, self._listen)
            await self._inbound.drain()
        finally:
            if self._stopping.is_set():  # otherwise it may be started again
                await self._inbound.close()

    async def stop(self) -> None:
        """Stop receiving; the connection stays open for sending."""
        self._accept = None
        self._stopping.set()

    async def send(self, message: Outbound) -> str | None:
        """Send a message and return its id."""
        return await (await self.connect()).send(message)

    async def edit(self, message_id: str, message: Outbound) -> None:
        """Replace the text of a sent message."""
        await (await self.connect()).edit(message_id, message)

    async def typing(self, conversation: str) -> None:
        """Show the typing sign."""
        await (await self.connect()).typing(conversation)

    async def check(self) -> str:
        """Connect and log in."""
        return (await self.connect()).status()

    async def aclose(self) -> None:
        """Close the connection."""
        self._stopping.set()
        await self._inbound.close()
        await self._disconnect()

    def enqueue(self, inbound: Inbound, *files: Fetch) -> None:
        """Queue a message with its files; drop it if the queue is full."""
        if self._accept:
            self._inbound.put(inbound, files, self._accept)

    async def connect(self) -> Connection:
        """Return the open connection, made if there is none.

        Raises:
            ChannelError: connecting failed.
        """
        async with self._opening:
            if self._connection is None or self._connection.closed.done():
                await self._disconnect()
                connection = self.make_connection()
                try:
                    await connection.open()
                except BaseException:
                    await connection.close()
                    raise
                self._connection = connection
            return self._connection

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection:
            await connection.close()

    async def _listen(self) -> None:
        try:
            connection = await self.connect()
            self._connect_error = ""
            connection.set_receiving(True)
            if lost := await unless_stopped(self._stopping, connection.wait_closed()):
                raise lost
        except ChannelError as error:
            self._connect_error = str(error)
            raise
        connection.set_receiving(False)

    async def _refuse(self, inbound: Inbound, text: str) -> None:
        await self.send(Outbound(f"refused:{inbound.event}", inbound.conversation, text, reply_to=inbound.reply_to))
