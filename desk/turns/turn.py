"""Run a turn: check the message, load the context, run the graph, store the reply; one at a time in a conversation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass, replace
from weakref import WeakValueDictionary

from cachetools import FIFOCache
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from qwendesk.agents.graph import TurnGraph
from qwendesk.agents.state import LastingLanguage, TurnContext, TurnInput, TurnState, run_graph
from qwendesk.desk.turns.background import BackgroundJobs, FinishedTurn
from qwendesk.desk.turns.conversation_context import (
    LastTurn,
    background_prompt,
    last_turn_of,
    routing_context,
)
from qwendesk.desk.turns.knowledge import DeskKnowledge, IngestedDocuments, MessageDocuments
from qwendesk.desk.turns.language_wishes import LanguageWishes
from qwendesk.desk.turns.receipt import Stopwatch, write_reply
from qwendesk.engines.context_window import estimate_text_tokens
from qwendesk.errors import EngineError, EngineTimeout, InputError, QwendeskError
from qwendesk.memory.memory import Memory
from qwendesk.memory.records import StoredContext, StoredMessage
from qwendesk.messages import (
    AnswerReset,
    Event,
    Finished,
    Inbound,
    Notice,
    Reply,
    Routed,
    TextDelta,
    resolve_virtual_model,
    storable_text,
)
from qwendesk.redaction import redact
from qwendesk.routing.signals.language import identify_language
from qwendesk.text_caches import Forgotten

_NOUNS = {"image": "picture", "audio": "recording", "document": "document"}
_MAX_CACHED_CONVERSATIONS = 1000
"""Conversations whose last turn is cached."""


@dataclass(frozen=True, slots=True)
class EventCollector:
    """Passes events on, collects the text, and restarts the turn's time limit while a model is fetched or loaded."""

    events: asyncio.Queue[Event | None]
    text: list[str]
    limit: asyncio.Timeout
    seconds: float
    started: float
    """``time.perf_counter()`` when the turn began."""

    def add(self, event: Event) -> None:
        """Add an event."""
        if isinstance(event, TextDelta):
            self.text.append(event.text)
        elif isinstance(event, Notice | Routed | AnswerReset):
            if isinstance(event, AnswerReset):
                self.text.clear()
            # the loading of a model may outlast this turn
            with suppress(RuntimeError):
                self.limit.reschedule(asyncio.get_running_loop().time() + self.seconds)
        self.events.put_nowait(event)


class TurnRunner:
    """Runs turns: stores the message, runs the graph, stores the reply.

    Args:
        graph: the turn's graph.
        context: dependencies of the graph's nodes.
        memory: stores conversations.
        max_chars: longest message, in characters.
        timeout: seconds that a turn may take.
        background: jobs after a turn.
        documents: ingests documents that come with a message.
        knowledge: the knowledge base that the models search.
        keeps_facts: whether facts about people may be kept.
    """

    def __init__(
        self,
        graph: TurnGraph,
        context: TurnContext,
        memory: Memory,
        *,
        max_chars: int,
        timeout: float,
        background: BackgroundJobs | None = None,
        documents: MessageDocuments | None = None,
        knowledge: DeskKnowledge | None = None,
        keeps_facts: bool = True,
    ) -> None:
        self._graph = graph
        self._context = context
        self._memory = memory
        self._max_chars = max_chars
        self._timeout = timeout
        self.background = background or BackgroundJobs()
        self._documents = documents
        self._knowledge = knowledge
        self._wishes = LanguageWishes(memory, keeps_facts)
        self._last_turns = FIFOCache[tuple[str, str], LastTurn](_MAX_CACHED_CONVERSATIONS)
        self._running: set[asyncio.Task[None]] = set()
        self._is_closing = False
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def run(self, inbound: Inbound) -> AsyncGenerator[Event, None]:
        """Yield the events of a turn; the last one carries the stored reply.

        Closing the iterator stops the turn: the text until then is stored.

        Raises:
            QwendeskError: the turn failed; the message stays stored.
        """
        check_limits(inbound, max_chars=self._max_chars)
        if self._knowledge:
            await self._knowledge.refresh()
        events: asyncio.Queue[Event | None] = asyncio.Queue()
        role, model = resolve_virtual_model(inbound.role, inbound.model)
        inbound = replace(inbound, text=storable_text(inbound.text), role=role, model=model)
        task = asyncio.create_task(self._turn(inbound, events))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        task.add_done_callback(lambda _: events.put_nowait(None))
        try:
            while (event := await events.get()) is not None:
                yield event
            if task.cancelled():
                raise EngineError("The desk was closed while it answered.")
            task.result()
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError, QwendeskError):
                await task

    async def drop(self, forgotten: Forgotten) -> None:
        """Drop the cached data and scheduled jobs of a deleted person."""
        self._last_turns.clear()
        await self.background.drop(forgotten)

    async def aclose(self) -> None:
        """Stop the running turns; their text until now is stored."""
        self._is_closing = True
        await self.background.aclose()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _turn(self, inbound: Inbound, events: asyncio.Queue[Event | None]) -> None:
        lock = self._locks.setdefault((inbound.channel, inbound.conversation), asyncio.Lock())
        async with lock:
            with self.background.turn():
                await self._run_turn(inbound, events)

    async def _run_turn(self, inbound: Inbound, events: asyncio.Queue[Event | None]) -> None:
        stopwatch = Stopwatch()
        stored = await self._memory.turns.context(inbound)
        # read before this turn is stored and becomes the last one
        last = await self._last_turn(inbound, stored.messages)
        turn = await self._memory.turns.begin(inbound)
        lasting = await self._wishes.current(inbound, stored)
        text: list[str] = []
        try:
            async with asyncio.timeout(self._timeout) as limit:
                collector = EventCollector(events, text, limit, self._timeout, stopwatch.started)
                ingested = await self._ingest_documents(inbound, last.language, collector)
                state = await self._answer(inbound, stored, last, lasting, ingested, collector)
            reply = _with_documents(write_reply(state, inbound.conversation, stopwatch), ingested, collector)
            self._remember(inbound, LastTurn(reply.receipt.language, reply.receipt.role))
            await self._memory.turns.finish(turn, reply)
            self.background.schedule(_finished(inbound, stored, state))
        except asyncio.CancelledError:
            reason = "the desk was closed" if self._is_closing else "stopped by the person"
            await asyncio.shield(self._memory.turns.fail(turn, "stopped", reason, "".join(text)))
            raise
        except TimeoutError as error:
            error_text = f"The turn took longer than {self._timeout:g} s and was given up (QWENDESK_TURN_TIMEOUT)."
            await self._memory.turns.fail(turn, "failed", error_text, "".join(text))
            raise EngineTimeout(error_text) from error
        except Exception as error:
            await self._memory.turns.fail(turn, "failed", redact(str(error)), "".join(text))
            raise
        events.put_nowait(Finished(reply))

    async def _ingest_documents(
        self, inbound: Inbound, language: str | None, collector: EventCollector
    ) -> IngestedDocuments:
        """Ingest the documents that came with the message."""
        if self._documents is None or not any(part.kind == "document" for part in inbound.attachments):
            return IngestedDocuments()
        known = inbound.locale or identify_language(inbound.text) or language
        return await self._documents.ingest(inbound, known, collector.add)

    async def _answer(
        self,
        inbound: Inbound,
        stored: StoredContext,
        last: LastTurn,
        lasting: LastingLanguage | None,
        ingested: IngestedDocuments,
        collector: EventCollector,
    ) -> TurnState:
        begin: TurnInput = {
            "inbound": inbound,
            "history": as_messages(stored.messages),
            "background": background_prompt(stored, self._context.prompts),
            "language": last.language,
            "lasting_language": lasting,
            "conversation_context": routing_context(stored.messages, last.role),
            "documents": ingested.prompt,
        }
        context = replace(self._context, emit=collector.add, started=collector.started)
        return await run_graph(self._graph, begin, context)

    async def _last_turn(self, inbound: Inbound, history: list[StoredMessage]) -> LastTurn:
        """Return the conversation's last turn, from the cache or the memory."""
        if not history:
            return LastTurn()
        key = (inbound.channel, inbound.conversation)
        if key not in self._last_turns:
            stored = await self._memory.history.last_turn(inbound.conversation, channel=inbound.channel)
            self._remember(inbound, last_turn_of(stored))
        return self._last_turns[key]

    def _remember(self, inbound: Inbound, turn: LastTurn) -> None:
        self._last_turns[inbound.channel, inbound.conversation] = turn


def check_limits(inbound: Inbound, *, max_chars: int) -> None:
    """Check the limits of a message.

    Raises:
        InputError: the message is empty or too long.
    """
    if inbound.is_empty:
        raise InputError("The message is empty.")
    if len(inbound.text) > max_chars:
        raise InputError(
            f"The message has {len(inbound.text):,} characters; at most {max_chars:,} are taken. "
            "Shorten it, or raise QWENDESK_MAX_INPUT_CHARS."
        )


def _with_documents(reply: Reply, ingested: IngestedDocuments, collector: EventCollector) -> Reply:
    """Return the reply with notes on the documents that were read, and the problems with others."""
    if ingested.problems:
        collector.add(TextDelta("\n\n" + "\n".join(ingested.problems)))
    text = "\n\n".join(filter(None, (reply.text, "\n".join(ingested.problems))))
    return replace(reply, text=text, receipt=replace(reply.receipt, notes=(*reply.receipt.notes, *ingested.notes)))


def _finished(inbound: Inbound, stored: StoredContext, state: TurnState) -> FinishedTurn:
    size = estimate_text_tokens(message.text for message in stored.messages)
    return FinishedTurn(inbound, state.get("choice"), size, len(stored.messages))


def as_messages(history: list[StoredMessage]) -> list[BaseMessage]:
    """Return stored messages in LangChain's form; files of older turns are only mentioned."""
    return [_as_message(message) for message in history]


def _as_message(message: StoredMessage) -> BaseMessage:
    if message.role == "assistant":
        return AIMessage(message.text)
    kinds = {part.kind for part in message.attachments}
    mentions = [f"\n[a {noun} came with this message]" for kind, noun in _NOUNS.items() if kind in kinds]
    return HumanMessage(message.text + "".join(mentions))
