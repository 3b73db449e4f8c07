"""The engine of OpenAI-compatible servers: vLLM, SGLang, llama-server, LM Studio, cloud services."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from langchain_core.messages import BaseMessage
from pydantic import PrivateAttr

from qwendesk.certificates import trusted_certificates
from qwendesk.engines.base import Engine, EngineParts, Progress
from qwendesk.engines.chat import Delta, GenerationOptions, ModelCapabilities, QwenChat
from qwendesk.engines.context_window import context_exceeded, estimate_tokens, fit_by_estimate, limit_by_length
from qwendesk.engines.media import check_images
from qwendesk.engines.message_format import break_control_tokens, openai_messages, openai_tools
from qwendesk.engines.openai.errors import ContextOverflow, openai_errors
from qwendesk.engines.openai.stream import StreamedAnswer
from qwendesk.engines.servers import ServerEntry, server_entry
from qwendesk.engines.timeouts import StreamTimeouts
from qwendesk.errors import EngineUnavailable
from qwendesk.models.card import ModelCard
from qwendesk.proxies import proxy_errors, uses_proxies
from qwendesk.settings import Settings

if TYPE_CHECKING:
    from openai import AsyncOpenAI, AsyncStream
    from openai.types import Model
    from openai.types.chat import ChatCompletionChunk

_MIN_ANSWER_TOKENS = 16
"""Minimum of ``max_tokens``; a server refuses the request if fewer tokens of its context are left."""
_MAX_UNKNOWN_CONTEXT_TOKENS = 1 << 18
"""Longer conversations are sent only to a server that reports a larger context window."""
_ESTIMATE_GROWTH = 1.3
"""Growth of the token estimate after a server refused a prompt without reporting its size."""


class OpenAIEngine(Engine):
    """Runs the models of one server, which it lists by ``/v1/models``."""

    name = "openai"
    is_local = False
    is_switching_free = True

    def __init__(self, parts: EngineParts, server: ServerEntry | None = None) -> None:
        self._parts = parts
        self._server = server or server_entry(self.name, parts.settings)
        self.name = self._server.name
        self.address = self._server.url
        self._made: AsyncOpenAI | None = None
        self._cards: dict[str, ModelCard] | None = None
        self._chats: dict[str, OpenAIChat] = {}

    @classmethod
    def create(cls, parts: EngineParts) -> OpenAIEngine:
        """Create the engine of the server of ``OPENAI_BASE_URL``; sends no request."""
        return cls(parts)

    @classmethod
    def for_server(cls, name: str, parts: EngineParts) -> OpenAIEngine:
        """Create the engine of one configured server; sends no request."""
        return cls(parts, server_entry(name, parts.settings))

    async def models(self) -> list[ModelCard]:
        """Return the server's models; of a cloud service the Qwen models only."""
        self._cards = await self._list()
        cards = list((self._cards or {}).values())
        return [card for card in cards if card.series] if self._server.kind.is_cloud else cards

    async def load(self, name: str, progress: Progress | None = None) -> QwenChat:
        """Return the model; the server loads it at its start or with the first request."""
        if name in self._chats:
            return self._chats[name]
        if self._cards is None or name not in self._cards:
            self._cards = await self._list()
        if self._cards is not None and name not in self._cards:
            known = ", ".join(list(self._cards)[:8]) or "none"
            raise EngineUnavailable(f"The server at {self._server.url!r} has no model {name!r}; there are: {known}.")
        return self._chats.setdefault(name, self._chat((self._cards or {}).get(name) or self._known(name)))

    @property
    def missing_setup(self) -> str:
        """The missing address of a generic server; the first request reports a missing key of a cloud service."""
        unset = self._server.is_generic and not self._server.is_configured
        return "Set OPENAI_BASE_URL to use a server: docs/reference/servers.md." if unset else ""

    def explain_empty(self) -> str:
        """Return the error text for a server that lists no models."""
        return (
            f"The server at {self.address!r} lists no model. Start it with one, check that its address ends as its "
            f"manual says (mostly in /v1), or name the model: QWENDESK_MODEL={self.name}:NAME."
        )

    async def aclose(self) -> None:
        """Close the connections."""
        if self._made:
            await self._made.close()

    async def _list(self) -> dict[str, ModelCard] | None:
        """Return the server's models by name; None for a server that does not list them."""
        from openai import NotFoundError

        with openai_errors(self._server):
            try:
                page = await self._client.models.list()
            except NotFoundError:
                return None
            return {model.id: _as_served(self._known(model.id), model) for model in page.data}

    def _known(self, name: str) -> ModelCard:
        """Return the catalogue's card of a model under the server's name for it."""
        found = self._parts.catalogue.find_by_repo(name.partition(":")[0])
        return replace(found or ModelCard(name=name), name=name)

    def _chat(self, card: ModelCard) -> OpenAIChat:
        return OpenAIChat(
            card=card, engine=self.name, client=self._client, server=self._server, settings=self._parts.settings
        )

    @property
    def _client(self) -> AsyncOpenAI:
        if self._made is None:
            self._server.check()
            from openai import AsyncOpenAI, DefaultAsyncHttpxClient, Timeout

            settings = self._parts.settings
            timeout = Timeout(settings.connect_timeout)
            with proxy_errors():
                http_client = DefaultAsyncHttpxClient(
                    timeout=timeout, verify=trusted_certificates(), trust_env=uses_proxies(self._server.url)
                )
            self._made = AsyncOpenAI(
                base_url=self._server.url,
                api_key=self._server.key or "none",
                timeout=timeout,
                # with a fallback chain, asking the next model is faster than a retry
                max_retries=0 if settings.fallback.chain else 2,
                # a server may close an idle connection just as it is used again; new connections are cheap
                default_headers={"Connection": "close"},
                http_client=http_client,
            )
        return self._made


class OpenAIChat(QwenChat):
    """A chat model behind an OpenAI-compatible server."""

    _client: AsyncOpenAI = PrivateAttr()
    _server: ServerEntry = PrivateAttr()
    _settings: Settings = PrivateAttr()

    def __init__(
        self, *, card: ModelCard, engine: str, client: AsyncOpenAI, server: ServerEntry, settings: Settings
    ) -> None:
        super().__init__(card=card, engine=engine, max_tokens=settings.max_output_tokens)
        self._client, self._server, self._settings = client, server, settings

    @property
    def capabilities(self) -> ModelCapabilities:
        """The capabilities of the card; which models a server keeps in memory is unknown."""
        card = self.card
        return ModelCapabilities(card.vision, card.audio, card.context, loaded=True)

    async def _deltas(self, messages: list[BaseMessage], options: GenerationOptions) -> AsyncGenerator[Delta, None]:
        await check_images(messages)
        timeouts = StreamTimeouts(f"The server at {self._server.url!r}", self._settings)
        stream, dropped = await timeouts.wait(self._open(messages, options))
        answer = StreamedAnswer()
        try:
            if dropped:
                yield Delta(dropped=dropped)
            with openai_errors(self._server, begun=True):
                async for chunk in timeouts.each(aiter(stream)):
                    for delta in answer.read(chunk):
                        yield delta
            for delta in answer.end(self._server.url):
                yield delta
        finally:
            await stream.close()

    async def _open(
        self, messages: list[BaseMessage], options: GenerationOptions
    ) -> tuple[AsyncStream[ChatCompletionChunk], int]:
        """Send the request; if the server refuses it as too long, drop more messages and send it again."""
        context, scale, asked = self.card.context, 1.0, None
        # not every server reports its context window: refuse here only conversations that fit into none
        near = limit_by_length(messages, max(context, _MAX_UNKNOWN_CONTEXT_TOKENS))
        while True:
            kept, _ = fit_by_estimate(
                near, context=context, answer_tokens=options.max_tokens, tools=options.tools, scale=scale
            )
            size = estimate_tokens(kept, options.tools)
            room = max(_MIN_ANSWER_TOKENS, context - int(size * scale))
            body = self._request(kept, replace(options, max_tokens=min(options.max_tokens, room)))
            try:
                with openai_errors(self._server):
                    return await self._client.chat.completions.create(**body), len(messages) - len(kept)
            except ContextOverflow as refused:
                tokens = refused.tokens or int(size * scale)
                if asked == (len(kept), body["max_tokens"]):
                    raise context_exceeded(tokens, refused.limit or context) from refused
                asked = len(kept), body["max_tokens"]
                context = min(context, refused.limit or context)
                scale = max(tokens / size, scale) if refused.tokens else scale * _ESTIMATE_GROWTH

    def _request(self, messages: list[BaseMessage], options: GenerationOptions) -> dict[str, Any]:
        from openai import Timeout

        sampling = options.sampling
        body: dict[str, Any] = {
            "model": self.card.name,
            "messages": openai_messages(messages, text=break_control_tokens),
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": options.max_tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
            "extra_body": self._beyond_openai(options),
            "timeout": Timeout(None, connect=self._settings.connect_timeout),
        }
        if options.stop:
            body["stop"] = list(options.stop)
        if options.tools:
            body["tools"] = openai_tools(options.tools, text=break_control_tokens)
        if options.seed is not None:
            body["seed"] = options.seed
        if options.json_schema is not None:
            schema = {"name": "answer", "schema": options.json_schema, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return body

    def _beyond_openai(self, options: GenerationOptions) -> dict[str, Any]:
        """Return the fields beyond OpenAI's API for this server; generic servers get them for Qwen models only."""
        kind, card = self._server.kind, self.card
        if self._server.is_generic and not card.series:
            return {}
        body = {name: getattr(options.sampling, field) for field, name in kind.sampling.items()}
        if card.thinking == "hybrid":
            return body | kind.thinking_fields(options.think, options.think_budget)
        return body | (kind.thinking_fields(None, options.think_budget) if card.thinking == "always" else {})


def _as_served(card: ModelCard, model: Model) -> ModelCard:
    """Return the card with context window and modalities as reported by the server, in any of the known formats."""
    extra = model.model_extra or {}
    meta = extra.get("meta") or {}
    context = extra.get("max_model_len") or extra.get("context_length") or meta.get("n_ctx") or card.context
    modalities = (extra.get("architecture") or {}).get("input_modalities")
    if modalities is None:
        return replace(card, context=context)
    return replace(card, context=context, vision="image" in modalities, audio="audio" in modalities)
