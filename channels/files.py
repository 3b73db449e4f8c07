"""Fetch files whose addresses strangers have written."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

from qwendesk.errors import ChannelError, InputError
from qwendesk.memory.knowledge.fetch import Address, Fetched, Fetcher, is_public, resolved
from qwendesk.messages import Attachment, kind_of

_PORTS = {"http": 80, "https": 443}


async def fetch_file(url: str, largest: int, trusted: Sequence[str] = ()) -> Attachment:
    """Return the file at an address of the open internet.

    Args:
        url: the address; it may be all that one needs to have the file, so it is told to nobody.
        largest: bytes that the file may have.
        trusted: addresses below which a file may lie in one's own network; where it sends on to may not.

    Raises:
        ChannelError: it cannot be had.
    """
    is_trusted = url.startswith(tuple(start.rstrip("/") + "/" for start in trusted))
    try:
        found = await _found(url, largest, is_trusted)
    except InputError as error:
        reason = str(error).replace(repr(url), "that")
        raise ChannelError(f"A file on {_host(url)!r} was not fetched: {reason}.", permanent=True) from error
    except ValueError as error:
        raise ChannelError("A file was not fetched: what was written is no address.", permanent=True) from error
    return Attachment(kind_of(found.mime), found.mime or "application/octet-stream", found.data, found.name)


async def _found(url: str, largest: int, trusted: bool) -> Fetched:
    if not trusted:
        return await Fetcher(most=largest).fetch(url)
    if ".." in unquote(urlsplit(url).path).replace("\\", "/").split("/"):
        raise InputError("its address leads out of the trusted one")
    home = _Home(url)
    return await Fetcher(most=largest, allowed=home.allows, resolve=home.resolve).fetch(url)


class _Home:
    """Lets one server lie in one's own network, and no other that it sends on to."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._home = parts.hostname, parts.port or _PORTS.get(parts.scheme)
        self._is_home = False

    async def resolve(self, host: str, port: int) -> list[str]:
        """Return a name's addresses, which are asked about next."""
        self._is_home = (host, port) == self._home
        return await resolved(host, port)

    def allows(self, address: Address) -> bool:
        """Tell whether an address of the name that was resolved last may be asked."""
        return self._is_home or is_public(address)


def _host(url: str) -> str:
    return urlsplit(url).hostname or "?"
