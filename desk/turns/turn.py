"""Run a turn: check the message, load the context, run the graph, store the reply; one at a time in a conversation.

A turn that the graph interrupts before a risky call is stored with its state, and goes on by ``TurnRunner.resume``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal

from langgraph.types import Command

from qwendesk.agents.graph import TurnGraph
from qwendesk.agents.nodes.reply import approval_question
from qwendesk.agents.state import ConversationInput, TurnContext, TurnInput, TurnState, run_graph
from qwendesk.desk.turns.background import BackgroundJobs, FinishedTurn
from qwendesk.desk.turns.conversation_context import (
    LastTurn,
    LastTurns,
    as_messages,
    background_prompt,
    routing_context,
)
from qwendesk.desk.turns.knowledge import DeskKnowledge, IngestedDocuments, MessageDocuments
from qwendesk.desk.turns.language_wishes import LanguageWishes
from qwendesk.desk.turns.pending import NOTHING_PENDING, Approvals, interrupted_calls, pending_calls, thread
from qwendesk.desk.turns.receipt import Stopwatch, write_pending, write_reply
from qwendesk.desk.turns.running import EventCollector, EventQueue, RunningTurns
from qwendesk.engines.context_window import estimate_text_tokens
from qwendesk.errors import EngineError, EngineTimeout, InputError
from qwendesk.memory.memory import Memory
from qwendesk.memory.records import StoredContext
from qwendesk.messages import (
    Approval,
    ApprovalNeeded,
    Event,
    Finished,
    Inbound,
    PendingCall,
    Reply,
    Role,
    TextDelta,
    ToolUse,
    resolve_virtual_model,
    storable_text,
)
from qwendesk.redaction import redact
from qwendesk.routing.signals.language import identify_language
from qwendesk.text_caches import Forgotten

Answered = tuple[Reply, FinishedTurn | None]
"""A reply, and the background jobs' view of the turn; None while it is pending."""


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
        approvals: the turns that wait for an approval; None: the graph cannot be interrupted.
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
        approvals: Approvals | None = None,
    ) -> None:
        self._approvals = approvals
        self._graph = graph
        self._context = context
        self._memory = memory
        self._max_chars = max_chars
        self._timeout = timeout
        self.background = background or BackgroundJobs()
        self._documents = documents
        self._knowledge = knowledge
        self._wishes = LanguageWishes(memory, keeps_facts)
        self._last_turns = LastTurns(memory)
        self._running = RunningTurns(self.background)

    async def run(self, inbound: Inbound) -> AsyncGenerator[Event, None]:
        """Yield the events of a turn; the last one carries the stored reply.

        Closing the iterator stops the turn: the text until then is stored.

        Raises:
            QwendeskError: the turn failed; the message stays stored.
        """
        check_limits(inbound, max_chars=self._max_chars)
        if self._knowledge:
            await self._knowledge.refresh()
        role, model = resolve_virtual_model(inbound.role, inbound.model)
        inbound = replace(inbound, text=storable_text(inbound.text), role=role, model=model)
        async with aclosing(self._running.events(inbound, partial(self._run_turn, inbound))) as events:
            async for event in events:
                yield event

    async def resume(self, inbound: Inbound, approval: Approval) -> AsyncGenerator[Event, None]:
        """Yield the events of a pending turn that goes on; the last one carries the stored reply.

        Args:
            inbound: channel, conversation and person; the message is that of the turn.
            approval: the decision on its calls.

        Raises:
            InputError: the conversation's newest turn waits for no approval, or for one of a tool that is gone.
            QwendeskError: the turn failed; it is not pending any more.
        """
        async with aclosing(self._running.events(inbound, partial(self._resume_turn, inbound, approval))) as events:
            async for event in events:
                yield event

    async def pending(self, conversation: str, *, channel: str) -> tuple[PendingCall, ...]:
        """Return the calls of a conversation's newest turn that wait for an approval."""
        found = await self._memory.pending.find(conversation, channel=channel)
        return pending_calls(found.calls) if found and found.expires_at > datetime.now(UTC) else ()

    async def drop(self, forgotten: Forgotten) -> None:
        """Drop the cached data and scheduled jobs of a deleted person."""
        self._last_turns.clear()
        await self.background.drop(forgotten)

    async def aclose(self) -> None:
        """Stop the running turns; their text until now is stored."""
        self._running.is_closing = True
        await self.background.aclose()
        await self._running.aclose()

    async def _run_turn(self, inbound: Inbound, events: EventQueue) -> None:
        stopwatch = Stopwatch()
        stored = await self._memory.turns.context(inbound)
        # read before this turn is stored and becomes the last one
        last = await self._last_turns.find(inbound, stored.messages)
        turn = await self._memory.turns.begin(inbound)
        lasting = await self._wishes.current(inbound, stored)

        async def answer(collector: EventCollector) -> Answered:
            ingested = await self._ingest_documents(inbound, last.language, collector)
            dropped = [f"{tool} was not called: a new message came before it was approved" for tool in last.waits_for]
            begin: TurnInput = {
                "inbound": inbound,
                "language": last.language,
                "lasting_language": lasting,
                "documents": ingested.prompt,
                "problems": "\n".join(ingested.problems),
                "notes": [*ingested.notes, *dropped],
                **self._conversation(stored, last.role),
            }
            return await self._answer(turn, begin, self._context, stored, stopwatch, collector)

        await self._finish(turn, inbound, events, stopwatch.started, answer)

    async def _resume_turn(self, inbound: Inbound, approval: Approval, events: EventQueue) -> None:
        stopwatch, approvals = Stopwatch(), self._approvals
        if approvals is None:
            raise InputError(NOTHING_PENDING)
        if self._knowledge:
            await self._knowledge.refresh()
        resumed = await approvals.claim(inbound, approval)
        turn, checkpoint, asked = resumed.turn, resumed.checkpoint, resumed.inbound
        self._last_turns.drop(asked)
        # the settings may have changed meanwhile; the decision holds for these calls all the same
        context = replace(self._context, asked=resumed.asked)

        async def answer(collector: EventCollector) -> Answered:
            if checkpoint.said:
                collector.add(TextDelta(checkpoint.said))
            await checkpoint.restore(approvals.saver, turn, self._conversation(resumed.stored, None))
            # the decision is never empty, which LangGraph would take for no decision
            go_on: Command[Any] = Command(resume=resumed.decision)
            return await self._answer(turn, go_on, context, resumed.stored, stopwatch, collector)

        await self._finish(turn, asked, events, stopwatch.started, answer)

    async def _finish(
        self,
        turn: str,
        inbound: Inbound,
        events: EventQueue,
        started: float,
        answer: Callable[[EventCollector], Awaitable[Answered]],
    ) -> None:
        """Answer within the time limit, and store the reply or why there is none."""
        text, done = list[str](), list[ToolUse]()

        async def fail(status: Literal["failed", "stopped"], why: str) -> str:
            if ran := self._carried_out(done):
                text.append(f"\n\n({ran})" if text else f"({ran})")
                why = f"{why} {ran}"
            await self._memory.turns.fail(turn, status, why, "".join(text), done)
            return why

        try:
            async with asyncio.timeout(self._timeout) as limit:
                reply, finished = await answer(EventCollector(events, text, limit, self._timeout, started, done))
            receipt = reply.receipt
            self._last_turns.keep(inbound, LastTurn(receipt.language, receipt.role, receipt.waits_for))
            await self._memory.turns.finish(turn, reply)
            if finished:
                self.background.schedule(finished)
        except asyncio.CancelledError:
            await asyncio.shield(
                fail("stopped", "the desk was closed" if self._running.is_closing else "stopped by the person")
            )
            raise
        except TimeoutError as error:
            why = f"The turn took longer than {self._timeout:g} s and was given up (QWENDESK_TURN_TIMEOUT)."
            raise EngineTimeout(await fail("failed", why)) from error
        except Exception as error:
            why = await fail("failed", redact(str(error)))
            if isinstance(error, EngineError) and self._carried_out(done):
                # not an outage, after which the turn could be run again
                raise EngineError(why) from error
            raise
        finally:
            if self._approvals:
                await self._approvals.saver.adelete_thread(turn)
        events.put_nowait(Finished(reply))

    def _carried_out(self, done: Sequence[ToolUse]) -> str:
        """Return which risky calls were made by a turn without an answer; empty if there was none."""
        risky = self._context.toolbox.risky_names
        names = dict.fromkeys(use.name for use in done if use.ok and use.name in risky)
        return f"{', '.join(names)}: carried out, although there is no answer." if names else ""

    async def _ingest_documents(
        self, inbound: Inbound, language: str | None, collector: EventCollector
    ) -> IngestedDocuments:
        """Ingest the documents that came with the message."""
        if self._documents is None or not any(part.kind == "document" for part in inbound.attachments):
            return IngestedDocuments()
        known = inbound.locale or identify_language(inbound.text) or language
        return await self._documents.ingest(inbound, known, collector.add)

    def _conversation(self, stored: StoredContext, role: Role | None) -> ConversationInput:
        """Return the parts of the graph's input that are read from the conversation."""
        return {
            "history": as_messages(stored.messages),
            "background": background_prompt(stored, self._context.prompts),
            "conversation_context": routing_context(stored.messages, role),
        }

    async def _answer(
        self,
        turn: str,
        begin: TurnInput | Command[Any],
        context: TurnContext,
        stored: StoredContext,
        stopwatch: Stopwatch,
        collector: EventCollector,
    ) -> Answered:
        """Run the graph to its end, or to an interrupt, at which its state is stored."""
        context = replace(context, emit=collector.add, started=collector.started)
        state = await run_graph(self._graph, begin, context, thread(turn) if self._approvals else None)
        calls, inbound, problems = interrupted_calls(state), state["inbound"], state.get("problems", "")

        def add(part: str) -> str:
            collector.add(TextDelta(f"\n\n{part}" if collector.text else part))
            return part

        if problems:
            add(problems)
        if self._approvals is None or not calls:
            reply = write_reply(state, inbound.conversation, stopwatch)
            text = "\n\n".join(filter(None, (reply.text, problems)))
            return replace(reply, text=text), _finished(inbound, stored, state)
        await self._approvals.suspend(turn, calls)
        asked = "" if inbound.asks_operators else add(approval_question(state, calls))
        question = "\n\n".join(filter(None, (problems, asked)))
        collector.add(ApprovalNeeded(calls))
        return write_pending(state, calls, question, stopwatch), None


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


def _finished(inbound: Inbound, stored: StoredContext, state: TurnState) -> FinishedTurn:
    size = estimate_text_tokens(message.text for message in stored.messages)
    return FinishedTurn(inbound, state.get("choice"), size, len(stored.messages))
