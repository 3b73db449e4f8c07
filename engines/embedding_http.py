"""Asking a server for embeddings, with its errors as ours."""

from __future__ import annotations

from typing import Any

import httpx

from qwendesk.errors import EngineError, EngineTimeout, EngineUnavailable, reason


async def post(client: httpx.AsyncClient, path: str, body: dict[str, Any], *, server: str, advice: str) -> Any:
    """Send a request and return the answer's JSON object.

    Raises:
        EngineError: there is no such answer; the text names the server and says what to do.
    """
    try:
        response = await client.post(path, json=body)
    except httpx.TimeoutException as error:
        raise EngineTimeout(f"{server} did not answer in time.") from error
    except httpx.TransportError as error:
        raise EngineUnavailable(f"{server} cannot be reached ({reason(error)}): start it.") from error
    if response.status_code == httpx.codes.NOT_FOUND:
        raise EngineUnavailable(f"{server} does not have the model: {advice}.")
    if not response.is_success:
        raise EngineError(f"{server} refused ({response.status_code}): {_reason(response)}")
    try:
        answer = response.json()
    except ValueError as error:
        raise EngineError(f"{server} sent garbage: {response.text[:80]!r}") from error
    if not isinstance(answer, dict):
        raise EngineError(f"{server} sent garbage: {response.text[:80]!r}")
    return answer


def _reason(response: httpx.Response) -> str:
    try:
        error = response.json()["error"]
        return str(error.get("message", error) if isinstance(error, dict) else error)
    except (ValueError, KeyError, TypeError):
        return response.text[:200]
