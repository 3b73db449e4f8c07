"""Stream one answer of the role's model, which may be a request to call tools."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing
from typing import Any, Literal

from langchain_core.messages import AIMessage
from langgraph.runtime import Runtime

from qwendesk.agents.checks.human_claims import HumanClaimDetector
from qwendesk.agents.model_call import (
    CollectedStream,
    answer_text,
    build_prompt,
    call_settings,
    chosen_model,
    keep_first_answer,
    only_reports,
)
from qwendesk.agents.roles import is_small, offered_tools, role_definition
from qwendesk.agents.state import TurnContext, TurnState, answer_language
from qwendesk.errors import EngineError
from qwendesk.messages import AnswerReset, Event, TextDelta, ThinkingDelta
from qwendesk.models.card import SelectedModel


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


async def after_answer(state: TurnState, runtime: Runtime[TurnContext]) -> Literal["review_calls", "check"]:
    """Review the calls that the model asks for, if it may call; otherwise check the answer."""
    if state.get("kept_answer"):
        return "check"
    last = state["messages"][-1]
    asks = isinstance(last, AIMessage) and bool(last.tool_calls or last.invalid_tool_calls)
    return "review_calls" if asks and _may_call(state, runtime.context) else "check"


async def _answer(state: TurnState, context: TurnContext) -> dict[str, Any]:
    emit, choice, definition = context.emit, chosen_model(state), role_definition(state["decision"].role)
    answering = context.pool.fallback_chat(choice, context.progress)
    tools = _offered_tools(state, context)
    settings = call_settings(state, definition, context, tools)
    template = "report" if only_reports(state) else definition.prompt
    prompt = build_prompt(state, template, context, tools=bool(tools))
    collected = CollectedStream()
    between = "\n\n" if answer_text(state) else _opening(state, collected)
    detector = HumanClaimDetector(state["inbound"].text, answer_language(state))
    # closed explicitly if emitting fails: an abandoned stream keeps its slot of the model's queue
    async with aclosing(answering.stream(prompt, **settings)) as chunks:
        async for chunk in chunks:
            collected.add(chunk)
            if thinking := chunk.additional_kwargs.get("reasoning_content"):
                emit(ThinkingDelta(thinking))
            if correction := detector.feed(chunk.text):
                return _corrected(state, correction, collected, answering.choice, emit)
            if chunk.text:
                emit(TextDelta(between + chunk.text))
                between = ""
    if correction := detector.finish():
        return _corrected(state, correction, collected, answering.choice, emit)
    message = collected.message()
    return {
        "messages": [message],
        "thinking": "".join(collected.thinking),
        "notes": collected.notes() + _skipped_calls(message, state, context),
        "usage": collected.usage(),
        "choice": answering.choice,
    }


def _offered_tools(state: TurnState, context: TurnContext) -> list[dict[str, Any]]:
    """Return the tools of a call of the model; a small one is offered tools once, or it would call on and on."""
    card = chosen_model(state).card
    if is_small(card) and any(isinstance(message, AIMessage) for message in state["messages"]):
        return []
    return offered_tools(role_definition(state["decision"].role), card, state["inbound"].text, context)


def _opening(state: TurnState, collected: CollectedStream) -> str:
    """Return the machine notice that opens the answer, if the person asked for it."""
    opening = f"{notice}\n\n" if (notice := state.get("machine_notice")) else ""
    collected.text.append(opening)
    return opening


def _corrected(
    state: TurnState, correction: str, collected: CollectedStream, choice: SelectedModel, emit: Callable[[Event], None]
) -> dict[str, Any]:
    """Replace an answer that claims to be human."""
    emit(AnswerReset("the answer claimed to be human", choice.card.name))
    emit(TextDelta(correction))
    return {
        "messages": [AIMessage(correction)],
        "try_start": len(state["messages"]),
        "thinking": "".join(collected.thinking),
        "notes": ["the answer claimed to be human and was replaced"],
        "usage": collected.usage(),
        "choice": choice,
    }


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
