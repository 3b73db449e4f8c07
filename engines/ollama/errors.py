"""What goes wrong with an Ollama server, in words that name the next step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from qwendesk.engines.servers import is_web_page
from qwendesk.errors import EngineError, EngineFailed, EngineTimeout, EngineUnavailable, reason
from qwendesk.proxies import naming_the_proxy

_LONGEST = 300
"""Characters of a reason that are shown: a proxy answers with whole pages."""


class OllamaRefused(EngineError):
    """The server does not do what was asked of this model, such as tools or thinking."""


@contextmanager
def ollama_errors(host: str, tag: str = "") -> Iterator[None]:
    """Turn the client's errors into ours.

    Raises:
        EngineError: of the kind that fits, with the next step.
    """
    import httpx

    with naming_the_proxy():  # the library makes a client of its own when it is imported
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
            f"Ollama at {host!r} broke off: {reason(error, most=_LONGEST)}. Ask again, or restart it."
        ) from error
    # the client takes a web page, or JSON of another form, for its own: that surfaces as one of these
    except (httpx.InvalidURL, ValueError, AttributeError, TypeError) as error:
        raise _garbage(host) from error


def _garbage(host: str) -> EngineFailed:
    return EngineFailed(
        f"What answers at {host!r} sends garbage, for an Ollama. Is something else listening there? Set OLLAMA_HOST to "
        "the server's address without a path, such as http://127.0.0.1:11434, or restart it."
    )


def missing(host: str, tag: str) -> EngineUnavailable:
    """Return the error for a model that the server does not have."""
    return EngineUnavailable(
        f"Ollama at {host!r} has no model {tag!r}: run 'qwendesk models pull ollama:{tag}', "
        "or set QWENDESK_OLLAMA_PULL=true to have such models fetched."
    )


def _refusal(error: Exception, host: str, tag: str) -> EngineError:
    status, reason = getattr(error, "status_code", -1), str(getattr(error, "error", error)).strip()[:_LONGEST]
    if is_web_page(reason) and status < 500:
        return _garbage(host)
    if status == 404 and "not found" in reason:
        return missing(host, tag)
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
