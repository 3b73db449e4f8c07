"""The OpenAI-compatible servers that are known by name: where they listen and what they understand beyond OpenAI.

Every fact stands in the document that ``docs`` names. An entry is one row of ``KINDS``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from qwendesk.errors import ConfigError, EngineUnavailable
from qwendesk.settings import Settings

Body = dict[str, Any]

Switch = Callable[[bool | None, int | None], Body]

"""Return what turns thinking on or off (None: leave it) and limits it to so many tokens (None: no limit)."""


def _in_template(budget: Callable[[int], Body] | None = None) -> Switch:
    """Switch by the chat template's own variable."""

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


def _never(think: bool | None, tokens: int | None) -> Body:
    return {}


@dataclass(frozen=True, slots=True)
class Kind:
    """One sort of server."""

    url: str | None
    """Its usual address; None: it has none."""
    docs: str
    """The document that says so."""
    switch: Switch = _never
    """How it is told to think."""
    sampling: dict[str, str] = field(default_factory=dict)
    """Its names for settings of ``Sampling`` that OpenAI does not have."""
    cloud: bool = False
    """Whether it offers models of many makers, and wants a key."""


_VLLM_SAMPLING = {"top_k": "top_k", "repetition_penalty": "repetition_penalty"}

_LLAMA_SAMPLING = {"top_k": "top_k", "repetition_penalty": "repeat_penalty"}


KINDS: dict[str, Kind] = {
    "openai": Kind(None, "https://platform.openai.com/docs/api-reference/chat", _in_template(), _VLLM_SAMPLING),
    "vllm": Kind(
        "http://127.0.0.1:8000/v1",
        "https://docs.vllm.ai/en/latest/features/reasoning_outputs.html",
        _in_template(lambda tokens: {"thinking_token_budget": tokens}),
        _VLLM_SAMPLING,
    ),
    "sglang": Kind(
        "http://127.0.0.1:30000/v1",
        "https://docs.sglang.io/docs/advanced_features/thinking_budget",
        _in_template(lambda tokens: {"custom_params": {"thinking_budget": tokens}}),
        _VLLM_SAMPLING,
    ),
    "llamaserver": Kind(
        "http://127.0.0.1:8080/v1",
        "https://github.com/ggml-org/llama.cpp/blob/master/tools/server/README.md",
        _in_template(lambda tokens: {"thinking_budget_tokens": tokens}),
        _LLAMA_SAMPLING,
    ),
    "lmstudio": Kind(
        "http://127.0.0.1:1234/v1",
        "https://lmstudio.ai/docs/developer/openai-compat/chat-completions",
        sampling=_LLAMA_SAMPLING,
    ),
    "foundry": Kind(None, "https://learn.microsoft.com/en-us/azure/ai-foundry/foundry-local/reference/reference-rest"),
    "dashscope": Kind(
        "https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
        "https://www.alibabacloud.com/help/en/model-studio/deep-thinking",
        _by_fields,
        {"top_k": "top_k"},
        cloud=True,
    ),
    "openrouter": Kind(
        "https://openrouter.ai/api/v1",
        "https://openrouter.ai/docs/use-cases/reasoning-tokens",
        _by_reasoning,
        _VLLM_SAMPLING,
        cloud=True,
    ),
    "together": Kind(
        "https://api.together.xyz/v1",
        "https://docs.together.ai/docs/inference/chat/reasoning",
        _by_enabled,
        _VLLM_SAMPLING,
        cloud=True,
    ),
    "fireworks": Kind(
        "https://api.fireworks.ai/inference/v1",
        "https://docs.fireworks.ai/guides/reasoning",
        _by_effort,
        _VLLM_SAMPLING,
        cloud=True,
    ),
}


@dataclass(frozen=True, slots=True)
class Server:
    """One server, as the settings have it."""

    name: str
    """Its engine's name."""
    kind: Kind
    url: str = ""
    key: str | None = field(default=None, repr=False)
    set_up: bool = True
    """Whether it may be asked: nobody's cloud is without being told to."""
    url_setting: str = ""
    """What to set for another address."""
    key_setting: str = ""
    """What to set for a key."""

    @property
    def plain(self) -> bool:
        """Whether nothing is known of it but that it speaks OpenAI's language."""
        return self.kind is KINDS["openai"]

    def check(self) -> None:
        """Raise ``EngineUnavailable`` where the server is not set up."""
        if not self.url:
            raise EngineUnavailable(f"The address of the engine {self.name} is not known: set {self.url_setting}.")
        if not self.set_up:
            wanted = self.key_setting if self.kind.cloud else f"{self.url_setting}, and {self.key_setting} if needed"
            raise EngineUnavailable(f"The engine {self.name} is not set up: set {wanted}.")


def is_server(name: str, settings: Settings) -> bool:
    """Tell whether an engine of that name is an OpenAI-compatible server."""
    return name in KINDS or name in settings.servers


def server_of(name: str, settings: Settings) -> Server:
    """Return the server behind an engine's name.

    Raises:
        ConfigError: its kind is unknown.
    """
    row = settings.servers.get(name)
    called = (row.kind if row else None) or (name if name in KINDS else "openai")
    if called not in KINDS:
        raise ConfigError(f"[servers.{name}] has the unknown kind {called!r}; there are: {', '.join(KINDS)}.")
    kind = KINDS[called]
    plain = name == "openai"
    url = (row.url if row else None) or (settings.openai_base_url if plain else kind.url) or ""
    secret = (row.api_key if row else None) or getattr(settings, f"{called}_api_key", None)
    named = row is not None or not plain or "openai_base_url" in settings.model_fields_set
    variable = f"QWENDESK_SERVERS__{name.upper()}__"
    return Server(
        name,
        kind,
        url,
        secret.get_secret_value() if secret else None,
        set_up=secret is not None or (named and not kind.cloud),
        url_setting="OPENAI_BASE_URL" if plain else f"{variable}URL",
        key_setting=f"{called.upper()}_API_KEY" if plain or kind.cloud else f"{variable}API_KEY",
    )


def is_web_page(text: str) -> bool:
    """Tell whether a text begins as a page of HTML."""
    return bool(re.match(r"\s*<(!doctype|html)", text, re.I))
