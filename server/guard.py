"""Limits on the web server's connections and on bytes in flight, and the order of eviction."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Literal

from qwendesk.server.addresses import TrustedProxies, network_of
from qwendesk.server.limits import WebLimits

Phase = Literal["header", "idle", "body", "working", "leftover", "socket"]
"""State of a connection: reading a request's head, without a request, reading a body, processing, discarding the rest
of a body, or a WebSocket."""
_LOOK_EVERY = 1.0
_CLOSING = 10.0
"""Time limit for sending the remaining output of a closing connection, in seconds."""
_LEFTOVER = 3.0
"""Time limit for discarding the rest of a body, in seconds; meanwhile the peer can read its response."""
_NOT_WORTH_COUNTING = 16 * 1024
"""Bytes of a WebSocket below which a message does not count as begun, such as control frames."""
_OVERHEAD = 2**20
"""Overhead allowed for one message beyond its maximum size, in bytes, for fragmentation."""
_NOTICE_SECONDS = 60.0
_FAULTS_OF_PEERS = ("Invalid UTF-8 sequence received from client.",)
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
        if str(record.msg) in _FAULTS_OF_PEERS:
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
    held: int = 0
    """Bytes received and not yet processed."""
    half_since: float = 0.0
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
        self.notices = LimitedLog(log)
        self._largest_message = largest_message
        self._lines: dict[asyncio.Transport, ClientConnection] = {}
        self._by_peer: dict[tuple[str, int], ClientConnection] = {}
        self._groups: defaultdict[str, set[ClientConnection]] = defaultdict(set)
        self._held = 0
        self._held_by: Counter[str] = Counter()

    def opened(self, transport: asyncio.Transport) -> ClientConnection:
        """Register a connection; beyond a limit, evict another connection or close this one."""
        if known := self._lines.get(transport):
            return known
        peer = _peer(transport)
        line = ClientConnection(transport, peer, network_of(peer[0]), peer[0] in self.trusted)
        self._lines[transport] = self._by_peer[peer] = line
        self._groups[line.network].add(line)
        if not line.is_proxy and len(self._groups[line.network]) > self.limits.connections_per_address:
            self._make_room([line.network], line)
        if len(self._lines) > self.limits.connections:
            self._make_room(sorted(self._groups, key=lambda one: -len(self._groups[one])), line)
        return line

    def closed(self, transport: asyncio.Transport) -> None:
        """Unregister a connection."""
        line = self._lines.pop(transport, None)
        if line is None:
            return
        self.release(line)
        if self._by_peer.get(line.peer) is line:  # a new connection may have reused the peer's port
            del self._by_peer[line.peer]
        self._leave_group(line)

    def line_of(self, peer: tuple[str, int] | None) -> ClientConnection | None:
        """Return the connection from an address and port."""
        return self._by_peer.get(peer) if peer else None

    def attribute(self, line: ClientConnection, address: str) -> bool:
        """Count a proxy's connection under the client's address; return False if the address has too many."""
        if line.transport not in self._lines:
            return False
        self._move(line, network_of(address))
        return len(self._groups[line.network]) <= self.limits.connections_per_address

    def received(self, line: ClientConnection, size: int) -> None:
        """Record received bytes; close a WebSocket that exceeds a limit."""
        if line.phase == "idle":
            line.enter("header")
        if line.phase != "socket":
            return
        if not self.charge(line, size):
            self.notices.warn("A message over a WebSocket was cut off: too much is on its way.")
            self.cut(line)
        elif line.held > self._largest_message + _OVERHEAD:
            self.cut(line)
        elif line.held > _NOT_WORTH_COUNTING and not line.half_since:
            line.half_since = monotonic()

    def worked_off(self, line: ClientConnection, size: int) -> None:
        """Record that the application received a WebSocket message of that size, in bytes."""
        left = line.held - size
        line.since, line.half_since = monotonic(), 0.0
        self.release(line)
        if left > _NOT_WORTH_COUNTING:  # the next message has begun; fewer bytes are framing overhead
            line.half_since = line.since
            self.charge(line, left)

    def charge(self, line: ClientConnection, size: int) -> bool:
        """Count bytes in flight; return False if they exceed a limit.

        If the total exceeds its limit, the largest connection of the address with the most bytes is closed.
        """
        if self._held_by[line.network] + size > self.limits.bytes_in_flight_per_address:
            return False
        while self._held + size > self.limits.bytes_in_flight:
            greediest = self._held_by.most_common(1)[0][0]
            if greediest == line.network:
                return False
            victim = max(self._groups[greediest], key=lambda one: one.held)
            self.notices.warn("A body was cut off: too much is on its way.")
            self.cut(victim)
        line.held += size
        self._held += size
        self._held_by[line.network] += size
        return True

    def release(self, line: ClientConnection) -> None:
        """Stop counting the bytes of a connection."""
        self._held -= line.held
        self._held_by[line.network] -= line.held
        if self._held_by[line.network] <= 0:
            del self._held_by[line.network]
        line.held = 0

    def cut(self, line: ClientConnection) -> None:
        """Abort a connection."""
        self.closed(line.transport)
        line.transport.abort()

    async def watch(self) -> None:
        """Close overdue connections every second, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            self.look(monotonic())

    def look(self, now: float) -> None:
        """Close the connections that exceed a time limit."""
        for line in list(self._lines.values()):
            if self._is_overdue(line, now):
                self.cut(line)

    def _is_overdue(self, line: ClientConnection, now: float) -> bool:
        if line.transport.is_closing():
            line.closing_since = line.closing_since or now
            return now - line.closing_since > _CLOSING
        match line.phase:
            case "header":
                return now - line.since > self.limits.header_timeout
            case "leftover":
                return now - line.since > _LEFTOVER
            case "socket":
                half = line.half_since and now > self.limits.due(line.half_since, line.held)
                return bool(half) or now - line.since > self.limits.socket_idle_timeout
        return False  # the middleware limits the time of a body, the HTTP server that of an idle connection

    def _make_room(self, networks: Sequence[str], new: ClientConnection) -> None:
        """Close the oldest evictable connection of the first network that has one, or else the new connection."""
        for network in networks:
            candidates = [line for line in self._groups[network] if line.phase in _EVICTED_FIRST and line is not new]
            if candidates:
                self.notices.warn("Connections of %s are closed, the oldest idle one first: it has too many.", network)
                self.cut(min(candidates, key=lambda line: (_EVICTED_FIRST[line.phase], line.since)))
                return
        self.notices.warn("A connection was refused: all others are at work.")
        self.cut(new)

    def _move(self, line: ClientConnection, network: str) -> None:
        held = line.held
        self.release(line)
        self._leave_group(line)
        line.network = network
        self._groups[network].add(line)
        if held:
            self.charge(line, held)

    def _leave_group(self, line: ClientConnection) -> None:
        self._groups[line.network].discard(line)
        if not self._groups[line.network]:
            del self._groups[line.network]


def _peer(transport: asyncio.Transport) -> tuple[str, int]:
    """Return the address and port of the peer; a unique placeholder if it is already disconnected."""
    found = transport.get_extra_info("peername")
    if isinstance(found, tuple | list) and len(found) >= 2:
        return str(found[0]), int(found[1])
    return "", id(transport)
