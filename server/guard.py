"""Limits on the web server's connections and on bytes in flight, and the order of eviction."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Literal

from qwendesk.server.addresses import TrustedProxies, peer_network
from qwendesk.server.limits import WebLimits

Phase = Literal["header", "idle", "body", "working", "leftover", "socket"]
"""State of a connection: reading a request's head, without a request, reading a body, processing, discarding the rest
of a body, or a WebSocket."""
_CHECK_INTERVAL_SECONDS = 1.0
_CLOSE_TIMEOUT_SECONDS = 10.0
"""Time limit for sending the remaining output of a closing connection, in seconds."""
_DISCARD_TIMEOUT_SECONDS = 3.0
"""Time limit for discarding the rest of a body, in seconds; meanwhile the peer can read its response."""
_MIN_COUNTED_BYTES = 16 * 1024
"""Bytes of a WebSocket below which a message does not count as begun, such as control frames."""
_FRAMING_OVERHEAD_BYTES = 2**20
"""Overhead allowed for one message beyond its maximum size, in bytes, for fragmentation."""
_NOTICE_SECONDS = 60.0
_PEER_ERRORS = ("Invalid UTF-8 sequence received from client.",)
"""Messages that uvicorn logs as errors with a traceback although the peer causes them."""
_EVICTED_FIRST: dict[Phase, int] = {"header": 0, "idle": 0, "leftover": 0, "body": 1, "socket": 2}
"""Order in which connections are evicted by phase; a connection that is processing a request is never evicted."""
log = logging.getLogger(__name__)


class LimitedLog:
    """Logs warnings that a peer can cause: each kind once a minute, with the number of omitted ones.

    Args:
        log: the logger.
    """

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._said: dict[str, float] = {}
        self._left_out: Counter[str] = Counter()

    def warn(self, text: str, *args: object) -> None:
        """Log a warning unless one of its kind was logged within the last minute."""
        if self._is_due(text):
            left_out = self._left_out.pop(text, 0)
            self._log.warning(text + (f" ({left_out} more like this)" if left_out else ""), *args)

    def filter(self, record: logging.LogRecord) -> bool:
        """Filter another logger: limit warnings, and turn errors that only a peer causes into warnings."""
        if str(record.msg) in _PEER_ERRORS:
            record.exc_info, record.levelno, record.levelname = None, logging.WARNING, "WARNING"
        return record.levelno > logging.WARNING or self._is_due(str(record.msg))

    def _is_due(self, text: str) -> bool:
        if monotonic() < self._said.get(text, 0.0):
            self._left_out[text] += 1
            return False
        self._said[text] = monotonic() + _NOTICE_SECONDS
        return True


@dataclass(slots=True, eq=False)
class ClientConnection:
    """State of one connection."""

    transport: asyncio.Transport
    peer: tuple[str, int]
    network: str
    """Network that the connection counts under; for a proxy's connection, that of the current request."""
    is_proxy: bool
    phase: Phase = "header"
    since: float = field(default_factory=monotonic)
    """Start of the phase; for a WebSocket, the time of the last message."""
    pending_bytes: int = 0
    """Bytes received and not yet processed."""
    message_since: float = 0.0
    """Time at which an incomplete WebSocket message began; 0 if there is none."""
    closing_since: float = 0.0

    def enter(self, phase: Phase) -> None:
        """Enter a phase."""
        self.phase, self.since = phase, monotonic()


class ConnectionGuard:
    """Tracks all connections, and closes those that exceed a limit.

    Args:
        limits: the limits.
        largest_message: maximum size of one WebSocket message, in bytes.
    """

    def __init__(self, limits: WebLimits, largest_message: int) -> None:
        self.limits = limits
        self.trusted = TrustedProxies(limits.trusted_proxies)
        self.limited_log = LimitedLog(log)
        self._largest_message = largest_message
        self._connections: dict[asyncio.Transport, ClientConnection] = {}
        self._by_peer: dict[tuple[str, int], ClientConnection] = {}
        self._groups: defaultdict[str, set[ClientConnection]] = defaultdict(set)
        self._pending_bytes = 0
        self._pending_by_network: Counter[str] = Counter()

    def register(self, transport: asyncio.Transport) -> ClientConnection:
        """Register a connection; beyond a limit, evict another connection or close this one."""
        if known := self._connections.get(transport):
            return known
        peer = _peer(transport)
        connection = ClientConnection(transport, peer, peer_network(peer[0]), peer[0] in self.trusted)
        self._connections[transport] = self._by_peer[peer] = connection
        self._groups[connection.network].add(connection)
        if not connection.is_proxy and len(self._groups[connection.network]) > self.limits.connections_per_address:
            self._make_room([connection.network], connection)
        if len(self._connections) > self.limits.connections:
            self._make_room(sorted(self._groups, key=lambda one: -len(self._groups[one])), connection)
        return connection

    def unregister(self, transport: asyncio.Transport) -> None:
        """Unregister a connection."""
        connection = self._connections.pop(transport, None)
        if connection is None:
            return
        self.release(connection)
        if self._by_peer.get(connection.peer) is connection:  # a new connection may have reused the peer's port
            del self._by_peer[connection.peer]
        self._leave_group(connection)

    def connection_from(self, peer: tuple[str, int] | None) -> ClientConnection | None:
        """Return the connection from an address and port."""
        return self._by_peer.get(peer) if peer else None

    def count_under(self, connection: ClientConnection, address: str) -> bool:
        """Count a proxy's connection under the client's address; return False if the address has too many."""
        if connection.transport not in self._connections:
            return False
        self._move(connection, peer_network(address))
        return len(self._groups[connection.network]) <= self.limits.connections_per_address

    def record_received(self, connection: ClientConnection, size: int) -> None:
        """Record received bytes; close a WebSocket that exceeds a limit."""
        if connection.phase == "idle":
            connection.enter("header")
        if connection.phase != "socket":
            return
        if not self.charge(connection, size):
            self.limited_log.warn("A WebSocket was closed: too many bytes are in flight.")
            self.abort(connection)
        elif connection.pending_bytes > self._largest_message + _FRAMING_OVERHEAD_BYTES:
            self.abort(connection)
        elif connection.pending_bytes > _MIN_COUNTED_BYTES and not connection.message_since:
            connection.message_since = monotonic()

    def record_processed(self, connection: ClientConnection, size: int) -> None:
        """Record that the application received a WebSocket message of that size, in bytes."""
        left = connection.pending_bytes - size
        connection.since, connection.message_since = monotonic(), 0.0
        self.release(connection)
        if left > _MIN_COUNTED_BYTES:  # the next message has begun; fewer bytes are framing overhead
            connection.message_since = connection.since
            self.charge(connection, left)

    def charge(self, connection: ClientConnection, size: int) -> bool:
        """Count bytes in flight; return False if they exceed a limit.

        If the total exceeds its limit, the largest connection of the address with the most bytes is closed.
        """
        if self._pending_by_network[connection.network] + size > self.limits.bytes_in_flight_per_address:
            return False
        while self._pending_bytes + size > self.limits.bytes_in_flight:
            greediest = self._pending_by_network.most_common(1)[0][0]
            if greediest == connection.network:
                return False
            victim = max(self._groups[greediest], key=lambda one: one.pending_bytes)
            self.limited_log.warn("A request was aborted: too many bytes are in flight.")
            self.abort(victim)
        connection.pending_bytes += size
        self._pending_bytes += size
        self._pending_by_network[connection.network] += size
        return True

    def release(self, connection: ClientConnection) -> None:
        """Stop counting the bytes of a connection."""
        self._pending_bytes -= connection.pending_bytes
        self._pending_by_network[connection.network] -= connection.pending_bytes
        if self._pending_by_network[connection.network] <= 0:
            del self._pending_by_network[connection.network]
        connection.pending_bytes = 0

    def abort(self, connection: ClientConnection) -> None:
        """Abort a connection."""
        self.unregister(connection.transport)
        connection.transport.abort()

    async def watch(self) -> None:
        """Close overdue connections every second, until cancelled."""
        while True:
            await asyncio.sleep(_CHECK_INTERVAL_SECONDS)
            self.close_overdue(monotonic())

    def close_overdue(self, now: float) -> None:
        """Close the connections that exceed a time limit."""
        for connection in list(self._connections.values()):
            if self._is_overdue(connection, now):
                self.abort(connection)

    def _is_overdue(self, connection: ClientConnection, now: float) -> bool:
        if connection.transport.is_closing():
            connection.closing_since = connection.closing_since or now
            return now - connection.closing_since > _CLOSE_TIMEOUT_SECONDS
        match connection.phase:
            case "header":
                return now - connection.since > self.limits.header_timeout
            case "leftover":
                return now - connection.since > _DISCARD_TIMEOUT_SECONDS
            case "socket":
                half = connection.message_since and now > self.limits.deadline(
                    connection.message_since, connection.pending_bytes
                )
                return bool(half) or now - connection.since > self.limits.socket_idle_timeout
        return False  # the middleware limits the time of a body, the HTTP server that of an idle connection

    def _make_room(self, networks: Sequence[str], new: ClientConnection) -> None:
        """Close the oldest evictable connection of the first network that has one, or else the new connection."""
        for network in networks:
            candidates = [
                connection
                for connection in self._groups[network]
                if connection.phase in _EVICTED_FIRST and connection is not new
            ]
            if candidates:
                self.limited_log.warn(
                    "The network %s has too many connections: they are closed, the oldest idle one first.", network
                )
                self.abort(min(candidates, key=lambda connection: (_EVICTED_FIRST[connection.phase], connection.since)))
                return
        self.limited_log.warn("A connection was refused: all others are processing requests.")
        self.abort(new)

    def _move(self, connection: ClientConnection, network: str) -> None:
        held = connection.pending_bytes
        self.release(connection)
        self._leave_group(connection)
        connection.network = network
        self._groups[network].add(connection)
        if held:
            self.charge(connection, held)

    def _leave_group(self, connection: ClientConnection) -> None:
        self._groups[connection.network].discard(connection)
        if not self._groups[connection.network]:
            del self._groups[connection.network]


def _peer(transport: asyncio.Transport) -> tuple[str, int]:
    """Return the address and port of the peer; a unique placeholder if it is already disconnected."""
    found = transport.get_extra_info("peername")
    if isinstance(found, tuple | list) and len(found) >= 2:
        return str(found[0]), int(found[1])
    return "", id(transport)
