"""What is said where a model is not there, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterable

from qwendesk.engines.servers import is_server, server_of
from qwendesk.settings import Settings


def nothing_there(engine: str, settings: Settings) -> str:
    """Say that an engine has no model at all, and what to do."""
    if engine == "ollama":
        return "Ollama has no model yet: run 'qwendesk models pull ollama:qwen3:4b'."
    if not is_server(engine, settings):
        return (
            f"The engine {engine} has no model yet: run 'qwendesk models pull NAME' ('models list --all' names them)."
        )
    url = server_of(engine, settings).url
    return (
        f"The server at {url!r} lists no model. Start it with one, see that its address ends as its own manual says "
        f"(mostly in /v1), or name the model: QWENDESK_MODEL={engine}:NAME."
    )


def lacking(engine: str, name: str, known: Iterable[str]) -> str:
    """Say that an engine does not have this model."""
    fetch = f" Run 'qwendesk models pull ollama:{name}' to fetch it." if engine == "ollama" else ""
    return f"{engine} has no model {name!r}; there are: {', '.join(known) or 'none'}.{fetch}"
