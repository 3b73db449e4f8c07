"""Convert failures of an OpenAI-compatible server to engine errors with the next step."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from qwendesk.engines.servers import ServerEntry, is_web_page
from qwendesk.errors import EngineError, EngineFailed, EngineTimeout, EngineUnavailable, QwendeskError, reason

if TYPE_CHECKING:
    from openai import APIStatusError

_OVERFLOW = re.compile(
    r"context (length|size|window)|context_length|exceed_context|maximum model length|input length|longer than the",
    re.I,
)
_TOKENS = re.compile(
    r"(\d+) in the messages|(\d+) tokens from the input|has (\d+) input tokens|resulted in (\d+) tokens"
    r"|request \((\d+) tokens|input \((\d+) tokens|\(length (\d+)\)"
)
_LIMIT = re.compile(r"(?:context length|context size|model length)(?: is| of)?\W{1,3}(\d+)|context size \((\d+)")
_MAX_REASON_CHARS = 300
"""Characters of a server's message that are shown."""


class ContextOverflow(EngineError):
    """The conversation is too long for the model; ``tokens`` and ``limit`` if the server reports them."""

    def __init__(self, text: str, tokens: int | None, limit: int | None) -> None:
        super().__init__(text)
        self.tokens, self.limit = tokens, limit


@contextmanager
def openai_errors(server: ServerEntry, *, begun: bool = False) -> Iterator[None]:
    """Convert the SDK's errors.

    Args:
        server: the server.
        begun: whether the answer has begun.

    Raises:
        EngineError: the matching subclass, with the next step.
    """
    import openai

    at = f"The server at {server.url!r}"
    try:
        yield
    except QwendeskError:
        raise
    except openai.APITimeoutError as error:
        raise EngineTimeout(f"{at} did not answer in time.") from error
    except openai.APIConnectionError as error:
        if begun:
            raise EngineFailed(f"{at} broke off: {reason(error.__cause__ or error)}") from error
        raise EngineUnavailable(
            f"No server answers at {server.url!r}: start it, or set {server.url_setting} "
            f"({reason(error.__cause__ or error)})."
        ) from error
    except openai.APIStatusError as error:
        raise _refused(at, server, error) from error
    except openai.APIError as error:  # an error inside a stream
        raise EngineFailed(f"{at} broke off: {_short(error.message)}") from error
    # raised by the SDK for a web page or for JSON of another structure
    except (ValueError, AttributeError, TypeError, LookupError) as error:
        raise _malformed(at, server, begun=begun) from error
    except Exception as error:  # a broken stream raises errors of the SDK's HTTP library
        raise EngineFailed(f"{at} broke off: {_short(reason(error))}") from error


def _malformed(at: str, server: ServerEntry, *, begun: bool) -> EngineError:
    if begun:
        return EngineFailed(f"{at} sent a malformed piece in the middle of its answer: ask again, or look at its log.")
    return EngineFailed(f"{at} does not answer like an OpenAI-compatible server. {_check_address(server)}")


def _check_address(server: ServerEntry) -> str:
    return (
        "Another program may be listening there. Check that the address ends as the server's manual says (mostly in "
        f"/v1), and set {server.url_setting}."
    )


def _refused(at: str, server: ServerEntry, error: APIStatusError) -> EngineError:
    message = _short(error.message)
    match error.status_code:
        case 401 | 403:
            return EngineUnavailable(f"{at} needs a key, or another one: set {server.key_setting} ({message}).")
        case 404:
            advice = "" if isinstance(error.body, dict) else f" {_check_address(server)}"
            return EngineUnavailable(f"{at} does not have it: {message.rstrip('.')}.{advice}")
        case 408:
            return EngineTimeout(f"{at} did not answer in time: {message}")
        case 429:
            wait = error.response.headers.get("retry-after")
            again = f"try again in {wait} s" if wait else "try again later"
            return EngineFailed(f"{at} accepts no more requests now: {again} ({message}).")
        case status if status >= 500:
            return EngineFailed(f"{at} failed ({status}): look at its log ({message}).")
    text = f"{message} {json.dumps(error.body)}"
    if error.status_code in (400, 413, 422) and _OVERFLOW.search(text):
        return ContextOverflow(f"{at} refused: {message}", _tokens(error.body, text), _limit(error.body, text))
    return EngineError(f"{at} refused: {message}")


def _tokens(body: Any, text: str) -> int | None:
    told = body.get("n_prompt_tokens") if isinstance(body, dict) else None
    return told if isinstance(told, int) else _number(_TOKENS, text)


def _limit(body: Any, text: str) -> int | None:
    told = body.get("n_ctx") if isinstance(body, dict) else None
    return told if isinstance(told, int) else _number(_LIMIT, text)


def _number(pattern: re.Pattern[str], text: str) -> int | None:
    found = pattern.search(text)
    return next((int(group) for group in found.groups() if group), None) if found else None


def _short(message: str) -> str:
    if is_web_page(message):
        return "it sent a web page"
    return message if len(message) <= _MAX_REASON_CHARS else message[:_MAX_REASON_CHARS] + " ..."
