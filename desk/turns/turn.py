"""One turn from message to stored reply; one at a time in each conversation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from weakref import WeakValueDictionary

from cachetools import FIFOCache
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage

from qwendesk.agents.context import TurnContext, run_graph
from qwendesk.agents.graph import TurnGraph
from qwendesk.agents.state import TurnInput, TurnState
from qwendesk.desk.turns.attachments import check_limits
from qwendesk.desk.turns.background import Background, Over
from qwendesk.desk.turns.conversation_context import Known, background, known_of, past_of, tokens_of
from qwendesk.desk.turns.documents import Documents, Taken
from qwendesk.desk.turns.knowledge import DeskKnowledge
from qwendesk.desk.turns.receipt import Stopwatch, write_reply
from qwendesk.errors import EngineError, EngineTimeout, QwendeskError
from qwendesk.held_words import Forgotten
from qwendesk.memory.memory import Memory
from qwendesk.memory.records import StoredContext, StoredMessage
from qwendesk.messages import AnswerReset, Event, Finished, Inbound, Notice, Reply, Routed, TextDelta, as_wish, storable
from qwendesk.redaction import redact
from qwendesk.routing.signals.language import identify_language

_NOUNS = {"image": "picture", "audio": "recording", "document": "document"}
_AT_HAND = 1000
"""Conversations of which the last turn is kept at hand; those of others are looked up."""


@dataclass(frozen=True, slots=True)
class _Listener:
    """Hands events on, keeps what was said, and gives the turn its time anew while a model is fetched or loaded."""

    events: asyncio.Queue[Event | None]
    said: list[str]
    limit: asyncio.Timeout
    seconds: float

    def tell(self, event: Event) -> None:
        """Take one event."""
        if isinstance(event, TextDelta):
            self.said.append(event.text)
        elif isinstance(event, Notice | Routed | AnswerReset):
            if isinstance(event, AnswerReset):
                self.said.clear()
            # a model is loaded on for others when this turn is over
            with suppress(RuntimeError):
                self.limit.reschedule(asyncio.get_running_loop().time() + self.seconds)
        self.events.put_nowait(event)


class Turns:
    """Runs turns: stores the question, lets the graph answer, stores the answer."""

    def __init__(
        self,
        graph: TurnGraph,
        context: TurnContext,
        memory: Memory,
        *,
        max_chars: int,
        timeout: float,
        later: Background | None = None,
        documents: Documents | None = None,
        knowledge: DeskKnowledge | None = None,
    ) -> None:
        self._graph = graph
        self._context = context
        self._memory = memory
        self._max_chars = max_chars
        self._timeout = timeout
        self._later = later or Background()
        self._documents = documents
        self._knowledge = knowledge
        self._known = FIFOCache[tuple[str, str], Known](_AT_HAND)
        self._running: set[asyncio.Task[None]] = set()
        self._is_closing = False
        self._locks: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def run(self, inbound: Inbound) -> AsyncGenerator[Event, None]:
        """Yield what happens in the turn; the last event carries the stored reply.

        Leaving early stops the turn: what was said until then is stored.

        Raises:
            QwendeskError: the turn failed; the question stays stored.
        """
        check_limits(inbound, max_chars=self._max_chars)
        if self._knowledge:
            await self._knowledge.refresh()
        events: asyncio.Queue[Event | None] = asyncio.Queue()
        role, model = as_wish(inbound.role, inbound.model)
        inbound = replace(inbound, text=storable(inbound.text), role=role, model=model)
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
        """Drop what is kept of a person's last turns."""
        self._known.clear()
        await self._later.drop(forgotten)

    async def aclose(self) -> None:
        """Stop the turns that are running; what was said until now is stored."""
        self._is_closing = True
        await self._later.aclose()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _turn(self, inbound: Inbound, events: asyncio.Queue[Event | None]) -> None:
        lock = self._locks.setdefault((inbound.channel, inbound.conversation), asyncio.Lock())
        async with lock:
            with self._later.turn():
                await self._take(inbound, events)

    async def _take(self, inbound: Inbound, events: asyncio.Queue[Event | None]) -> None:
        watch = Stopwatch()
        stored = await self._memory.turns.context(inbound)
        # before this turn is stored, since it would be the last one then
        known = await self._last(inbound, stored.messages)
        turn = await self._memory.turns.begin(inbound)
        said: list[str] = []
        try:
            async with asyncio.timeout(self._timeout) as limit:
                listener = _Listener(events, said, limit, self._timeout)
                taken = await self._taken(inbound, known.language, listener)
                state = await self._answer(inbound, stored, known, taken, listener)
            reply = _with_documents(write_reply(state, inbound.conversation, watch), taken, listener)
            self._remember(inbound, Known(reply.receipt.language, reply.receipt.role))
            await self._memory.turns.finish(turn, reply)
            self._later.note(_over(inbound, stored, state))
        except asyncio.CancelledError:
            why = "the desk was closed" if self._is_closing else "stopped by the person"
            await asyncio.shield(self._memory.turns.fail(turn, "stopped", why, "".join(said)))
            raise
        except TimeoutError as error:
            text = f"The turn took longer than {self._timeout:g} s and was given up (QWENDESK_TURN_TIMEOUT)."
            await self._memory.turns.fail(turn, "failed", text, "".join(said))
            raise EngineTimeout(text) from error
        except Exception as error:
            await self._memory.turns.fail(turn, "failed", redact(str(error)), "".join(said))
            raise
        events.put_nowait(Finished(reply))

    async def _taken(self, inbound: Inbound, known: str | None, listener: _Listener) -> Taken:
        """Take in the documents that came with the message."""
        if self._documents is None or not any(part.kind == "document" for part in inbound.attachments):
            return Taken()
        language = inbound.locale or identify_language(inbound.text) or known
        return await self._documents.take_in(inbound, language, listener.tell)

    async def _answer(
        self, inbound: Inbound, stored: StoredContext, known: Known, taken: Taken, listener: _Listener
    ) -> TurnState:
        begin: TurnInput = {
            "inbound": inbound,
            "history": as_messages(stored.messages),
            "background": background(stored, self._context.prompts),
            "language": known.language,
            "conversation_context": past_of(stored.messages, known.role),
            "documents": taken.told,
        }
        context = replace(self._context, emit=listener.tell)
        return await run_graph(self._graph, begin, context)

    async def _last(self, inbound: Inbound, history: list[StoredMessage]) -> Known:
        """Return what is known of the last turn; it is looked up only where it is not at hand."""
        if not history:
            return Known()
        key = (inbound.channel, inbound.conversation)
        if key not in self._known:
            last = await self._memory.history.last_turn(inbound.conversation, channel=inbound.channel)
            self._remember(inbound, known_of(last))
        return self._known[key]

    def _remember(self, inbound: Inbound, known: Known) -> None:
        self._known[inbound.channel, inbound.conversation] = known


def _with_documents(reply: Reply, taken: Taken, listener: _Listener) -> Reply:
    """Say with the answer which documents were read, and which could not be."""
    if taken.problems:
        listener.tell(TextDelta("\n\n" + "\n".join(taken.problems)))
    text = "\n\n".join(filter(None, (reply.text, "\n".join(taken.problems))))
    return replace(reply, text=text, receipt=replace(reply.receipt, notes=(*reply.receipt.notes, *taken.notes)))


def _over(inbound: Inbound, stored: StoredContext, state: TurnState) -> Over:
    size = tokens_of(message.text for message in stored.messages)
    return Over(inbound, state.get("choice"), size, len(stored.messages))


def as_messages(history: list[StoredMessage]) -> list[BaseMessage]:
    """Return stored messages as a model reads them; files of older turns are only mentioned."""
    return [_as_message(message) for message in history]


def _as_message(message: StoredMessage) -> BaseMessage:
    if message.role == "assistant":
        return AIMessage(message.text)
    kinds = {part.kind for part in message.attachments}
    came = [f"\n[a {noun} came with this message]" for kind, noun in _NOUNS.items() if kind in kinds]
    return HumanMessage(message.text + "".join(came))


async def reply_of(events: AsyncGenerator[Event, None], show: Callable[[Event], None] | None = None) -> Reply:
    """Follow a turn to its end and return the reply; ``show`` is given every event."""
    async with aclosing(events):
        async for event in events:
            if show:
                show(event)
            if isinstance(event, Finished):
                return event.reply
    raise EngineError("The turn ended without a reply.")
