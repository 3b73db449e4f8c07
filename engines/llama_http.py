"""HTTP client of the llama.cpp server in this process."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from qwendesk.errors import EngineError, EngineFailed


class LlamaClient:
    """Send requests to one server.

    Args:
        address: the server's address, as http://HOST:PORT.
        key: the API key that the server was started with.
    """

    def __init__(self, address: str, key: str) -> None:
        self._client = httpx.AsyncClient(
            base_url=address,
            headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
            timeout=None,
            trust_env=False,
            # the server may close an idle connection just as it is used again; a new one is cheap on loopback
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    async def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        """Return the JSON of a response.

        Raises:
            EngineError: the server refuses the request; the text says why.
            EngineFailed: the connection breaks, or the response is not JSON.
        """
        with _failures():
            response = await self._client.request(method, path, content=_encoded(body))
        if response.status_code != httpx.codes.OK:
            raise refusal(response.content)
        try:
            return json.loads(response.content)
        except ValueError as error:
            raise EngineFailed(f"llama.cpp sent garbage, {response.content[:80]!r}. Ask again.") from error

    async def lines(self, path: str, body: dict[str, Any]) -> AsyncGenerator[str, None]:
        r"""Yield the lines of a response; closing the iterator closes the connection, which stops the generation.

        Lines end at ``\n`` alone: ``httpx.Response.aiter_lines`` also cuts at characters that JSON text may contain.

        Raises:
            EngineError: the server refuses the request; the text says why.
            EngineFailed: the connection breaks.
        """
        rest = b""
        with _failures():
            async with self._client.stream("POST", path, content=_encoded(body)) as response:
                if response.status_code != httpx.codes.OK:
                    raise refusal(await response.aread())
                async for part in response.aiter_bytes():
                    *lines, rest = (rest + part).split(b"\n")
                    for line in lines:
                        yield line.decode(errors="replace")
        if rest:
            yield rest.decode(errors="replace")

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()


def refusal(body: bytes | str) -> EngineError:
    """Return the error that a refusing response describes; ``EngineFailed`` for an error of the server itself."""
    try:
        error = json.loads(body)
        error = error.get("error", error)
        code, reason = error.get("code"), error.get("message", error)
    except (ValueError, AttributeError):
        code, reason = None, repr(body[:200])
    kind = EngineFailed if isinstance(code, int) and code >= 500 else EngineError
    return kind(f"llama.cpp refused: {reason}")


def _encoded(body: dict[str, Any] | None) -> bytes | None:
    # not httpx's ``json=``, which refuses lone surrogates
    return None if body is None else json.dumps(body).encode()


@contextmanager
def _failures() -> Iterator[None]:
    try:
        yield
    except httpx.RequestError as error:
        raise EngineFailed(f"llama.cpp broke off: {error!r}. Ask again.") from error
