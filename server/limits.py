"""How much the web server takes, of everybody and of one address."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WebLimits:
    """Limits of the web server; times in seconds, sizes in bytes."""

    connections: int = 1000
    """Open connections in all."""
    connections_per_address: int = 100
    bytes_in_flight: int = 64 * 2**20
    """Bytes of bodies and WebSocket messages that have come and are not worked off, in all."""
    bytes_in_flight_per_address: int = 32 * 2**20
    header_timeout: float = 10.0
    """For a request's head."""
    body_timeout: float = 120.0
    """For a body, and for one WebSocket message."""
    least_rate: float = 8192.0
    """Bytes a second that a body has to come with, on average after ``header_timeout``."""
    socket_idle_timeout: float = 3600.0
    """After which a WebSocket is closed over which no message goes."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses and networks whose ``X-Forwarded-For`` is believed."""

    def due(self, begun: float, received: int) -> float:
        """Return until when more of a body has to come that began then, of which so many bytes are here."""
        return begun + min(self.body_timeout, self.header_timeout + received / self.least_rate)
