"""Let the specialist answer, or ask for tools."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Literal

from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langgraph.runtime import Runtime

from qwendesk.agents.context import TurnContext
from qwendesk.agents.experts import expert_for
from qwendesk.agents.experts.base import Expert
from qwendesk.agents.human_claims import ClaimGuard
from qwendesk.agents.nodes.again import keep_first
from qwendesk.agents.offers import offered, picks
from qwendesk.agents.routing.language import english_name
from qwendesk.agents.state import Tally, TurnState
from qwendesk.engines.choice import Choice
from qwendesk.errors import EngineError, EngineUnavailable
from qwendesk.messages import Event, Restarted, TextDelta, ThinkingDelta
from qwendesk.prompts import render
from qwendesk.quoting import Block, indented

_WITHOUT_BACKGROUND = ("pick", "report")
"""Prompts that small models follow only when they are short."""


async def answer(state: TurnState, runtime: Runtime[TurnContext]) -> dict[str, Any]:
    """Stream one answer of the role's model; a second try that fails leaves the first."""
    try:
        return await _answer(state, runtime.context)
    except EngineError as error:
        needed = state.get("again")
        if needed is None or not needed.first:
            raise
        return keep_first(needed, f"{chosen(state).card.name} failed: {error}", runtime.context)


async def _answer(state: TurnState, context: TurnContext) -> dict[str, Any]:
    tell, choice, expert = context.tell, chosen(state), expert_for(state["decision"].role)
    answering = context.pool.answering(choice, context.progress)
    settings = _settings(state, expert, context)
    if tools := [] if picks(choice.card) or not choice.card.tools else offered(expert, context):
        settings["tools"] = tools
    template = "report" if _reports(state) else expert.prompt
    collected = Collected()
    between = "\n\n" if said(state) else _open(state, collected)
    guard = ClaimGuard(state["inbound"].text, state["language"])
    # closed at once where telling fails: a stream that is only dropped keeps its place in the model's line
    async with aclosing(answering.stream(prompt(state, template, context, tools=bool(tools)), **settings)) as chunks:
        async for chunk in chunks:
            collected.add(chunk)
            if thinking := chunk.additional_kwargs.get("reasoning_content"):
                tell(ThinkingDelta(thinking))
            if truth := guard.claims(chunk.text):
                return _truthful(state, truth, collected, answering.choice, tell)
            if chunk.text:
                tell(TextDelta(between + chunk.text))
                between = ""
    if truth := guard.rest():
        return _truthful(state, truth, collected, answering.choice, tell)
    message = collected.message()
    return {
        "messages": [message],
        "thinking": "".join(collected.thinking),
        "notes": collected.notes() + _not_made(message, state, context),
        "tally": collected.tally(),
        "choice": answering.choice,
    }


def _open(state: TurnState, collected: Collected) -> str:
    """Return what the answer begins with: that a machine answers, where the person asks for it."""
    opening = f"{truth}\n\n" if (truth := state.get("truth")) else ""
    collected.text.append(opening)
    return opening


def _truthful(
    state: TurnState, truth: str, collected: Collected, choice: Choice, tell: Callable[[Event], None]
) -> dict[str, Any]:
    """Say the truth in place of an answer that claims to be human."""
    tell(Restarted("the answer claimed to be human", choice.card.name))
    tell(TextDelta(truth))
    return {
        "messages": [AIMessage(truth)],
        "since": len(state["messages"]),
        "thinking": "".join(collected.thinking),
        "notes": ["the answer claimed to be human and was replaced"],
        "tally": collected.tally(),
        "choice": choice,
    }


def after_answer(state: TurnState, context: TurnContext) -> Literal["act", "check"]:
    """Call tools where the model asks for them and may."""
    if state.get("kept"):
        return "check"
    last = state["messages"][-1]
    asks = isinstance(last, AIMessage) and bool(last.tool_calls or last.invalid_tool_calls)
    return "act" if asks and _may_call(state, context) else "check"


def _may_call(state: TurnState, context: TurnContext) -> bool:
    return not state.get("stopped") and state.get("rounds", 0) < context.tool_rounds


def _not_made(message: AIMessage, state: TurnState, context: TurnContext) -> list[str]:
    """Return what the receipt notes of calls that the model asked for where it may make none any more."""
    names = [call["name"] or "unknown" for call in (*message.tool_calls, *message.invalid_tool_calls)]
    if not names or _may_call(state, context):
        return []
    why = state.get("stopped") or f"only {context.tool_rounds} rounds of calls are made (QWENDESK_TOOL_ROUNDS)"
    return [f"calls that the model asked for were not made ({', '.join(names)}): {why}"]


def prompt(state: TurnState, template: str, context: TurnContext, *, tools: bool = False) -> list[BaseMessage]:
    """Return all that the model reads: who it is, the older turns, this turn so far."""
    language = english_name(state["language"])
    system = render(template, folder=context.prompts, language=language, tools=tools)
    if context.about and template not in _WITHOUT_BACKGROUND:
        system = f"{system}\n\n{render('about', folder=context.prompts, about=Block(context.about.strip()))}"
    if template not in _WITHOUT_BACKGROUND and (background := state.get("background")):
        system = f"{system}\n\n{background}"
    turn = _small_turn(state, language) if picks(chosen(state).card) else _turn(state)
    return [SystemMessage(system), *state["history"], *turn]


def _turn(state: TurnState) -> list[BaseMessage]:
    """Return this turn's messages as this try is given them."""
    return [*state.get("base", ()), *state["messages"][state.get("since", 0) :]]


def said(state: TurnState) -> str:
    """Return all that the model has said to the person in the try that counts, also before it called a tool."""
    if kept := state.get("kept"):
        return kept
    tried = state["messages"][state.get("since", 0) :]
    texts = [message.text.strip() for message in tried if isinstance(message, AIMessage)]
    return "\n\n".join(text for text in texts if text)


def chosen(state: TurnState) -> Choice:
    """Return the turn's model; the graph comes here only with one."""
    choice = state["choice"]
    if choice is None:
        raise EngineUnavailable("No model was chosen for this turn.")
    return choice


def _reports(state: TurnState) -> bool:
    """Tell whether a small model has only to report what its tool returned."""
    return picks(chosen(state).card) and any(map(_succeeded, _turn(state)))


def _succeeded(message: BaseMessage) -> bool:
    return isinstance(message, ToolMessage) and message.status == "success"


def _small_turn(state: TurnState, language: str | None) -> list[BaseMessage]:
    """Put what tools returned into the question: a small model that sees a call in its prompt writes another one."""
    turn = _turn(state)
    results = [f"Result of {message.name}: {indented(message.text)}" for message in turn if _succeeded(message)]
    if not results:
        return [turn[0], *(message for message in turn[1:] if message.text and not isinstance(message, ToolMessage))]
    results += [message.text for message in turn[1:] if isinstance(message, HumanMessage)]
    wanted = f"Write the answer to the question{f' in {language}' if language else ''}:"
    return [HumanMessage("\n".join([f"Question: {indented(turn[0].text)}", *results, wanted]))]


def _settings(state: TurnState, expert: Expert, context: TurnContext) -> dict[str, Any]:
    settings: dict[str, Any] = {"think": state["think"]}
    # the setting goes to every model: one of a server may think although nothing is known of it
    if budget := state.get("think_budget") or context.think_budget:
        settings["think_budget"] = budget
    if _reports(state):
        settings |= {"temperature": 0.0, "repetition_penalty": 1.0}
    elif expert.temperature is not None and not state["think"]:
        settings["temperature"] = expert.temperature
    if context.seed is not None:
        settings["seed"] = context.seed
    return settings


@dataclass(slots=True)
class Collected:
    """Puts the pieces of an answer together."""

    text: list[str] = field(default_factory=list)
    thinking: list[str] = field(default_factory=list)
    calls: AIMessageChunk | None = None
    last: AIMessageChunk | None = None
    first_at: float | None = None

    def add(self, chunk: AIMessageChunk) -> None:
        """Take the next piece."""
        self.text.append(chunk.text)
        self.thinking.append(chunk.additional_kwargs.get("reasoning_content", ""))
        if self.first_at is None and (chunk.text or self.thinking[-1]):
            self.first_at = time.perf_counter()
        if chunk.tool_call_chunks:
            self.calls = chunk if self.calls is None else self.calls + chunk
        if chunk.usage_metadata:
            self.last = chunk

    def message(self) -> AIMessage:
        """Return the whole message; thinking is left out, since it never goes back to a model."""
        return AIMessage(
            "".join(self.text),
            tool_calls=self.calls.tool_calls if self.calls else [],
            invalid_tool_calls=self.calls.invalid_tool_calls if self.calls else [],
        )

    def tally(self) -> Tally:
        """Return its tokens and times."""
        usage = self.last.usage_metadata if self.last else None
        rate = self.last.response_metadata.get("tokens_per_second") if self.last else None
        tokens_in, tokens_out = (usage["input_tokens"], usage["output_tokens"]) if usage else (0, 0)
        return Tally(tokens_in, tokens_out, tokens_out / rate if rate else 0.0, self.first_at)

    def notes(self) -> list[str]:
        """Return what the person should know of it."""
        meta = self.last.response_metadata if self.last else {}
        notes = []
        if dropped := meta.get("dropped_messages"):
            notes.append(f"the {dropped} oldest messages did not fit into the model's context")
        if meta.get("finish_reason") == "length":
            notes.append("the answer was cut at its token limit (QWENDESK_MAX_OUTPUT_TOKENS)")
        return notes
