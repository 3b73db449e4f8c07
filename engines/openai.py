"""Any OpenAI-compatible server: vLLM, SGLang, llama-server, LM Studio, a cloud."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from langchain_core.messages import BaseMessage
from pydantic import PrivateAttr

from qwendesk.engines.base import Capabilities, Delta, Engine, EngineParts, Options, Progress, QwenChat, Usage
from qwendesk.engines.catalogue import ModelCard
from qwendesk.engines.context import fit_estimated
from qwendesk.engines.plain_text import defuse
from qwendesk.engines.reader import Call
from qwendesk.engines.wire import openai_messages
from qwendesk.errors import EngineError, EngineTimeout, EngineUnavailable

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from openai.types.chat import ChatCompletionChunk
    from openai.types.chat.chat_completion_chunk import ChoiceDeltaToolCall


class OpenAIEngine(Engine):
    """Runs the models of one server, found by ``/v1/models``."""

    name = "openai"

    def __init__(self, parts: EngineParts) -> None:
        self._parts = parts
        self._made: AsyncOpenAI | None = None

    @classmethod
    def create(cls, parts: EngineParts) -> OpenAIEngine:
        """Make the engine; the server is not asked yet."""
        return cls(parts)

    async def models(self) -> list[ModelCard]:
        """Return the server's models; those in the catalogue with what it knows of them."""
        with _errors(self._url):
            page = await self._client.models.list()
        return [self._card(model.id) for model in page.data]

    async def load(self, name: str, progress: Progress | None = None) -> QwenChat:
        """Return the model; whether the server has it shows at the first answer."""
        chat = OpenAIChat(card=self._card(name), engine=self.name, max_tokens=self._parts.settings.max_output_tokens)
        chat._client, chat._url, chat._id = self._client, self._url, name
        return chat

    async def aclose(self) -> None:
        """Close the connections."""
        if self._made:
            await self._made.close()

    def _card(self, name: str) -> ModelCard:
        """Return what the catalogue knows of a model, under the server's own name."""
        return replace(self._parts.catalogue.find_by_repo(name) or ModelCard(name=name), name=name)

    @property
    def _url(self) -> str:
        return self._parts.settings.openai_base_url

    @property
    def _client(self) -> AsyncOpenAI:
        if self._made is None:
            from openai import AsyncOpenAI, Timeout

            settings = self._parts.settings
            if settings.openai_api_key is None and "openai_base_url" not in settings.model_fields_set:
                raise EngineUnavailable(
                    "The engine openai is not set up: set OPENAI_BASE_URL, and OPENAI_API_KEY if needed."
                )
            key = settings.openai_api_key.get_secret_value() if settings.openai_api_key else "none"
            timeout = Timeout(settings.turn_timeout, connect=settings.connect_timeout)
            self._made = AsyncOpenAI(base_url=self._url, api_key=key, timeout=timeout, max_retries=1)
        return self._made


class OpenAIChat(QwenChat):
    """A chat model behind an OpenAI-compatible server."""

    _client: AsyncOpenAI = PrivateAttr()
    _url: str = PrivateAttr()
    _id: str = PrivateAttr()

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
        calls = _Calls()
        context, tools = self.card.context, options.tools
        messages, dropped = fit_estimated(messages, context=context, answer=options.max_tokens, tools=tools)
        yield Delta(dropped=dropped)
        with _errors(self._url):
            stream = await self._client.chat.completions.create(**self._request(messages, options))
        with _errors(self._url, begun=True):
            try:
                async for chunk in stream:
                    for delta in _pieces(chunk, calls):
                        yield delta
            finally:
                await stream.close()
        yield Delta(calls=calls.read())

    def _request(self, messages: list[BaseMessage], options: Options) -> dict[str, Any]:
        sampling = options.sampling
        body: dict[str, Any] = {
            "model": self._id,
            "messages": openai_messages(messages, text=defuse),
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": options.max_tokens,
            "stream": True,
            "stream_options": {"include_usage": True},
            "extra_body": self._beyond_openai(options),
        }
        if options.stop:
            body["stop"] = list(options.stop)
        if options.tools:
            body["tools"] = list(options.tools)
        if options.seed is not None:
            body["seed"] = options.seed
        if options.json_schema is not None:
            schema = {"name": "answer", "schema": options.json_schema, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return body

    def _beyond_openai(self, options: Options) -> dict[str, Any]:
        """Return what servers of Qwen models understand and a stricter server would refuse."""
        if not self.card.series:
            return {}
        sampling = options.sampling
        body: dict[str, Any] = {"top_k": sampling.top_k, "repetition_penalty": sampling.repetition_penalty}
        if self.card.thinking == "hybrid" and options.think is not None:
            body["chat_template_kwargs"] = {"enable_thinking": options.think}
        return body


class _Calls:
    """Puts streamed tool calls together, piece by piece."""

    def __init__(self) -> None:
        self._parts: dict[int, dict[str, str]] = {}

    def add(self, piece: ChoiceDeltaToolCall) -> None:
        part = self._parts.setdefault(piece.index, {"id": "", "name": "", "arguments": ""})
        part["id"] += piece.id or ""
        if piece.function:
            part["name"] += piece.function.name or ""
            part["arguments"] += piece.function.arguments or ""

    def read(self) -> tuple[Call, ...]:
        return tuple(
            Call(name=part["name"], arguments_json=part["arguments"] or "{}", id=part["id"] or f"call_{index}")
            for index, part in sorted(self._parts.items())
        )


def _pieces(chunk: ChatCompletionChunk, calls: _Calls) -> Iterator[Delta]:
    for choice in chunk.choices[:1]:
        extra = choice.delta.model_extra or {}
        thinking = extra.get("reasoning_content") or extra.get("reasoning") or ""
        for piece in choice.delta.tool_calls or ():
            calls.add(piece)
        finish = choice.finish_reason
        yield Delta(
            text=choice.delta.content or "",
            thinking=thinking,
            finish=finish if finish in ("stop", "length", "tool_calls") else None,
        )
    if chunk.usage:
        details = chunk.usage.prompt_tokens_details
        cached = (details.cached_tokens or 0) if details else 0
        yield Delta(usage=Usage(chunk.usage.prompt_tokens, chunk.usage.completion_tokens, cached))


@contextmanager
def _errors(url: str, *, begun: bool = False) -> Iterator[None]:
    """Turn the SDK's errors into ours, with the next step."""
    import openai

    try:
        yield
    except openai.APITimeoutError as error:
        raise EngineTimeout(f"The server at {url!r} did not answer in time.") from error
    except openai.APIConnectionError as error:
        if begun:
            raise EngineError(f"The server at {url!r} broke off: {error.__cause__ or error}") from error
        raise EngineUnavailable(
            f"No server answers at {url!r}: start it, or set OPENAI_BASE_URL ({error.__cause__ or error})."
        ) from error
    except openai.AuthenticationError as error:
        raise EngineUnavailable(f"The server at {url!r} wants a key: set OPENAI_API_KEY.") from error
    except openai.NotFoundError as error:
        raise EngineUnavailable(f"The server at {url!r} does not have it: {error.message}") from error
    except openai.APIError as error:
        raise EngineError(f"The server at {url!r} refused: {error.message}") from error
    except Exception as error:  # a cut stream surfaces as an error of the SDK's own HTTP library
        raise EngineError(f"The server at {url!r} broke off or sent garbage: {error!r}") from error
