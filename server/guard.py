"""Connections and bytes in flight of the web server: how many there may be, and which goes first."""

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
"""What a connection does: its request begins, none is there, its body comes, it is answered, the rest of a body comes
that nobody reads, or it is a WebSocket."""
_LOOK_EVERY = 1.0
_CLOSING = 10.0
"""Seconds that a peer has to read what is left when its connection is closed."""
_LEFTOVER = 3.0
"""Seconds for the rest of a body that is not read, so that the peer reads its answer before the end."""
_NOT_WORTH_COUNTING = 16 * 1024
"""Bytes of a WebSocket without a whole message, pings and the like, that are no message half sent."""
_OVERHEAD = 2**20
"""Bytes that a message may take beyond its own size, by being sent in pieces."""
_NOTICE_SECONDS = 60.0
_FAULTS_OF_PEERS = ("Invalid UTF-8 sequence received from client.",)
"""Messages that uvicorn logs as errors with a traceback although the peer alone causes them."""
_EVICTED_FIRST: dict[Phase, int] = {"header": 0, "idle": 0, "leftover": 0, "body": 1, "socket": 2}
"""The order in which phases are given up for a new connection; one that is being answered never is."""
log = logging.getLogger(__name__)


class LimitedLog:
    """Logs warnings that a peer can cause: each kind once a minute, with the number left out.

    Args:
        log: the log.
    """

    def __init__(self, log: logging.Logger) -> None:
        self._log = log
        self._said: dict[str, float] = {}
        self._left_out: Counter[str] = Counter()

    def warn(self, text: str, *args: object) -> None:
        """Log a warning unless the last minute had one of this kind."""
        if self._is_due(text):
            left_out = self._left_out.pop(text, 0)
            self._log.warning(text + (f" ({left_out} more like this)" if left_out else ""), *args)

    def filter(self, record: logging.LogRecord) -> bool:
        """Filter another logger: warnings are limited, and errors that a peer alone causes become warnings."""
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
    """One connection."""

    transport: asyncio.Transport
    peer: tuple[str, int]
    network: str
    """What it is counted under; of a proxy's connection, that of its present request."""
    is_proxy: bool
    phase: Phase = "header"
    since: float = field(default_factory=monotonic)
    """When the phase began; of a WebSocket, when a message last went over it."""
    held: int = 0
    """Bytes that have come and are not worked off yet."""
    half_since: float = 0.0
    """When a WebSocket's message began that is not whole yet; 0: none is."""
    closing_since: float = 0.0

    def enter(self, phase: Phase) -> None:
        """Begin a phase."""
        self.phase, self.since = phase, monotonic()


class ConnectionGuard:
    """Knows every connection, and closes what takes too long or too much.

    Args:
        limits: how much there may be.
        largest_message: bytes of one WebSocket message.
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
        """Take a connection in; one too many makes another one go, or goes itself."""
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
        """Let a connection go."""
        line = self._lines.pop(transport, None)
        if line is None:
            return
        self.release(line)
        if self._by_peer.get(line.peer) is line:  # a peer may have taken the same port again
            del self._by_peer[line.peer]
        self._leave_group(line)

    def line_of(self, peer: tuple[str, int] | None) -> ClientConnection | None:
        """Return the connection from an address and port."""
        return self._by_peer.get(peer) if peer else None

    def attribute(self, line: ClientConnection, address: str) -> bool:
        """Count a proxy's connection under the address it speaks for; False where that one has too many."""
        if line.transport not in self._lines:
            return False
        self._move(line, network_of(address))
        return len(self._groups[line.network]) <= self.limits.connections_per_address

    def received(self, line: ClientConnection, size: int) -> None:
        """Note bytes that have come."""
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
        """Note that a WebSocket's message of so many bytes was taken, and nothing of it is held any more."""
        left = line.held - size
        line.since, line.half_since = monotonic(), 0.0
        self.release(line)
        if left > _NOT_WORTH_COUNTING:  # the next one has begun to come; less than that is what pieces cost
            line.half_since = line.since
            self.charge(line, left)

    def charge(self, line: ClientConnection, size: int) -> bool:
        """Count bytes in flight; False where they are too many.

        Where they are too many in all, the address that has most of them loses its largest connection.
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
        """Forget the bytes of a connection."""
        self._held -= line.held
        self._held_by[line.network] -= line.held
        if self._held_by[line.network] <= 0:
            del self._held_by[line.network]
        line.held = 0

    def cut(self, line: ClientConnection) -> None:
        """End a connection at once."""
        self.closed(line.transport)
        line.transport.abort()

    async def watch(self) -> None:
        """Look for connections that take too long, until cancelled."""
        while True:
            await asyncio.sleep(_LOOK_EVERY)
            self.look(monotonic())

    def look(self, now: float) -> None:
        """End the connections that take too long."""
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
        return False  # a body is looked after where it is read, a connection without a request by the server

    def _make_room(self, networks: Sequence[str], new: ClientConnection) -> None:
        """Close the oldest idle connection of the first of these that has one, or else the new one."""
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
    """Return address and port; of a peer that is gone already, a name that no other one has."""
    found = transport.get_extra_info("peername")
    if isinstance(found, tuple | list) and len(found) >= 2:
        return str(found[0]), int(found[1])
    return "", id(transport)
