"""Fetch web pages, and post to web addresses, without access to private networks (SSRF protection), unless allowed.

A name is resolved once, all its addresses are looked at, and the connection goes to the address that was looked at:
a name that changes its mind in between, and a redirect to another place, get nowhere.
"""

from __future__ import annotations

import asyncio
import re
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import unquote, urljoin, urlsplit

import httpx

from qwendesk.certificates import trusted_certificates
from qwendesk.errors import InputError, reason

Address = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Awaitable[list[str]]]

_SPECIAL_IPV4 = [
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",
        "100.64.0.0/10",  # carriers' address translation, some clouds' metadata
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local, clouds' metadata
        "172.16.0.0/12",
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays, deprecated
        "192.168.0.0/16",
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
    )
]
"""IANA's special-purpose IPv4 ranges, listed because ``is_global`` differs between Python 3.11 and 3.14."""
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_SPECIAL_IPV6 = [
    IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments: Teredo, benchmarks, ORCHID
        "2001:db8::/32",  # documentation
        "3fff::/20",  # documentation
    )
]
"""IANA special-purpose ranges inside global unicast; addresses outside that range are not public."""
_WRAPPING = [IPv6Network(text) for text in ("::ffff:0:0/96", "64:ff9b::/96")]
"""Prefixes before an IPv4 address: mapped (RFC 4291), NAT64 (RFC 6052)."""

REDIRECTS = 5
_CHARSET = re.compile(r"""charset\s*=\s*["']?([\w.:-]+)""", re.IGNORECASE)
_AGENT = "qwendesk"
_MAX_HEADER_CHARS = 64
_MAX_RETRY_AFTER_SECONDS = 24 * 3600.0


class AddressRefused(InputError):
    """An address is none, or may not be asked; another try ends in the same way."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A fetched page and its final URL."""

    url: str
    data: bytes
    mime: str
    name: str
    """Last part of the URL's path."""
    encoding: str = ""
    """Encoding declared by the server."""


@dataclass(frozen=True, slots=True)
class Answered:
    """A server's answer, whatever its status."""

    status: int
    body: bytes
    retry_after: str
    """The header ``Retry-After``; empty: there is none."""


@dataclass(frozen=True, slots=True)
class Posted:
    """A server's answer to a posted body."""

    status: int
    body: str
    """The beginning of an answer that means a failure."""
    retry_after: str
    """The header ``Retry-After``; empty: there is none."""


class Fetcher:
    """Fetches single pages, and posts to single addresses.

    Args:
        most: bytes that a page may have.
        time_limit: seconds that one page may take.
        allowed: tells whether an address may be asked; the public ones by default.
        resolve: finds a name's addresses.
        remedy: what allows private addresses, for the error's text.
    """

    def __init__(
        self,
        *,
        most: int,
        time_limit: float = 30.0,
        allowed: Callable[[Address], bool] | None = None,
        resolve: Resolve | None = None,
        remedy: str = "--private allows that",
    ) -> None:
        self._most = most
        self._remedy = remedy
        self._time_limit = time_limit
        self._allowed = allowed or is_public
        self._resolve = resolve or resolved

    async def fetch(self, url: str) -> Fetched:
        """Return the page at a URL.

        Raises:
            InputError: it may not be asked, does not answer, or sends too much.
        """
        async with self._asking() as client:
            return await self._follow(client, url)

    async def post(self, url: str, content: bytes, headers: Mapping[str, str]) -> Posted:
        """Post a body and return the server's answer, whatever its status; a redirect is not followed.

        Raises:
            InputError: the address may not be asked or does not answer.
        """
        async with self._asking() as client:
            request = await self._request(client, url, "POST", content, headers)
            response = await client.send(request, stream=True)
            try:
                body = b"" if response.is_success else await _beginning(response, self._most)
            finally:
                await response.aclose()
        text = body.decode("utf-8", "replace")
        return Posted(response.status_code, text, response.headers.get("retry-after", ""))

    async def ask(
        self, url: str, headers: Mapping[str, str], *, method: str = "GET", content: bytes | None = None
    ) -> Answered:
        """Return a server's whole answer, whatever its status; a redirect is not followed, as it would get the headers.

        Raises:
            InputError: the address may not be asked, does not answer, or sends too much.
        """
        async with self._asking() as client:
            response = await client.send(await self._request(client, url, method, content, headers), stream=True)
            try:
                body = await _beginning(response, self._most + 1)
            finally:
                await response.aclose()
        if len(body) > self._most:
            raise InputError(f"the answer has more than {self._most / 1e6:,.0f} MB")
        return Answered(response.status_code, body, response.headers.get("retry-after", ""))

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[httpx.AsyncClient]:
        """Yield a client for one request.

        Raises:
            InputError: the server does not answer, or not in time.
        """
        try:
            async with asyncio.timeout(self._time_limit), _client() as client:
                yield client
        except TimeoutError:
            raise InputError(f"the server took longer than {self._time_limit:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise InputError(f"the server cannot be reached ({reason(error)})") from error

    async def _follow(self, client: httpx.AsyncClient, url: str) -> Fetched:
        for _ in range(REDIRECTS + 1):
            request = await self._request(client, url)
            response = await client.send(request, stream=True)
            try:
                if not response.has_redirect_location:
                    return await self._taken(url, response)
                url = urljoin(url, response.headers["location"])
            finally:
                await response.aclose()
        raise InputError(f"the server redirects more than {REDIRECTS} times")

    async def _request(
        self,
        client: httpx.AsyncClient,
        url: str,
        method: str = "GET",
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> httpx.Request:
        parts = urlsplit(url)
        host = parts.hostname
        if parts.scheme not in ("http", "https") or not host:
            raise AddressRefused(f"{url!r} is no web address; http:// and https:// can be fetched")
        try:
            port = parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError:
            raise AddressRefused(f"{url!r} has no valid port") from None
        address = await self._address(host, port)
        # the Host header and the certificate use the name; the connection uses the checked address
        pinned = httpx.URL(url).copy_with(host=str(address), username=None, password=None, fragment=None)
        named = {**(headers or {}), "host": parts.netloc.rpartition("@")[2]}
        return client.build_request(method, pinned, content=content, headers=named, extensions={"sni_hostname": host})

    async def _address(self, host: str, port: int) -> Address:
        try:
            found = [ip_address(text.partition("%")[0]) for text in await self._resolve(host, port)]
        except (OSError, UnicodeError) as error:
            raise InputError(f"the name {host!r} is not known") from error
        refused = next((address for address in found if not self._allowed(address)), None)
        if refused or not found:
            raise AddressRefused(f"{host!r} is the address {refused} of a private network; {self._remedy}")
        return found[0]

    async def _taken(self, url: str, response: httpx.Response) -> Fetched:
        if not response.is_success:
            raise InputError(f"the server answers {response.status_code} {response.reason_phrase}".rstrip())
        data = bytearray()
        async for piece in response.aiter_bytes(64 * 1024):
            data += piece
            if len(data) > self._most:
                raise InputError(f"the page has more than {self._most / 1e6:,.0f} MB")
        mime, encoding = mime_parts(response.headers.get("content-type", ""))
        name = unquote(urlsplit(url).path.rstrip("/").rpartition("/")[2])
        return Fetched(url, bytes(data), mime, name, encoding)


async def _beginning(response: httpx.Response, most: int) -> bytes:
    """Return at most so many bytes of a response."""
    data = bytearray()
    async for piece in response.aiter_bytes(most):
        data += piece
        if len(data) >= most:
            break
    return bytes(data[:most])


def is_public(address: Address) -> bool:
    """Return whether an address belongs to the public internet.

    An IPv4 address that is wrapped into an IPv6 address (mapped, compatible, 6to4, NAT64) is judged itself.
    """
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _SPECIAL_IPV4)
    if (inner := _wrapped(address)) is not None:
        return is_public(inner)
    return address in _GLOBAL_UNICAST and not any(address in network for network in _SPECIAL_IPV6)


def _wrapped(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address embedded in an IPv6 address, or None."""
    low = IPv4Address(address.packed[12:])
    return next((low for network in _WRAPPING if address in network), address.sixtofour)


def _client() -> httpx.AsyncClient:
    # without the environment's proxy, which would resolve the name itself
    return httpx.AsyncClient(
        verify=trusted_certificates(),
        follow_redirects=False,
        trust_env=False,
        headers={"user-agent": _AGENT},
        timeout=30,
    )


async def resolved(host: str, port: int) -> list[str]:
    """Return the addresses of a name from the system's resolver."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def parse_retry_after(said: str, now: float | None = None) -> float | None:
    """Return the seconds to wait by a ``Retry-After`` header, given in seconds or as a date; None if it is neither."""
    said = said.strip()[:_MAX_HEADER_CHARS]
    if said.isascii() and said.isdecimal():
        return min(float(said), _MAX_RETRY_AFTER_SECONDS)
    try:
        until = parsedate_to_datetime(said)
    except (TypeError, ValueError, OverflowError):
        return None
    wait = until.replace(tzinfo=until.tzinfo or UTC).timestamp() - (time.time() if now is None else now)
    return min(max(0.0, wait), _MAX_RETRY_AFTER_SECONDS)


def mime_parts(mime: str) -> tuple[str, str]:
    """Return MIME type and charset of a content type; missing parts are empty."""
    kind, _, rest = mime.partition(";")
    found = _CHARSET.search(rest)
    return kind.strip().lower(), found[1] if found else ""
