"""Convert failures of an Ollama server to engine errors with the next step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from qwendesk.engines.servers import is_web_page
from qwendesk.errors import EngineError, EngineFailed, EngineTimeout, EngineUnavailable, reason
from qwendesk.proxies import proxy_errors

_MAX_REASON_CHARS = 300
"""Characters of a server's message that are shown; a proxy can send a whole page."""


class OllamaRefused(EngineError):
    """The server does not support a feature for this model, such as tools or thinking."""


@contextmanager
def ollama_errors(host: str, tag: str = "") -> Iterator[None]:
    """Convert the client's errors.

    Raises:
        EngineError: the matching subclass, with the next step.
    """
    import httpx

    with proxy_errors():  # importing the library makes a client
        import ollama

    try:
        yield
    except (ConnectionError, httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise EngineUnavailable(
            f"No Ollama answers at {host!r}: start it with 'ollama serve', or set OLLAMA_HOST."
        ) from error
    except (httpx.TimeoutException, TimeoutError) as error:
        raise EngineTimeout(f"Ollama at {host!r} did not answer in time.") from error
    except ollama.ResponseError as error:
        raise _refusal(error, host, tag) from error
    except httpx.HTTPError as error:
        raise EngineFailed(
            f"Ollama at {host!r} broke off: {reason(error, most=_MAX_REASON_CHARS)}. Ask again, or restart it."
        ) from error
    # raised by the client for a web page or for JSON of another structure
    except (httpx.InvalidURL, ValueError, AttributeError, TypeError) as error:
        raise _malformed(host) from error


def _malformed(host: str) -> EngineFailed:
    return EngineFailed(
        f"The server at {host!r} sent a malformed response: it may not be Ollama. Set OLLAMA_HOST to the server's "
        "address without a path, such as http://127.0.0.1:11434, or restart it."
    )


def model_missing(host: str, tag: str) -> EngineUnavailable:
    """Return the error for a model that the server does not have."""
    return EngineUnavailable(
        f"Ollama at {host!r} has no model {tag!r}: run 'qwendesk models pull ollama:{tag}', "
        "or set QWENDESK_OLLAMA_PULL=true to pull missing models."
    )


def _refusal(error: Exception, host: str, tag: str) -> EngineError:
    status, reason = getattr(error, "status_code", -1), str(getattr(error, "error", error)).strip()[:_MAX_REASON_CHARS]
    if is_web_page(reason) and status < 500:
        return _malformed(host)
    if status == 404 and "not found" in reason:
        return model_missing(host, tag)
    if "does not support" in reason:
        return OllamaRefused(f"Ollama refused: {reason}")
    if "file does not exist" in reason:
        return EngineUnavailable(
            f"Ollama's library has no {tag!r}: 'qwendesk models list --all' and https://ollama.com/library show names."
        )
    if "context length" in reason or "context size" in reason:
        return EngineError(f"Ollama refused: {reason}. Shorten the message, or raise QWENDESK_CONTEXT_TOKENS.")
    if "memory" in reason:
        return EngineFailed(f"Ollama refused: {reason}. Choose a smaller model, or lower QWENDESK_CONTEXT_TOKENS.")
    kind = EngineError if 400 <= status < 500 else EngineFailed
    return kind(f"Ollama at {host!r} refused: {reason or f'status {status}'}")
