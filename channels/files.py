"""Fetch files whose addresses strangers have written."""

from __future__ import annotations

from collections.abc import Sequence

from qwendesk.errors import ChannelError, InputError
from qwendesk.memory.knowledge.fetch import Fetcher
from qwendesk.messages import Attachment


async def fetch_file(url: str, largest: int, trusted: Sequence[str] = ()) -> Attachment:
    """Return the file at an address of the open internet.

    Args:
        url: the address.
        largest: bytes that the file may have.
        trusted: beginnings of addresses that may lie in one's own network.

    Raises:
        ChannelError: it cannot be had.
    """
    within = (lambda _: True) if url.startswith(tuple(trusted)) else None
    try:
        found = await Fetcher(most=largest, allowed=within).fetch(url)
    except InputError as error:
        raise ChannelError(f"The file {url!r} was not fetched: {error}.", permanent=True) from error
    family = found.mime.partition("/")[0]
    kind = family if family in ("image", "audio") else "document"
    return Attachment(kind, found.mime or "application/octet-stream", found.data, found.name)  # type: ignore[arg-type]
