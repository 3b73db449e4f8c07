"""Pass frames of a channel between the processes of a desk, by notifications of PostgreSQL.

Delivery is not guaranteed: what a process misses, it reads from the database.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from cachetools import FIFOCache

from qwendesk.channels.lifecycle import sleep_unless_stopped

if TYPE_CHECKING:
    from psycopg import AsyncConnection

Frame = dict[str, Any]
Receive = Callable[[str, Frame], None]
"""Receives a conversation and a frame of it."""
_MAX_PIECE_CHARS = 7000
"""ASCII characters of a frame in one notification, whose payload PostgreSQL limits to 8000 bytes."""
_MAX_INCOMPLETE_FRAMES = 64
_SEND_TIMEOUT_SECONDS = 5.0
_RECONNECT_SECONDS = 0.5
log = logging.getLogger(__name__)


class Relay:
    """Sends and receives frames over the desk's own database.

    Args:
        database_url: its SQLAlchemy URL.
        channel: name of the channel; frames reach only the same channel of other processes.
    """

    def __init__(self, database_url: str, channel: str) -> None:
        from sqlalchemy import make_url

        self._dsn = make_url(database_url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._topic = f"qwendesk_{channel}"
        self._sending = asyncio.Lock()
        self._connection: AsyncConnection[Any] | None = None
        self.is_listening = False
        """Whether frames of other processes are received at this moment."""

    async def send(self, conversation: str, frame: Frame) -> None:
        """Send a frame of a conversation to the other processes; it is lost while the database is unavailable."""
        from psycopg import Error

        try:
            async with self._sending, asyncio.timeout(_SEND_TIMEOUT_SECONDS):
                connection = await self._sender()
                # in one statement, and so in one transaction: the pieces arrive together and in order
                await connection.execute(
                    "SELECT pg_notify(%s, piece) FROM unnest(%s::text[]) AS piece",
                    [self._topic, split_frame(conversation, frame)],
                )
        except (Error, OSError, TimeoutError) as error:
            log.info("A frame was not sent to other processes (%s).", type(error).__name__)

    async def listen(self, receive: Receive, stopping: asyncio.Event) -> None:
        """Receive frames of other processes until ``stopping`` is set; reconnect when the connection is lost."""
        from psycopg import AsyncConnection, Error
        from psycopg.sql import SQL, Identifier

        is_lost = False
        while not stopping.is_set():
            try:
                async with await AsyncConnection.connect(self._dsn, autocommit=True) as connection:
                    await connection.execute(SQL("LISTEN {}").format(Identifier(self._topic)))
                    self.is_listening, is_lost = True, False
                    await self._follow(connection, receive, stopping)
            except (Error, OSError) as error:
                if not is_lost:
                    log.warning("The relay lost its database connection (%s) and reconnects.", type(error).__name__)
                is_lost = True
            finally:
                self.is_listening = False
            await sleep_unless_stopped(stopping, _RECONNECT_SECONDS)

    async def aclose(self) -> None:
        """Close the connection that sends."""
        connection, self._connection = self._connection, None
        if connection:
            await connection.close()

    async def _follow(self, connection: AsyncConnection[Any], receive: Receive, stopping: asyncio.Event) -> None:
        assembler = FrameAssembler()
        while not stopping.is_set():
            async for notice in connection.notifies(timeout=1.0):
                if complete := assembler.add(notice.payload):
                    receive(*complete)

    async def _sender(self) -> AsyncConnection[Any]:
        from psycopg import AsyncConnection

        if self._connection is None or self._connection.closed:
            self._connection = await AsyncConnection.connect(self._dsn, autocommit=True)
        return self._connection


def split_frame(conversation: str, frame: Frame) -> list[str]:
    """Return a frame as payloads of notifications: ``ID:COUNT:INDEX:TEXT``."""
    text = json.dumps([conversation, frame])  # ASCII: as many bytes as characters
    name, count = uuid4().hex[:12], -(-len(text) // _MAX_PIECE_CHARS)
    return [f"{name}:{count}:{at}:{text[at * _MAX_PIECE_CHARS : (at + 1) * _MAX_PIECE_CHARS]}" for at in range(count)]


class FrameAssembler:
    """Reassembles frames from the payloads of notifications."""

    def __init__(self) -> None:
        self._incomplete = FIFOCache[str, dict[int, str]](_MAX_INCOMPLETE_FRAMES)

    def add(self, payload: str) -> tuple[str, Frame] | None:
        """Add a payload; return conversation and frame when it completes one."""
        try:
            name, count, at, text = payload.split(":", 3)
            pieces = self._incomplete.pop(name, {})
            pieces[int(at)] = text
            if len(pieces) < int(count):
                self._incomplete[name] = pieces
                return None
            conversation, frame = json.loads("".join(pieces[number] for number in sorted(pieces)))
            return str(conversation), dict(frame)
        except (TypeError, ValueError) as error:
            log.warning("A notification of another process cannot be read: %r.", error)
            return None
