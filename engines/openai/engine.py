"""Any OpenAI-compatible server: vLLM, SGLang, llama-server, LM Studio, a cloud."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from langchain_core.messages import BaseMessage
from pydantic import PrivateAttr

from qwendesk.engines.base import Capabilities, Delta, Engine, EngineParts, Options, Progress, QwenChat
from qwendesk.engines.context_window import estimate, fit_estimated, too_long, within_reach
from qwendesk.engines.images import look_at_pictures
from qwendesk.engines.message_format import defuse, openai_messages, openai_tools
from qwendesk.engines.openai.errors import ContextOverflow, failures
from qwendesk.engines.openai.stream import StreamedAnswer
from qwendesk.engines.servers import Server, server_of
from qwendesk.engines.timeouts import Pace
from qwendesk.errors import EngineUnavailable
from qwendesk.models.card import ModelCard
from qwendesk.proxies import naming_the_proxy, uses_proxies
from qwendesk.settings import Settings

if TYPE_CHECKING:
    from openai import AsyncOpenAI, AsyncStream
    from openai.types import Model
    from openai.types.chat import ChatCompletionChunk

_SHORTEST_ANSWER = 16
"""Tokens that are always asked for; a server that has no room for them refuses."""
_LARGE_WINDOW = 1 << 18
"""Tokens; longer texts than fit into this are sent only to a server that says it has room for them."""
_STRETCH = 1.3
"""By how much an estimate grows after a server refused a prompt without saying its size."""


class OpenAIEngine(Engine):
    """Runs the models of one server, found by ``/v1/models``."""

    name = "openai"
    is_local = False
    switches_free = True

    def __init__(self, parts: EngineParts, server: Server | None = None) -> None:
        self._parts = parts
        self._server = server or server_of(self.name, parts.settings)
        self.name = self._server.name
        self.address = self._server.url
        self._made: AsyncOpenAI | None = None
        self._cards: dict[str, ModelCard] | None = None
        self._chats: dict[str, OpenAIChat] = {}

    @classmethod
    def create(cls, parts: EngineParts) -> OpenAIEngine:
        """Make the engine; the server is not asked yet."""
        return cls(parts)

    async def models(self) -> list[ModelCard]:
        """Return the server's models, those of a cloud only as far as they are of the family."""
        self._cards = await self._list()
        cards = list((self._cards or {}).values())
        return [card for card in cards if card.series] if self._server.kind.cloud else cards

    async def load(self, name: str, progress: Progress | None = None) -> QwenChat:
        """Return the model; the server itself loads it, at its start or at the first answer."""
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
        """What to set for a server whose address is not known; that of a cloud is told when it is asked."""
        unset = self._server.plain and not self._server.set_up
        return "Set OPENAI_BASE_URL to use a server: docs/reference/servers.md." if unset else ""

    def explain_empty(self) -> str:
        """Say that the server lists no model, and what to do."""
        return (
            f"The server at {self.address!r} lists no model. Start it with one, see that its address ends as its own "
            f"manual says (mostly in /v1), or name the model: QWENDESK_MODEL={self.name}:NAME."
        )

    async def aclose(self) -> None:
        """Close the connections."""
        if self._made:
            await self._made.close()

    async def _list(self) -> dict[str, ModelCard] | None:
        """Return what the server says it has; None where it does not list its models."""
        from openai import NotFoundError

        with failures(self._server):
            try:
                page = await self._client.models.list()
            except NotFoundError:
                return None
            return {model.id: _as_served(self._known(model.id), model) for model in page.data}

    def _known(self, name: str) -> ModelCard:
        """Return what the catalogue knows of a model, under the server's own name."""
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
            with naming_the_proxy():
                http_client = DefaultAsyncHttpxClient(timeout=timeout, trust_env=uses_proxies(self._server.url))
            self._made = AsyncOpenAI(
                base_url=self._server.url,
                api_key=self._server.key or "none",
                timeout=timeout,
                # with somebody else to ask, waiting for this server would only cost time
                max_retries=0 if settings.fallback.chain else 2,
                # a server may close a connection that waits just as it is used again; a new one costs next to nothing
                default_headers={"Connection": "close"},
                http_client=http_client,
            )
        return self._made


class OpenAIChat(QwenChat):
    """A chat model behind an OpenAI-compatible server."""

    _client: AsyncOpenAI = PrivateAttr()
    _server: Server = PrivateAttr()
    _settings: Settings = PrivateAttr()

    def __init__(
        self, *, card: ModelCard, engine: str, client: AsyncOpenAI, server: Server, settings: Settings
    ) -> None:
        super().__init__(card=card, engine=engine, max_tokens=settings.max_output_tokens)
        self._client, self._server, self._settings = client, server, settings

    @property
    def capabilities(self) -> Capabilities:
        """What the card says; the server alone knows what it keeps in memory."""
        card = self.card
        return Capabilities(
            card.vision,
            card.audio,
            card.tools,
            card.thinking,
            card.context,
            card.languages,
            loaded=True,
            cost=card.cost,
        )

    async def _deltas(self, messages: list[BaseMessage], options: Options) -> AsyncGenerator[Delta, None]:
        await look_at_pictures(messages)
        pace = Pace(f"The server at {self._server.url!r}", self._settings)
        stream, dropped = await pace.wait(self._open(messages, options))
        answer = StreamedAnswer()
        try:
            if dropped:
                yield Delta(dropped=dropped)
            with failures(self._server, begun=True):
                async for chunk in pace.each(aiter(stream)):
                    for delta in answer.read(chunk):
                        yield delta
            for delta in answer.end(self._server.url):
                yield delta
        finally:
            await stream.close()

    async def _open(
        self, messages: list[BaseMessage], options: Options
    ) -> tuple[AsyncStream[ChatCompletionChunk], int]:
        """Ask; where the server finds the conversation too long, leave out more of it and ask again."""
        context, scale, asked = self.card.context, 1.0, None
        # not every server tells its window: only what fits into none is refused unasked
        near = within_reach(messages, max(context, _LARGE_WINDOW))
        while True:
            kept, _ = fit_estimated(near, context=context, answer=options.max_tokens, tools=options.tools, scale=scale)
            size = estimate(kept, options.tools)
            room = max(_SHORTEST_ANSWER, context - int(size * scale))
            body = self._request(kept, replace(options, max_tokens=min(options.max_tokens, room)))
            try:
                with failures(self._server):
                    return await self._client.chat.completions.create(**body), len(messages) - len(kept)
            except ContextOverflow as refused:
                tokens = refused.tokens or int(size * scale)
                if asked == (len(kept), body["max_tokens"]):
                    raise too_long(tokens, refused.limit or context) from refused
                asked = len(kept), body["max_tokens"]
                context = min(context, refused.limit or context)
                scale = max(tokens / size, scale) if refused.tokens else scale * _STRETCH

    def _request(self, messages: list[BaseMessage], options: Options) -> dict[str, Any]:
        from openai import Timeout

        sampling = options.sampling
        body: dict[str, Any] = {
            "model": self.card.name,
            "messages": openai_messages(messages, text=defuse),
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
            body["tools"] = openai_tools(options.tools, text=defuse)
        if options.seed is not None:
            body["seed"] = options.seed
        if options.json_schema is not None:
            schema = {"name": "answer", "schema": options.json_schema, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return body

    def _beyond_openai(self, options: Options) -> dict[str, Any]:
        """Return what this kind of server understands; a plain one is told only of models that are known."""
        kind, card = self._server.kind, self.card
        if self._server.plain and not card.series:
            return {}
        body = {name: getattr(options.sampling, field) for field, name in kind.sampling.items()}
        if card.thinking == "hybrid":
            return body | kind.switch(options.think, options.think_budget)
        return body | (kind.switch(None, options.think_budget) if card.thinking == "always" else {})


def _as_served(card: ModelCard, model: Model) -> ModelCard:
    """Return the card with what the server says of the model, in the ways that servers say it."""
    extra = model.model_extra or {}
    meta = extra.get("meta") or {}
    context = extra.get("max_model_len") or extra.get("context_length") or meta.get("n_ctx") or card.context
    senses = (extra.get("architecture") or {}).get("input_modalities")
    if senses is None:
        return replace(card, context=context)
    return replace(card, context=context, vision="image" in senses, audio="audio" in senses)
