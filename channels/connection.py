"""One persistent connection to a platform: join rooms, read, ping, and detect its loss."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, ClassVar, Protocol, TypeVar
from weakref import WeakValueDictionary

from qwendesk.channels.ingest import Fetch
from qwendesk.errors import ChannelError
from qwendesk.messages import Inbound, Outbound

T = TypeVar("T")
ChannelSettings = dict[str, Any]
"""A channel's settings, validated by ``manifest.read``."""
log = logging.getLogger(__name__)
TIMEOUT_SECONDS = 20.0
PING_INTERVAL_SECONDS = 60.0
REJOIN_SECONDS = 30.0


class Enqueue(Protocol):
    """Queues incoming messages without waiting for the desk."""

    def __call__(self, inbound: Inbound, *files: Fetch) -> None:
        """Queue a message with its files."""


class Connection(ABC):
    """One connection, opened once and not reused after it has closed.

    Args:
        settings: the channel's settings.
        enqueue: queues each incoming message.
    """

    title: ClassVar[str]
    """The platform's name, for errors."""

    def __init__(self, settings: ChannelSettings, enqueue: Enqueue) -> None:
        self._settings = settings
        self._enqueue = enqueue
        self.closed: asyncio.Future[ChannelError] = asyncio.get_running_loop().create_future()
        self.rooms: dict[str, Callable[[], object]] = {}
        """The rooms to join, each with a function that asks to join it."""
        self._not_joined: dict[str, str] = {}
        """Rooms that are not joined, and why."""
        self.pending: dict[str, list[ChannelError]] = {}
        """Messages that are not confirmed yet, by name, each with its refusals."""
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def join_errors(self) -> str:
        """Names the rooms that are not joined, and why; empty: all are joined."""
        rooms = ", ".join(f"{room} ({why})" for room, why in self._not_joined.items())
        return f"{self.title}: the desk is not in {rooms}." if rooms else ""

    @abstractmethod
    async def open(self) -> None:
        """Connect, log in and join rooms.

        Raises:
            ChannelError: connecting or logging in failed.
        """

    @abstractmethod
    async def send(self, message: Outbound) -> str | None:
        """Send a message and return its id.

        Raises:
            ChannelError: it was refused, or the connection is lost.
        """

    async def edit(self, message_id: str, message: Outbound) -> None:
        """Replace the text of a sent message."""
        raise ChannelError(f"{self.title} cannot change a message that was sent.", permanent=True)

    async def typing(self, conversation: str) -> None:  # noqa: B027 - some platforms show nothing
        """Show the typing sign."""

    @abstractmethod
    def status(self) -> str:
        """Return one line that names the connected account."""

    async def close(self) -> None:
        """Close the connection."""
        self.fail("the desk closed the connection")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def set_receiving(self, receiving: bool) -> None:  # noqa: B027 - optional
        """Tell the platform whether this connection receives messages for the desk's account."""

    async def ping(self, name: str) -> None:  # noqa: B027 - optional
        """Check that the server responds; called regularly while the channel listens.

        Args:
            name: of the message that was sent before the ping, for platforms that echo it.
        """

    async def wait_closed(self) -> ChannelError:
        """Wait until the connection closes and return why; ping the server, since a loss may go unnoticed."""
        while not self.closed.done():
            with suppress(ChannelError):
                await self.wait_for(self.ping("alive"))
            await asyncio.wait([self.closed], timeout=PING_INTERVAL_SECONDS)
        return self.closed.result()

    def fail(self, why: object, *, permanent: bool = False) -> None:
        """Mark the connection as closed."""
        if not self.closed.done():
            self.closed.set_result(ChannelError(f"{self.title}: {why}.", permanent=permanent))

    def warn(self, what: str) -> None:
        """Log an anomaly that does not end the connection."""
        log.warning("%s: %s.", self.title, what)

    @asynccontextmanager
    async def confirming(self, name: str, to: str) -> AsyncIterator[list[ChannelError]]:
        """Confirm a message that is sent inside by a ping after it: the platform answers in order.

        Args:
            name: of the message, as ``refuse`` receives it.
            to: its destination, to which one message is sent at a time: some refusals name only the destination.

        Yields:
            The refusals so far.

        Raises:
            ChannelError: the message was refused, or the connection was lost.
        """
        refusals: list[ChannelError] = []
        async with self._locks.setdefault(to, asyncio.Lock()):
            self.pending[name] = refusals
            try:
                yield refusals
                await self.wait_for(self.ping(name))
            except ChannelError:
                if not refusals:
                    raise
            finally:
                self.pending.pop(name, None)
        if refusals:
            raise refusals[0]

    def refuse(self, name: str, why: str, *, permanent: bool) -> None:
        """Record that the platform refused a message."""
        if name in self.pending:
            self.pending[name].append(ChannelError(f"{self.title} refuses the message: {why}.", permanent=permanent))

    def start_task(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a task, such as reading, that closes the connection when it ends, and ends with it."""
        task = asyncio.create_task(work)
        task.add_done_callback(self._done)
        self._tasks.append(task)

    def mark_left(self, room: str, why: str) -> None:
        """Record that a room is not joined and ask to join it again later."""
        if enter := self.rooms.get(room):
            self._not_joined[room] = why
            asyncio.get_running_loop().call_later(REJOIN_SECONDS, enter)
            self.warn(f"not in {room} ({why}); the next try is in {REJOIN_SECONDS:g} s")

    def mark_joined(self, room: str) -> None:
        """Record that a room is joined."""
        self._not_joined.pop(room, None)

    def skip_malformed(self, read: Callable[[T], None]) -> Callable[[T], None]:
        """Wrap a reader so that malformed input is logged instead of raised."""

        def read_or_log(received: T) -> None:
            try:
                read(received)
            except (LookupError, TypeError, ValueError, AttributeError) as error:
                self.warn(f"malformed input is ignored, {error!r}")

        return read_or_log

    async def read_all(self, stream: AsyncIterable[T], read: Callable[[T], None]) -> None:
        """Read a stream to its end."""
        skip_malformed = self.skip_malformed(read)
        async for received in stream:
            skip_malformed(received)

    async def wait_for(self, operation: Awaitable[T]) -> T:
        """Return the result of an operation over this connection; close the connection on a timeout.

        Raises:
            ChannelError: connecting failed, the connection closed, or the server did not answer in time.
        """
        task: asyncio.Future[T] = asyncio.ensure_future(operation)
        try:
            await asyncio.wait((task, self.closed), timeout=TIMEOUT_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise self.closed.result() if self.closed.done() else TimeoutError
        except TimeoutError as error:
            self.fail("the server does not answer")
            raise ChannelError(f"{self.title} did not answer within {TIMEOUT_SECONDS:g} s.") from error
        except OSError as error:
            raise ChannelError(f"{self.title}: the server cannot be reached: {error}.") from error
        finally:
            task.cancel()

    def _done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            broken = task.exception()
            self.fail(f"the connection broke, {broken}" if broken else "the server closed the connection")
