"""For platforms that are one lasting connection: it is kept up, and what comes over it is handed over in order.

Such a platform delivers a message once, and the connection never waits for the desk.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any, Generic, TypeVar

from qwendesk.channels.arrivals import Arrivals, Fetch, Refuse
from qwendesk.channels.attempts import persist
from qwendesk.channels.base import Accept
from qwendesk.channels.stopping import unless
from qwendesk.errors import ChannelError
from qwendesk.messages import Inbound

T = TypeVar("T")
log = logging.getLogger(__name__)
_SECONDS = 20.0
_ASK_SECONDS = 60.0
"""After so long the other side is asked whether it is still there: a connection can be lost without a sign."""
_OUTSIDE_SECONDS = 30.0
"""After so long the desk tries again to enter a room that it was put out of, or not let into."""


class Link(ABC):
    """One connection; made, opened, ended, and never used again.

    Args:
        title: the platform's name, for errors.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self.ended: asyncio.Future[ChannelError] = asyncio.get_running_loop().create_future()
        self.rooms: dict[str, Callable[[], object]] = {}
        """The rooms that the desk ought to be in, and how it asks to enter."""
        self._outside: dict[str, str] = {}
        """Those of them that it is not in, and why."""
        self._running: list[asyncio.Task[None]] = []

    @property
    def trouble(self) -> str:
        """What cannot be heard over this connection, and why; empty: all that was asked for is heard."""
        rooms = ", ".join(f"{room} ({why})" for room, why in self._outside.items())
        return f"{self._title}: the desk is not in {rooms}." if rooms else ""

    @abstractmethod
    async def open(self) -> None:
        """Connect, log in and enter rooms.

        Raises:
            ChannelError: that cannot be done.
        """

    async def close(self) -> None:
        """Hang up."""
        self.end("the desk has hung up")
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def listen(self, listening: bool) -> None:  # noqa: B027 - not every platform wants to be told
        """Say whether this connection takes what is written to the desk's account."""

    async def ask(self) -> None:  # noqa: B027 - some platforms are heard of all the time
        """Ask the other side for a sign that it is there; is done again and again while the desk listens."""

    async def lost(self) -> ChannelError:
        """Wait for the end, and return why it came; a connection can be lost without a sign, so one is asked for."""
        while not self.ended.done():
            with suppress(ChannelError):
                await self.lasting(self.ask())
            await asyncio.wait([self.ended], timeout=_ASK_SECONDS)
        return self.ended.result()

    def end(self, why: object, *, permanent: bool = False) -> None:
        """Note that the connection is of no use any more."""
        if not self.ended.done():
            self.ended.set_result(ChannelError(f"{self._title}: {why}.", permanent=permanent))

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Do what the connection lives by, such as reading; when that is over the connection is, and the other way."""
        task = asyncio.create_task(work)
        task.add_done_callback(self._is_over)
        self._running.append(task)

    def is_outside(self, room: str, why: str) -> None:
        """Note that the desk is not in one of its rooms, and ask again later to enter; the others go on."""
        if enter := self.rooms.get(room):
            self._outside[room] = why
            asyncio.get_running_loop().call_later(_OUTSIDE_SECONDS, enter)
            log.warning("%s: not in %s (%s); the next try is in %g s.", self._title, room, why, _OUTSIDE_SECONDS)

    def is_inside(self, room: str) -> None:
        """Note that the desk is in a room."""
        self._outside.pop(room, None)

    def reading(self, read: Callable[[T], None]) -> Callable[[T], None]:
        """Return a reader of what comes; where the platform sends nonsense that is noted, and the next is read."""

        def careful(came: T) -> None:
            try:
                read(came)
            except (LookupError, TypeError, ValueError, AttributeError) as error:
                log.warning("What %s sent cannot be read: %r.", self._title, error)

        return careful

    async def read(self, stream: AsyncIterable[T], read: Callable[[T], None]) -> None:
        """Read what comes until nothing comes any more."""
        careful = self.reading(read)
        async for came in stream:
            careful(came)

    async def lasting(self, asking: Awaitable[T]) -> T:
        """Return what is asked for over this connection; one on which nothing answers is of no use any more.

        Raises:
            ChannelError: there can be no connection, it ended before, or the other side is silent for too long.
        """
        task: asyncio.Future[T] = asyncio.ensure_future(asking)
        try:
            await asyncio.wait((task, self.ended), timeout=_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise self.ended.result() if self.ended.done() else TimeoutError
        except TimeoutError as error:
            self.end("it is silent")
            raise ChannelError(f"{self._title} did not answer within {_SECONDS:g} s.") from error
        except OSError as error:
            raise ChannelError(f"{self._title}: the server cannot be reached: {error}.") from error
        finally:
            task.cancel()

    def _is_over(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled():
            broken = task.exception()
            self.end(f"the connection broke, {broken}" if broken else "the server has hung up")


L = TypeVar("L", bound=Link)


class Line(Generic[L]):
    """Keeps a link up, and hands over what comes.

    Args:
        make: makes a link that is not open yet.
        refuse: tells a person why a message was not taken.
    """

    def __init__(self, make: Callable[[], L], refuse: Refuse) -> None:
        self._make = make
        self._link: L | None = None
        self._opening = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._accept: Accept | None = None
        self._arrivals = Arrivals(self._stopping, refuse)
        self._trouble = ""

    @property
    def trouble(self) -> str:
        """Why the desk hears nothing, or not all that is said to it; empty: it hears all."""
        return self._trouble or (self._link.trouble if self._link else "")

    async def start(self, accept: Accept) -> None:
        """Be there until ``stop``; a connection that breaks is made again."""
        self._accept = accept
        try:
            await persist(self._stopping, self._be_there)
            await self._arrivals.finish()
        finally:
            if self._stopping.is_set():  # else it may be started again
                await self._arrivals.end()

    async def stop(self) -> None:
        """Take no more messages; the link stays, for sending."""
        self._accept = None
        self._stopping.set()

    def put(self, inbound: Inbound, *files: Fetch) -> None:
        """Take a message with its files from a link; one that is too many is lost."""
        if self._accept:
            self._arrivals.put(inbound, files, self._accept)

    async def link(self) -> L:
        """Return a link that is open.

        Raises:
            ChannelError: there can be none.
        """
        async with self._opening:
            if self._link is None or self._link.ended.done():
                await self._hang_up()
                link = self._make()
                try:
                    await link.open()
                except BaseException:
                    await link.close()
                    raise
                self._link = link
            return self._link

    async def aclose(self) -> None:
        """Hang up."""
        self._stopping.set()
        await self._arrivals.end()
        await self._hang_up()

    async def _hang_up(self) -> None:
        link, self._link = self._link, None
        if link:
            await link.close()

    async def _be_there(self) -> None:
        try:
            link = await self.link()
            self._trouble = ""
            link.listen(True)
            if lost := await unless(self._stopping, link.lost()):
                raise lost
        except ChannelError as error:
            self._trouble = str(error)
            raise
        link.listen(False)
