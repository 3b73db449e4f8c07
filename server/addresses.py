"""Normalize and classify network addresses, and match trusted proxies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import ip_network

from qwendesk.network_addresses import network_of, parse_address

_MAX_NAME_CHARS = 64
"""Characters of a peer's name that is no address."""
_FORWARDING = ("x-forwarded-for", "forwarded", "x-real-ip", "via")


def plain_address(text: str) -> str:
    """Return an address without its zone, and an IPv4-mapped IPv6 address as IPv4."""
    found = parse_address(text)
    return str(found) if found else text


def peer_network(text: str) -> str:
    """Return the network that a peer counts under; the beginning of its name if it has no address."""
    found = parse_address(text)
    return network_of(found) if found else text[:_MAX_NAME_CHARS]


def is_loopback(text: str) -> bool:
    """Return whether an address is a loopback address."""
    found = parse_address(text)
    return bool(found and found.is_loopback)


def is_private(text: str) -> bool:
    """Return whether an address is a loopback address or in a private network."""
    found = parse_address(text)
    return bool(found and found.is_private)


def is_forwarded(headers: Mapping[str, str]) -> bool:
    """Return whether a proxy forwarded a request."""
    return any(name in headers for name in _FORWARDING)


class TrustedProxies:
    """Addresses and networks of proxies.

    Args:
        networks: addresses, or networks in CIDR notation.

    Raises:
        ValueError: an entry is neither.
    """

    def __init__(self, networks: Iterable[str]) -> None:
        self._networks = [ip_network(text, strict=False) for text in networks]

    def __contains__(self, address: str) -> bool:
        found = parse_address(address)
        return found is not None and any(found in network for network in self._networks)

    def __bool__(self) -> bool:
        return bool(self._networks)
