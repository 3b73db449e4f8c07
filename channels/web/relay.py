"""Between processes that share PostgreSQL: what one shows reaches the visitors of another at once.

It is a loudspeaker, no queue: whatever is missed is in the database, where a page that comes back finds it.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from cachetools import FIFOCache

from qwendesk.channels.retry import rest
from qwendesk.channels.web.sessions import Frame

if TYPE_CHECKING:
    from psycopg import AsyncConnection

Hear = Callable[[str, Frame], None]
"""Is told what is shown in which conversation."""
_TOPIC = "qwendesk_web"
_LONGEST = 7000
"""Bytes of one notification, of which PostgreSQL takes less than 8000."""
_MOST_OPEN = 64
"""Frames of which pieces are missing; older ones are given up."""
_PATIENCE = 5.0
"""Seconds that the database has to pass a frame on."""
_PAUSE = 0.5
log = logging.getLogger(__name__)


class Relay:
    """Speaks and listens through the desk's own database.

    Args:
        url: its SQLAlchemy URL.
    """

    def __init__(self, url: str) -> None:
        from sqlalchemy import make_url

        self._dsn = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._speaking = asyncio.Lock()
        self._connection: AsyncConnection[Any] | None = None
        self.listens = False
        """Whether what others show is heard at this moment."""

    async def tell(self, key: str, frame: Frame) -> None:
        """Say what is shown in a conversation; where the database is away, nobody hears it."""
        from psycopg import Error

        try:
            async with self._speaking, asyncio.timeout(_PATIENCE):
                connection = await self._speaker()
                # in one statement, and so in one transaction: the pieces arrive together and in order
                await connection.execute(
                    f"SELECT pg_notify('{_TOPIC}', piece) FROM unnest(%s::text[]) AS piece", [cut(key, frame)]
                )
        except (Error, OSError, TimeoutError) as error:
            log.info("A frame of the web chat was not passed on (%s).", type(error).__name__)

    async def listen(self, hear: Hear, stopping: asyncio.Event) -> None:
        """Hear what others show until all stops; a connection that breaks is made again."""
        from psycopg import AsyncConnection, Error

        is_lost = False
        while not stopping.is_set():
            try:
                async with await AsyncConnection.connect(self._dsn, autocommit=True) as connection:
                    await connection.execute(f"LISTEN {_TOPIC}")
                    self.listens, is_lost = True, False
                    await self._follow(connection, hear, stopping)
            except (Error, OSError) as error:
                if not is_lost:
                    log.warning("The web chat lost the database (%s) and looks for it.", type(error).__name__)
                is_lost = True
            finally:
                self.listens = False
            await rest(stopping, _PAUSE)

    async def aclose(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection:
            await connection.close()

    async def _follow(self, connection: AsyncConnection[Any], hear: Hear, stopping: asyncio.Event) -> None:
        pieces = Pieces()
        while not stopping.is_set():
            async for notice in connection.notifies(timeout=1.0):
                if whole := pieces.add(notice.payload):
                    hear(*whole)

    async def _speaker(self) -> AsyncConnection[Any]:
        from psycopg import AsyncConnection

        if self._connection is None or self._connection.closed:
            self._connection = await AsyncConnection.connect(self._dsn, autocommit=True)
        return self._connection


def cut(key: str, frame: Frame) -> list[str]:
    """Return a frame in pieces that a notification can carry: its name, their number, which one, and text."""
    text = json.dumps([key, frame])  # ASCII: as many bytes as characters
    name, count = uuid4().hex[:12], -(-len(text) // _LONGEST)
    return [f"{name}:{count}:{at}:{text[at * _LONGEST : (at + 1) * _LONGEST]}" for at in range(count)]


class Pieces:
    """Puts pieces together."""

    def __init__(self) -> None:
        self._open = FIFOCache[str, dict[int, str]](_MOST_OPEN)

    def add(self, piece: str) -> tuple[str, Frame] | None:
        """Take a piece; return conversation and frame once they are whole."""
        try:
            name, count, at, text = piece.split(":", 3)
            held = self._open.pop(name, {})
            held[int(at)] = text
            if len(held) < int(count):
                self._open[name] = held
                return None
            key, frame = json.loads("".join(held[number] for number in sorted(held)))
            return str(key), dict(frame)
        except (TypeError, ValueError) as error:
            log.warning("What another process shows cannot be read: %r.", error)
            return None
