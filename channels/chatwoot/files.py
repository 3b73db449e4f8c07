"""Files of customers: on Chatwoot, which sends one on to where it keeps them."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urljoin, urlsplit

from qwendesk.channels.calls import Calls
from qwendesk.errors import ChannelError, InputError
from qwendesk.memory.knowledge.fetch import Address, Fetcher, is_public

_REDIRECTS = 3


class Files:
    """Fetches what lies on Chatwoot, or where Chatwoot says that it lies.

    Args:
        base_url: Chatwoot's address, which may be one of a private network; no other may.
        calls: speaks with Chatwoot.
        largest: bytes that a file may have.
        allowed: tells whether another address may be asked.
    """

    def __init__(
        self, base_url: str, calls: Calls, largest: int, allowed: Callable[[Address], bool] = is_public
    ) -> None:
        self._home = urlsplit(base_url)
        self._calls = calls
        self._largest = largest
        self._elsewhere = Fetcher(most=largest, allowed=allowed)

    async def fetch(self, url: str) -> bytes:
        """Return a file.

        Raises:
            ChannelError: it cannot be had, or lies where it is not fetched from.
        """
        if not self._is_home(url):
            raise ChannelError(f"A file lies outside of {self._home.netloc}; it is not fetched.", permanent=True)
        for _ in range(_REDIRECTS + 1):
            if not self._is_home(url):
                return await self._outside(url)
            found = await self._calls.look(url, self._largest)
            if isinstance(found, bytes):
                return found
            url = _joined(url, found)
        raise ChannelError(f"A file is sent on more than {_REDIRECTS} times; it is not fetched.", permanent=True)

    def _is_home(self, url: str) -> bool:
        try:
            parts = urlsplit(url)
        except ValueError:
            return False
        return (parts.scheme, parts.netloc) == (self._home.scheme, self._home.netloc)

    async def _outside(self, url: str) -> bytes:
        if not url.startswith(("https://", f"{self._home.scheme}://")):
            raise ChannelError("A file is sent on to an address without TLS; it is not fetched.", permanent=True)
        try:
            return (await self._elsewhere.fetch(url)).data
        except (InputError, ValueError) as error:
            raise ChannelError(f"A file was sent on, and was not to be had: {error}.", permanent=True) from error


def _joined(url: str, place: str) -> str:
    try:
        return urljoin(url, place)
    except ValueError as error:
        raise ChannelError(f"A file is sent on to what is no address: {error}.", permanent=True) from error
