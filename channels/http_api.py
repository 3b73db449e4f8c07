"""Call a platform's HTTP API; turn failures into ``ChannelError``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from qwendesk.certificates import trusted_certificates
from qwendesk.errors import ChannelError, reason
from qwendesk.proxies import proxy_errors
from qwendesk.safe_fetch import parse_retry_after

_TIMEOUT_SECONDS = 20.0
_PERMANENT_STATUSES = {401, 403, 404, 410}
_RETRY_STATUSES = {408, 409, 423, 425, 429}


class HttpApi:
    """HTTP client of one platform.

    Args:
        title: the platform's name, for errors.
        advice: what to do if the credentials are rejected.
    """

    def __init__(self, title: str, advice: str) -> None:
        self._title = title
        self._advice = advice
        self._client: httpx.AsyncClient | None = None

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Any:
        """Post a body and return the JSON of the response; None if it has none.

        Raises:
            ChannelError: the request failed.
        """
        answer = await self._asked("POST", url, content=body, headers=dict(headers))
        try:
            return answer.json()
        except ValueError:
            return None

    async def get(self, url: str, headers: Mapping[str, str]) -> Any:
        """Return the JSON at a URL.

        Raises:
            ChannelError: the request failed.
        """
        return (await self._asked("GET", url, headers=dict(headers))).json()

    async def fetch(self, url: str, largest: int, headers: Mapping[str, str] | None = None) -> bytes:
        """Download a file without following redirects.

        Raises:
            ChannelError: the request failed, was redirected, or the file is larger than ``largest`` bytes.
        """
        found = await self.fetch_or_redirect(url, largest, headers)
        if isinstance(found, str):
            raise ChannelError(f"A file on {self._title} is redirected; redirects are not followed.", permanent=True)
        return found

    async def fetch_or_redirect(self, url: str, largest: int, headers: Mapping[str, str] | None = None) -> bytes | str:
        """Download a file, or return the URL of a redirect.

        Raises:
            ChannelError: the request failed, or the file is larger than ``largest`` bytes.
        """
        try:
            async with self._pool().stream("GET", url, headers=dict(headers or {})) as answer:
                if answer.has_redirect_location:
                    return str(answer.headers["location"])
                self._check(answer)
                data = bytearray()
                async for chunk in answer.aiter_bytes():
                    data += chunk
                    if len(data) > largest:
                        raise ChannelError(f"A file on {self._title} is larger than {largest:,} bytes.", permanent=True)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._unreachable(error) from error
        return bytes(data)

    async def post_status(self, url: str, headers: Mapping[str, str]) -> int:
        """Send an empty POST and return the status of the response.

        Raises:
            ChannelError: there is no response.
        """
        try:
            return (await self._pool().post(url, headers=dict(headers))).status_code
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._unreachable(error) from error

    async def aclose(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client:
            await client.aclose()

    async def _asked(self, method: str, url: str, **kwargs: Any) -> httpx.Response:
        try:
            answer = await self._pool().request(method, url, **kwargs)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._unreachable(error) from error
        self._check(answer)
        return answer

    def _pool(self) -> httpx.AsyncClient:
        if self._client is None:
            with proxy_errors():
                self._client = httpx.AsyncClient(timeout=_TIMEOUT_SECONDS, verify=trusted_certificates())
        return self._client

    def _check(self, answer: httpx.Response) -> None:
        code = answer.status_code
        if code < 300:
            return
        advice = f" {self._advice}" if code in (401, 403) else ""
        raise ChannelError(
            f"{self._title} answered {code}.{advice}",
            retry_after=parse_retry_after(answer.headers.get("Retry-After", "")),
            permanent=code in _PERMANENT_STATUSES or (code < 500 and code not in _RETRY_STATUSES),
        )

    def _unreachable(self, error: Exception) -> ChannelError:
        return ChannelError(f"{self._title} cannot be reached: {reason(error)}.")
