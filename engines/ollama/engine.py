"""The Ollama engine, by the native API: the OpenAI-compatible one lacks thinking and the context size."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from contextlib import aclosing, suppress
from dataclasses import replace

from qwendesk.engines.base import Engine, EngineParts, Progress, ResidentModel
from qwendesk.engines.chat import QwenChat
from qwendesk.engines.ollama.chat import OllamaChat
from qwendesk.engines.ollama.client import OllamaClient, model_missing
from qwendesk.engines.ollama.format import LoadSettings, ServedModel, name_in_file, served_model
from qwendesk.errors import EngineError, EngineUnavailable
from qwendesk.models.card import ModelCard
from qwendesk.proxies import uses_proxies

_MAX_CONCURRENT_REQUESTS = 4
"""Concurrent requests for descriptions of models."""


class OllamaEngine(Engine):
    """Runs the models of an Ollama server."""

    name = "ollama"
    is_listing_complete = True
    fetch_advice = "Run 'qwendesk models pull ollama:qwen3:4b', or take another one of 'qwendesk models list --all'."

    def __init__(self, parts: EngineParts) -> None:
        self.is_local = not uses_proxies(parts.settings.ollama_host)
        self._parts = parts
        self._server = OllamaClient(parts.settings)
        self._known: dict[tuple[str, str], ServedModel] = {}
        """The server's descriptions of models, by tag and digest."""
        self._chats: dict[str, OllamaChat] = {}
        self._loading: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    @classmethod
    def create(cls, parts: EngineParts) -> OllamaEngine:
        """Create the engine without sending a request."""
        return cls(parts)

    async def models(self) -> list[ModelCard]:
        """Return the server's chat models with the capabilities that it reports."""
        tags = await self._server.tags()
        await self._server.running()
        gate = asyncio.Semaphore(_MAX_CONCURRENT_REQUESTS)

        async def ask(tag: str, digest: str) -> ServedModel | None:
            async with gate:
                # a broken model must not hide the others
                with suppress(EngineError):
                    return await self._served(tag, digest)
            return None

        found = await asyncio.gather(*(ask(tag, digest) for tag, digest in tags.items()))
        return [model.card for model in found if model and model.is_chat_model]

    async def load(self, name: str, progress: Progress | None = None) -> QwenChat:
        """Return a model loaded by the server; a missing one is pulled first if the settings allow it."""
        # a loaded model does not wait for another one that is being loaded
        if name not in self._chats:
            async with self._loading[name]:
                if name not in self._chats:
                    self._chats[name] = await self._chat(name, progress)
        return self._chats[name]

    async def pull(self, name: str, progress: Progress | None = None) -> str:
        """Let the server pull a model from its library; an interrupted pull continues with the next one."""
        tag = self._tag(name)
        done: dict[str, tuple[int, int]] = {}
        async with aclosing(self._server.pull(tag)) as steps:
            status = ""
            async for step in steps:
                status = step.status or status
                if step.digest and step.total:
                    done[step.digest] = (step.completed or 0, step.total)
                if progress:
                    progress(*_pull_progress(tag, status, list(done.values())))
        if status != "success":
            raise EngineError(f"Ollama stopped fetching {tag!r} at {status!r}: run the same command again.")
        self._known.clear()
        self._chats.clear()
        return tag

    def fetchable(self, name: str) -> ModelCard | None:
        """Return the catalogue's model of that name if the settings let the server pull missing models."""
        return self._parts.catalogue.for_ollama_tag(name) if self._parts.settings.ollama_pull else None

    def explain_empty(self) -> str:
        """Return the error text for a server without models."""
        return "Ollama has no model yet: run 'qwendesk models pull ollama:qwen3:4b'."

    def explain_missing(self, name: str, known: Iterable[str]) -> str:
        """Return the error text for a model that the server does not have."""
        return f"{super().explain_missing(name, known)} Run 'qwendesk models pull ollama:{name}' to fetch it."

    async def resident_models(self) -> dict[str, ResidentModel]:
        """Return the models in the server's memory."""
        return await self._server.running()

    async def aclose(self) -> None:
        """Close the connections; the server unloads its models by its own rules."""
        await self._server.aclose()

    async def _chat(self, name: str, progress: Progress | None) -> OllamaChat:
        model = await self._found(name, progress)
        settings = self._parts.settings
        load_settings = LoadSettings(
            tag=model.card.name,
            context=min(model.card.context, settings.context_tokens),
            threads=settings.threads,
            keep_alive=settings.ollama_keep_alive,
        )
        if progress:
            progress(f"Ollama loads {load_settings.tag}", None)
        await self._server.load(load_settings.body() | {"messages": [], "options": load_settings.options()})
        return OllamaChat(
            card=model.card,
            engine=self.name,
            max_tokens=settings.max_output_tokens,
            server=self._server,
            model=model,
            load_settings=load_settings,
        )

    async def _found(self, name: str, progress: Progress | None) -> ServedModel:
        tags = await self._server.tags()
        tag = name if name in tags else f"{name}:latest" if f"{name}:latest" in tags else self._tag(name)
        if tag not in tags and not self._parts.settings.ollama_pull:
            raise model_missing(self._server.host, tag)
        if tag not in tags:
            await self.pull(tag, progress)
        model = await self._served(tag, tags.get(tag, ""))
        if not model.is_chat_model:
            raise EngineUnavailable(f"Ollama's model {tag!r} is not a chat model: choose another one.")
        return model

    async def _served(self, tag: str, digest: str) -> ServedModel:
        """Return the description of a model under the server's name for it; requested once for each digest."""
        known = self._known.get((tag, digest))
        if known is None:
            shown, catalogue = await self._server.show(tag), self._parts.catalogue
            card = (
                catalogue.find_by_ollama_tag(tag) or catalogue.find_by_repo(name_in_file(shown)) or ModelCard(name=tag)
            )
            known = served_model(replace(card, name=tag), shown)
            self._known[tag, digest] = known
        return known

    def _tag(self, name: str) -> str:
        """Return the tag of a model of the catalogue; any other name is a tag, with or without a version."""
        catalogue = self._parts.catalogue
        tags = catalogue.get(name).ollama if name in catalogue else ()
        tag = tags[0] if tags else name
        return tag if ":" in tag.rpartition("/")[2] else f"{tag}:latest"


def _pull_progress(tag: str, status: str, layers: list[tuple[int, int]]) -> tuple[str, float | None]:
    """Return the text of one step of a pull, and the completed fraction of all files known so far."""
    done, total = (sum(numbers) for numbers in zip(*layers, strict=True)) if layers else (0, 0)
    if not total or not status.startswith(("pulling", "downloading")):
        return f"Ollama fetches {tag}: {status}", None
    return f"Ollama fetches {tag}: {done / 1e6:,.0f} of {total / 1e6:,.0f} MB", done / total
