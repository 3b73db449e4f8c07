"""Parse network addresses, and group them by the network that one customer of a provider has."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

_IPV6_NETWORK_BITS = 64
"""Prefix length of a network that one customer of a provider has; its hosts choose the other bits."""


def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """Return an address without its zone, an IPv4-mapped one as IPv4; None if the text is no address."""
    try:
        found = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return found.ipv4_mapped or found if isinstance(found, IPv6Address) else found


def network_of(address: IPv4Address | IPv6Address) -> str:
    """Return the network that an address counts under: an IPv4 address itself, an IPv6 address's /64."""
    if isinstance(address, IPv6Address):
        return str(IPv6Network((address, _IPV6_NETWORK_BITS), strict=False))
    return str(address)
