"""The OpenAI-compatible servers known by name: their addresses and their extensions of OpenAI's API.

The source of each entry of ``SERVER_KINDS`` is the document that ``docs`` names.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from qwendesk.errors import ConfigError, EngineUnavailable, no_such
from qwendesk.settings import Settings

SERVER_ENGINE = "openai"
"""The entry point of the engine that connects to these servers."""
Body = dict[str, Any]
ThinkingFields = Callable[[bool | None, int | None], Body]
"""Returns the request fields that turn thinking on or off (None: the default) and limit it to a number of tokens
(None: no limit)."""
_VLLM_SAMPLING = {"top_k": "top_k", "repetition_penalty": "repetition_penalty"}
_LLAMA_SAMPLING = {"top_k": "top_k", "repetition_penalty": "repeat_penalty"}


def _by_template_variable(budget: Callable[[int], Body] | None = None) -> ThinkingFields:
    """Switch thinking through the chat template's variable."""

    def switch(think: bool | None, tokens: int | None) -> Body:
        body: Body = {} if think is None else {"chat_template_kwargs": {"enable_thinking": think}}
        return body | (budget(tokens) if budget and tokens is not None and think is not False else {})

    return switch


def _by_fields(think: bool | None, tokens: int | None) -> Body:
    body: Body = {} if think is None else {"enable_thinking": think}
    return body | ({"thinking_budget": tokens} if tokens is not None and think is not False else {})


def _by_reasoning(think: bool | None, tokens: int | None) -> Body:
    if tokens is not None and think is not False:
        return {"reasoning": {"max_tokens": tokens}}
    return {} if think is None else {"reasoning": {"enabled": think}}


def _by_enabled(think: bool | None, tokens: int | None) -> Body:
    return {} if think is None else {"reasoning": {"enabled": think}}


def _by_effort(think: bool | None, tokens: int | None) -> Body:
    return {"reasoning_effort": "none"} if think is False else {}


def _no_fields(think: bool | None, tokens: int | None) -> Body:
    return {}


@dataclass(frozen=True, slots=True)
class ServerKind:
    """A kind of server."""

    url: str | None
    """Its default address; None: the address has to be set."""
    docs: str
    """The document that describes the API."""
    thinking_fields: ThinkingFields = _no_fields
    """How thinking is turned on and off."""
    sampling: dict[str, str] = field(default_factory=dict)
    """Its field names for settings of ``Sampling`` that OpenAI's API lacks."""
    is_cloud: bool = False
    """Whether it is a cloud service, which needs a key and offers models of many vendors."""


SERVER_KINDS: dict[str, ServerKind] = {
    "openai": ServerKind(
        None, "https://platform.openai.com/docs/api-reference/chat", _by_template_variable(), _VLLM_SAMPLING
    ),
    "vllm": ServerKind(
        "http://127.0.0.1:8000/v1",
        "https://docs.vllm.ai/en/latest/features/reasoning_outputs.html",
        _by_template_variable(lambda tokens: {"thinking_token_budget": tokens}),
        _VLLM_SAMPLING,
    ),
    "sglang": ServerKind(
        "http://127.0.0.1:30000/v1",
        "https://docs.sglang.io/docs/advanced_features/thinking_budget",
        _by_template_variable(lambda tokens: {"custom_params": {"thinking_budget": tokens}}),
        _VLLM_SAMPLING,
    ),
    "llamaserver": ServerKind(
        "http://127.0.0.1:8080/v1",
        "https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md",
        _by_template_variable(lambda tokens: {"thinking_budget_tokens": tokens}),
        _LLAMA_SAMPLING,
    ),
    "lmstudio": ServerKind(
        "http://127.0.0.1:1234/v1",
        "https://lmstudio.ai/docs/developer/openai-compat/chat-completions",
        sampling=_LLAMA_SAMPLING,
    ),
    "foundry": ServerKind(
        None, "https://learn.microsoft.com/en-us/azure/ai-foundry/foundry-local/reference/reference-rest"
    ),
    "dashscope": ServerKind(
        "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        "https://www.alibabacloud.com/help/en/model-studio/deep-thinking",
        _by_fields,
        {"top_k": "top_k"},
        is_cloud=True,
    ),
    "openrouter": ServerKind(
        "https://openrouter.ai/api/v1",
        "https://openrouter.ai/docs/use-cases/reasoning-tokens",
        _by_reasoning,
        _VLLM_SAMPLING,
        is_cloud=True,
    ),
    "together": ServerKind(
        "https://api.together.xyz/v1",
        "https://docs.together.ai/docs/inference/chat/reasoning",
        _by_enabled,
        _VLLM_SAMPLING,
        is_cloud=True,
    ),
    "fireworks": ServerKind(
        "https://api.fireworks.ai/inference/v1",
        "https://docs.fireworks.ai/guides/reasoning",
        _by_effort,
        _VLLM_SAMPLING,
        is_cloud=True,
    ),
}


@dataclass(frozen=True, slots=True)
class ServerEntry:
    """One server, as configured by the settings."""

    name: str
    """The name of its engine."""
    kind: ServerKind
    url: str = ""
    key: str | None = field(default=None, repr=False)
    is_configured: bool = True
    """Whether requests may be sent to it; a cloud service needs a key first."""
    url_setting: str = ""
    """The setting of its address."""
    key_setting: str = ""
    """The setting of its key."""

    @property
    def is_generic(self) -> bool:
        """Whether the kind of the server is unknown, so that only OpenAI's API is used."""
        return self.kind is SERVER_KINDS["openai"]

    def check(self) -> None:
        """Check that the server is configured.

        Raises:
            EngineUnavailable: its address or its key is not set.
        """
        if not self.url:
            raise EngineUnavailable(f"The address of the engine {self.name} is not known: set {self.url_setting}.")
        if not self.is_configured:
            wanted = self.key_setting if self.kind.is_cloud else f"{self.url_setting}, and {self.key_setting} if needed"
            raise EngineUnavailable(f"The engine {self.name} is not set up: set {wanted}.")


def is_server(name: str, settings: Settings) -> bool:
    """Return whether an engine of that name is an OpenAI-compatible server."""
    return name in SERVER_KINDS or name in settings.servers


def server_entry(name: str, settings: Settings) -> ServerEntry:
    """Return the server of an engine's name.

    Raises:
        ConfigError: the kind of the server is unknown.
    """
    row = settings.servers.get(name)
    kind_name = (row.kind if row else None) or (name if name in SERVER_KINDS else "openai")
    if kind_name not in SERVER_KINDS:
        raise ConfigError(no_such(f"[servers.{name}] has the unknown kind", kind_name, SERVER_KINDS))
    kind = SERVER_KINDS[kind_name]
    plain = name == "openai"
    url = (row.url if row else None) or (settings.openai_base_url if plain else kind.url) or ""
    secret = (row.api_key if row else None) or getattr(settings, f"{kind_name}_api_key", None)
    named = row is not None or not plain or "openai_base_url" in settings.model_fields_set
    variable = f"QWENDESK_SERVERS__{name.upper()}__"
    return ServerEntry(
        name,
        kind,
        url,
        secret.get_secret_value() if secret else None,
        is_configured=secret is not None or (named and not kind.is_cloud),
        url_setting="OPENAI_BASE_URL" if plain else f"{variable}URL",
        key_setting=f"{kind_name.upper()}_API_KEY" if plain or kind.is_cloud else f"{variable}API_KEY",
    )


def is_web_page(text: str) -> bool:
    """Return whether a text is an HTML page."""
    return bool(re.match(r"\s*<(!doctype|html)", text, re.I))
