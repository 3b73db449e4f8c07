"""HTTP client of the sources: small requests, and downloads that resume after an interruption."""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from qwendesk import __version__
from qwendesk.certificates import trusted_certificates
from qwendesk.errors import ConfigError, reason
from qwendesk.models.sources.base import ByteCallback, PartialFile, SourceFailed, SourceSettings
from qwendesk.proxies import proxy_errors

MAX_IDLE_ATTEMPTS = 3
"""Consecutive attempts without new data before a download fails."""
_CONNECTION_ERRORS = (httpx.TransportError, httpx.StreamError)


class SourceClient:
    """HTTP client of one pull."""

    def __init__(self, client: httpx.AsyncClient, remotes: SourceSettings) -> None:
        self._client = client
        self._remotes = remotes
        self._asking = asyncio.Semaphore(8)

    async def get(self, url: str, accept: str = "application/json") -> httpx.Response:
        """Send a GET request and return the response.

        Raises:
            SourceFailed: the request failed or timed out.
        """
        limit = self._remotes.connect_timeout
        try:
            async with self._asking, asyncio.timeout(3 * limit):
                answer = await self._client.get(
                    url, headers={"Accept": accept}, timeout=httpx.Timeout(limit, pool=None)
                )
        except (httpx.TimeoutException, TimeoutError) as error:
            raise SourceFailed(f"{host(url)} does not answer within {limit:g} s") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise SourceFailed(self._reason(url, error)) from error
        _check(answer)
        return answer

    async def json(self, url: str, accept: str = "application/json") -> Any:
        """Send a GET request and return the JSON value of the response."""
        return read_json(await self.get(url, accept))

    async def download(self, url: str, part: PartialFile, size: int | None, report: ByteCallback) -> None:
        """Append the missing bytes of the file at ``url`` to ``part`` and resume after interruptions.

        Raises:
            SourceFailed: several consecutive attempts brought no data, or the server refused.
        """
        idle, start = 0, part.size
        while size is None or part.size != size:
            before = part.size
            try:
                await self._stream(url, part, size, report)
                if size is None or part.size == size:
                    return
                raise httpx.ReadError(f"the connection ended after {part.size} of {size} bytes")
            except _CONNECTION_ERRORS as error:
                idle = 0 if part.size > before else idle + 1
                if idle >= MAX_IDLE_ATTEMPTS or (part.size == start and _unreachable(error)):
                    raise SourceFailed(self._reason(url, error)) from error
            except httpx.HTTPError as error:
                raise SourceFailed(self._reason(url, error)) from error
            await asyncio.sleep(self._remotes.retry_pause)

    async def _stream(self, url: str, part: PartialFile, size: int | None, report: ByteCallback) -> None:
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={part.size}-"} if part.size else {})
        async with self._client.stream("GET", url, headers=headers) as answer:
            if answer.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                # the part has at least the size of the file, and it may be another version
                await part.discard()
                raise httpx.ReadError("the file is shorter than what was downloaded before")
            _check(answer)
            if not _is_resumed(answer, part.size):
                await part.discard()
            async for block in answer.aiter_raw():
                await part.write(block)
                _check_length(part, size)
                report(part.size)

    def _reason(self, url: str, error: Exception) -> str:
        if isinstance(error, httpx.ReadTimeout):
            return f"{host(url)} sent nothing for {self._remotes.read_timeout:g} s"
        if isinstance(error, httpx.TimeoutException):
            return f"{host(url)} does not answer within {self._remotes.connect_timeout:g} s"
        if _unreachable(error):
            return f"{host(url)} cannot be reached ({error})"
        return f"{host(url)}: {reason(error)}"


@asynccontextmanager
async def open_client(
    remotes: SourceSettings, transport: httpx.AsyncBaseTransport | None
) -> AsyncIterator[SourceClient]:
    """Open an HTTP client with the proxies and certificates of the environment.

    Raises:
        ConfigError: a proxy or certificate of the environment cannot be used.
    """
    timeout = httpx.Timeout(remotes.read_timeout, connect=remotes.connect_timeout)
    agent = {"User-Agent": f"qwendesk/{__version__}"}
    try:
        with proxy_errors():
            client = httpx.AsyncClient(
                transport=transport, verify=_verification(), timeout=timeout, follow_redirects=True, headers=agent
            )
    except (OSError, ValueError, ImportError) as error:
        raise ConfigError(f"A certificate named by the environment cannot be used: {error}") from error
    async with client:
        yield SourceClient(client, remotes)


def host(url: str) -> str:
    """Return the host of a URL, without user name and password."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        return "an invalid address"
    return parsed.netloc.decode("ascii") or "an address without a host"


def read_json(answer: httpx.Response) -> Any:
    """Return the JSON value of a response.

    Raises:
        SourceFailed: the response is not JSON.
    """
    try:
        return answer.json()
    except ValueError as error:
        raise SourceFailed(f"{host(str(answer.url))} answers with something that is not JSON") from error


def _verification() -> ssl.SSLContext:
    """Use the certificates configured for pip, unless the variables of httpx are set."""
    bundle = os.environ.get("PIP_CERT") or os.environ.get("REQUESTS_CA_BUNDLE")
    if not bundle or os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR"):
        return trusted_certificates()
    return ssl.create_default_context(cafile=bundle)


def _unreachable(error: Exception) -> bool:
    return isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)


def _check(answer: httpx.Response) -> None:
    if answer.is_error:
        place = f"{host(str(answer.url))}{answer.url.path}"
        raise SourceFailed(f"{place} answers {answer.status_code} {answer.reason_phrase}".rstrip())


def _is_resumed(answer: httpx.Response, size: int) -> bool:
    """Return whether the response begins at byte ``size``; a server may ignore the range."""
    if not size:
        return True
    given = answer.headers.get("Content-Range", "")
    return answer.status_code == httpx.codes.PARTIAL_CONTENT and given.startswith(f"bytes {size}-")


def _check_length(part: PartialFile, size: int | None) -> None:
    if size is not None and part.size > size:
        raise SourceFailed(f"more came than the {size} bytes that {part.path.name} should have")
