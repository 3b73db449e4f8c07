"""One lasting connection to a platform: entering rooms, reading, asking, and noticing the end."""

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
Values = dict[str, Any]
"""A channel's settings, as ``manifest.read`` gives them."""
log = logging.getLogger(__name__)
_SECONDS = 20.0
_ASK_SECONDS = 60.0
"""After so long the other side is asked whether it is still there: a connection can be lost without a sign."""
_OUTSIDE_SECONDS = 30.0
"""After so long the desk tries again to enter a room that it was put out of, or not let into."""


class Enqueue(Protocol):
    """Takes what people write, without waiting for the desk."""

    def __call__(self, inbound: Inbound, *files: Fetch) -> None:
        """Take a message with its files."""


class Connection(ABC):
    """One connection; made, opened, ended, and never used again.

    Args:
        settings: the channel's.
        put: is given each message that comes.
    """

    title: ClassVar[str]
    """The platform's name, for errors."""

    def __init__(self, settings: Values, put: Enqueue) -> None:
        self._settings = settings
        self._put = put
        self.closed: asyncio.Future[ChannelError] = asyncio.get_running_loop().create_future()
        self.rooms: dict[str, Callable[[], object]] = {}
        """The rooms that the desk ought to be in, and how it asks to enter."""
        self._not_joined: dict[str, str] = {}
        """Those of them that it is not in, and why."""
        self.pending: dict[str, list[ChannelError]] = {}
        """The messages on their way, by their names, and how each was refused."""
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def trouble(self) -> str:
        """What cannot be heard over this connection, and why; empty: all that was asked for is heard."""
        rooms = ", ".join(f"{room} ({why})" for room, why in self._not_joined.items())
        return f"{self.title}: the desk is not in {rooms}." if rooms else ""

    @abstractmethod
    async def open(self) -> None:
        """Connect, log in and enter rooms.

        Raises:
            ChannelError: that cannot be done.
        """

    @abstractmethod
    async def send(self, message: Outbound) -> str | None:
        """Send a message and return its id.

        Raises:
            ChannelError: it was refused, or the connection is lost.
        """

    async def edit(self, message_id: str, message: Outbound) -> None:
        """Replace the text of a message that was sent."""
        raise ChannelError(f"{self.title} cannot change a message that was sent.", permanent=True)

    async def typing(self, conversation: str) -> None:  # noqa: B027 - some platforms show nothing
        """Show that an answer is being written."""

    @abstractmethod
    def status(self) -> str:
        """Say in one line as whom the desk is connected."""

    async def close(self) -> None:
        """Hang up."""
        self.fail("the desk has hung up")
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def listen(self, listening: bool) -> None:  # noqa: B027 - not every platform wants to be told
        """Say whether this connection takes what is written to the desk's account."""

    async def ping(self, name: str) -> None:  # noqa: B027 - some platforms are heard of all the time
        """Ask the other side for a sign that it is there; is done again and again while the desk listens.

        Args:
            name: of the message after which it is asked, for a platform that repeats it.
        """

    async def wait_closed(self) -> ChannelError:
        """Wait for the end, and return why it came; a connection can be lost without a sign, so one is asked for."""
        while not self.closed.done():
            with suppress(ChannelError):
                await self.wait_for(self.ping("alive"))
            await asyncio.wait([self.closed], timeout=_ASK_SECONDS)
        return self.closed.result()

    def fail(self, why: object, *, permanent: bool = False) -> None:
        """Note that the connection is of no use any more."""
        if not self.closed.done():
            self.closed.set_result(ChannelError(f"{self.title}: {why}.", permanent=permanent))

    def warn(self, what: str) -> None:
        """Write down what is odd, and no reason to end."""
        log.warning("%s: %s.", self.title, what)

    @asynccontextmanager
    async def confirming(self, name: str, to: str) -> AsyncIterator[list[ChannelError]]:
        """Be sure of a message that is sent inside: the platform answers in order, so it is asked for a sign after it.

        Args:
            name: the message's; ``refuse`` goes by it.
            to: where it goes; what else goes there waits, as some platforms name in a refusal nothing but the place.

        Yields:
            How it was refused so far.

        Raises:
            ChannelError: it was refused, or the connection is lost.
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
        """Note that the platform does not take a message."""
        if name in self.pending:
            self.pending[name].append(ChannelError(f"{self.title} refuses the message: {why}.", permanent=permanent))

    def start_task(self, work: Coroutine[Any, Any, None]) -> None:
        """Do what the connection lives by, such as reading; when that is over the connection is, and the other way."""
        task = asyncio.create_task(work)
        task.add_done_callback(self._done)
        self._tasks.append(task)

    def mark_left(self, room: str, why: str) -> None:
        """Note that the desk is not in one of its rooms, and ask again later to enter; the others go on."""
        if enter := self.rooms.get(room):
            self._not_joined[room] = why
            asyncio.get_running_loop().call_later(_OUTSIDE_SECONDS, enter)
            self.warn(f"not in {room} ({why}); the next try is in {_OUTSIDE_SECONDS:g} s")

    def mark_joined(self, room: str) -> None:
        """Note that the desk is in a room."""
        self._not_joined.pop(room, None)

    def tolerant(self, read: Callable[[T], None]) -> Callable[[T], None]:
        """Return a reader of what comes; where the platform sends nonsense that is noted, and the next is read."""

        def careful(came: T) -> None:
            try:
                read(came)
            except (LookupError, TypeError, ValueError, AttributeError) as error:
                self.warn(f"what was sent cannot be read, {error!r}")

        return careful

    async def read_all(self, stream: AsyncIterable[T], read: Callable[[T], None]) -> None:
        """Read what comes until nothing comes any more."""
        careful = self.tolerant(read)
        async for came in stream:
            careful(came)

    async def wait_for(self, asking: Awaitable[T]) -> T:
        """Return what is asked for over this connection; one on which nothing answers is of no use any more.

        Raises:
            ChannelError: there can be no connection, it ended before, or the other side is silent for too long.
        """
        task: asyncio.Future[T] = asyncio.ensure_future(asking)
        try:
            await asyncio.wait((task, self.closed), timeout=_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise self.closed.result() if self.closed.done() else TimeoutError
        except TimeoutError as error:
            self.fail("it is silent")
            raise ChannelError(f"{self.title} did not answer within {_SECONDS:g} s.") from error
        except OSError as error:
            raise ChannelError(f"{self.title}: the server cannot be reached: {error}.") from error
        finally:
            task.cancel()

    def _done(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            broken = task.exception()
            self.fail(f"the connection broke, {broken}" if broken else "the server has hung up")
