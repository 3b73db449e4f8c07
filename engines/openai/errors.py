"""What an OpenAI-compatible server's failures mean, and what to do about each."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from qwendesk.engines.servers import Server, is_web_page
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
_SHOWN = 300
"""Characters of a server's message that a person is shown."""


class ContextOverflow(EngineError):
    """The conversation is too long for the model; ``tokens`` and ``limit`` where the server says them."""

    def __init__(self, text: str, tokens: int | None, limit: int | None) -> None:
        super().__init__(text)
        self.tokens, self.limit = tokens, limit


@contextmanager
def failures(server: Server, *, begun: bool = False) -> Iterator[None]:
    """Turn the SDK's errors into ours, with the next step; ``begun`` is after the answer has begun."""
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
    except openai.APIError as error:  # an error inside of a stream
        raise EngineFailed(f"{at} broke off: {_short(error.message)}") from error
    # the SDK takes a web page, or JSON of another form, for its own: that surfaces as one of these
    except (ValueError, AttributeError, TypeError, LookupError) as error:
        raise _garbage(at, server, begun=begun) from error
    except Exception as error:  # a cut stream surfaces as an error of the SDK's own HTTP library
        raise EngineFailed(f"{at} broke off: {_short(reason(error))}") from error


def _garbage(at: str, server: Server, *, begun: bool) -> EngineError:
    if begun:
        return EngineFailed(f"{at} sent garbage in the middle of its answer: ask again, or look at its log.")
    return EngineFailed(f"{at} does not answer as an OpenAI-compatible one does. {_look_at_address(server)}")


def _look_at_address(server: Server) -> str:
    return (
        "Is something else listening there? See that the address ends as the server's own manual says (mostly in "
        f"/v1), and set {server.url_setting}."
    )


def _refused(at: str, server: Server, error: APIStatusError) -> EngineError:
    message = _short(error.message)
    match error.status_code:
        case 401 | 403:
            return EngineUnavailable(f"{at} wants a key, or another one: set {server.key_setting} ({message}).")
        case 404:
            advice = "" if isinstance(error.body, dict) else f" {_look_at_address(server)}"
            return EngineUnavailable(f"{at} does not have it: {message.rstrip('.')}.{advice}")
        case 408:
            return EngineTimeout(f"{at} did not answer in time: {message}")
        case 429:
            wait = error.response.headers.get("retry-after")
            again = f"try again in {wait} s" if wait else "try again later"
            return EngineFailed(f"{at} takes no more questions now: {again} ({message}).")
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
    return message if len(message) <= _SHOWN else message[:_SHOWN] + " ..."
