"""Normalize and classify network addresses, and match trusted proxies."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network

_SITE_BITS = 64
"""Length of the IPv6 prefix of one site, within which its owner chooses addresses freely."""
_FORWARDING = ("x-forwarded-for", "forwarded", "x-real-ip", "via")


def plain_address(text: str) -> str:
    """Return an address without its zone, and an IPv4-mapped IPv6 address as IPv4."""
    found = _parsed(text)
    return str(found) if found else text


def network_of(text: str) -> str:
    """Return the network that an address counts under: an IPv4 address itself, an IPv6 address's /64."""
    found = _parsed(text)
    if isinstance(found, IPv6Address):
        return str(IPv6Network((found, _SITE_BITS), strict=False))
    return str(found) if found else text[:_SITE_BITS]


def is_loopback(text: str) -> bool:
    """Return whether an address is a loopback address."""
    found = _parsed(text)
    return bool(found and found.is_loopback)


def is_private(text: str) -> bool:
    """Return whether an address is a loopback address or in a private network."""
    found = _parsed(text)
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
        found = _parsed(address)
        return found is not None and any(found in network for network in self._networks)

    def __bool__(self) -> bool:
        return bool(self._networks)


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return found.ipv4_mapped or found if isinstance(found, IPv6Address) else found
