"""Stream one answer of the role's model, which may be a request to call tools."""

from __future__ import annotations

import asyncio
import time
from contextlib import aclosing
from typing import Any, Literal

from langchain_core.messages import AIMessage
from langgraph.runtime import Runtime

from qwendesk.agents.guarded_answer import may_try_again, prepared_guards
from qwendesk.agents.guards.stream import GuardedStream
from qwendesk.agents.model_call import (
    CollectedStream,
    answer_text,
    build_prompt,
    call_settings,
    chosen_model,
    keep_first_answer,
    only_reports,
)
from qwendesk.agents.nodes.retrieve import is_decided
from qwendesk.agents.nodes.review_calls import skips_a_look_up
from qwendesk.agents.roles import RoleDefinition, is_small, offered_tools, role_definition
from qwendesk.agents.state import GuardReport, TurnContext, TurnState
from qwendesk.agents.written_calls import WrittenCalls
from qwendesk.errors import EngineError
from qwendesk.messages import AnswerReset, TextDelta, ThinkingDelta

_MIN_HOLD_SECONDS = 0.7
"""Seconds from the start of a turn until which its first sentence is held: channels post their first text later."""
_HOLD_SHARE = 0.08
"""Share of the time to the first token that a first sentence is held longer."""


async def answer(state: TurnState, runtime: Runtime[TurnContext]) -> dict[str, Any]:
    """Stream one answer; if a second try fails, the first answer is kept.

    Raises:
        EngineError: the model failed and there is no first answer.
    """
    try:
        return await _answer(state, runtime.context)
    except EngineError as error:
        request = state.get("retry_request")
        if request is None or not request.first_answer:
            raise
        return keep_first_answer(request, f"{chosen_model(state).card.name} failed: {error}", runtime.context)


async def after_answer(state: TurnState, runtime: Runtime[TurnContext]) -> Literal["review_calls", "quote", "check"]:
    """Review the calls that the model asks for, if it may call; otherwise check the answer.

    A model that was asked for the sake of its tools only, and calls none, gives way to the documents.
    """
    if state.get("kept_answer"):
        return "check"
    last = state["messages"][-1]
    asks = isinstance(last, AIMessage) and bool(last.tool_calls or last.invalid_tool_calls)
    if _may_call(state, runtime.context) and (asks or skips_a_look_up(state, runtime.context)):
        return "review_calls"
    return "quote" if is_decided(state) else "check"


async def _answer(state: TurnState, context: TurnContext) -> dict[str, Any]:
    emit, choice, definition = context.emit, chosen_model(state), role_definition(state["decision"].role)
    answering = context.pool.fallback_chat(choice, context.progress)
    tools = _offered_tools(state, context)
    settings = call_settings(state, definition, context, tools)
    prompt = build_prompt(state, _template(state, definition, tools), context, tools=bool(tools))
    collected, written = CollectedStream(), WrittenCalls(is_looked_for=bool(tools) and is_small(choice.card))
    shown = _Shown(state, context)
    guards = await prepared_guards(state, context)
    stream = GuardedStream(guards, shown.add, stops=may_try_again(state, context))
    hold: asyncio.TimerHandle | None = None
    try:
        # closed explicitly if emitting fails: an abandoned stream keeps its slot of the model's queue
        async with aclosing(answering.stream(prompt, **settings)) as chunks:
            async for chunk in chunks:
                collected.add(chunk)
                if thinking := chunk.additional_kwargs.get("reasoning_content"):
                    emit(ThinkingDelta(thinking))
                if chunk.text and not hold and shown.is_first:
                    hold = _release_later(stream, context.started)
                stream.feed(written.feed(chunk.text))
                if stream.is_over:
                    break
            stream.feed(written.finish())
    finally:
        if hold:
            hold.cancel()
    message = AIMessage("", invalid_tool_calls=written.calls) if written.calls else collected.message()
    has_calls = bool(message.tool_calls or message.invalid_tool_calls)
    stream.finish(has_calls=has_calls and _may_call(state, context))
    # a faulty first try goes into the prompt of the second one as it was said
    said = message.text if stream.stops or not stream.findings else stream.text
    calls: dict[str, Any] = {"tool_calls": [], "invalid_tool_calls": []} if stream.is_over else {}
    message = message.model_copy(update={"content": f"{shown.opening}{said}", **calls})
    if stream.is_ahead and not stream.stops:
        emit(AnswerReset(stream.findings[0].detail, answering.choice.card.name))
        shown.again(stream.text)
    return {
        "messages": [message],
        "thinking": "".join(collected.thinking),
        "notes": [*collected.notes(), *stream.notes(), *_skipped_calls(message, state, context)],
        "usage": collected.usage(),
        "choice": answering.choice,
        "guard_report": GuardReport(tuple(stream.checks()), stream.fault),
    }


def _offered_tools(state: TurnState, context: TurnContext) -> list[dict[str, Any]]:
    """Return the tools of a call of the model.

    A small one is offered tools once in a try, or it would call on and on. A second try after a call of an own tool
    gets none, since the call would be carried out again; it answers from the results of the first.
    """
    card, begun = chosen_model(state).card, state.get("try_start", 0)
    if is_small(card) and any(isinstance(message, AIMessage) for message in state["messages"][begun:]):
        return []
    if begun and any(use.ok and use.name in context.own_tools for use in state["tool_uses"]):
        return []
    return offered_tools(role_definition(state["decision"].role), card, state["inbound"].text, context)


def _template(state: TurnState, definition: RoleDefinition, tools: list[dict[str, Any]]) -> str:
    """Return the name of the prompt template; a small model calls tools less under the one of a role."""
    if tools and is_small(chosen_model(state).card):
        return "tools"
    return "report" if only_reports(state) else definition.prompt


class _Shown:
    """Shows the text of one answer, behind the text of the same try and the machine notice."""

    def __init__(self, state: TurnState, context: TurnContext) -> None:
        self._emit = context.emit
        self._before = answer_text(state)
        self.opening = "" if self._before or not (notice := state.get("machine_notice")) else f"{notice}\n\n"
        """The machine notice that opens the answer, if the person asked for it."""
        self._between = "\n\n" if self._before else self.opening
        self.is_first = not (self._before or state.get("escalation"))
        """Whether nothing of the turn's answer was shown before."""

    def add(self, text: str) -> None:
        """Show the next piece."""
        self._emit(TextDelta(self._between + text))
        self._between = ""

    def again(self, text: str) -> None:
        """Show the text of the try so far, behind a reset."""
        before = self._before or self.opening.strip()
        self._emit(TextDelta("\n\n".join(filter(None, (before, text)))))
        self._between = ""


def _release_later(stream: GuardedStream, started: float) -> asyncio.TimerHandle:
    """Show the first sentence unchecked if it takes long, so that the first text is not much later than without guards.

    It is withdrawn if it turns out to be at fault.
    """
    passed = time.perf_counter() - started
    wait = max(_MIN_HOLD_SECONDS - passed, passed * _HOLD_SHARE)
    return asyncio.get_running_loop().call_later(wait, stream.hurry)


def _may_call(state: TurnState, context: TurnContext) -> bool:
    return not state.get("tools_stopped") and state.get("tool_rounds", 0) < context.max_tool_rounds


def _skipped_calls(message: AIMessage, state: TurnState, context: TurnContext) -> list[str]:
    """Return the receipt's note about calls that the model asked for when no more were allowed."""
    names = [call["name"] or "unknown" for call in (*message.tool_calls, *message.invalid_tool_calls)]
    if not names or _may_call(state, context):
        return []
    why = (
        state.get("tools_stopped")
        or f"only {context.max_tool_rounds} rounds of calls are made (QWENDESK_MAX_TOOL_ROUNDS)"
    )
    return [f"calls that the model asked for were not made ({', '.join(names)}): {why}"]
