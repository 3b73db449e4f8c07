"""Answer one question of a message that holds several, and put the answers together."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import replace
from typing import Any, Protocol, TypedDict

from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime

from qwendesk.agents.context import TurnContext
from qwendesk.agents.lanes import Lanes, title
from qwendesk.agents.nodes.reply import part_failed
from qwendesk.agents.run import run_graph
from qwendesk.agents.split import Question
from qwendesk.agents.state import PartAnswer, Tally, TurnState
from qwendesk.errors import QwendeskError
from qwendesk.messages import Event, Part, Restarted, TextDelta


class PartState(TypedDict):
    """What is sent to the node for one question."""

    index: int
    question: Question
    lanes: Lanes
    state: TurnState


class PartNode(Protocol):
    """Answers one question of several."""

    def __call__(self, state: PartState, *, runtime: Runtime[TurnContext]) -> Awaitable[dict[str, Any]]:
        """Return the answer, for ``merge``."""
        ...


def part_node(graph: CompiledStateGraph[TurnState, TurnContext, TurnState, TurnState]) -> PartNode:
    """Return the node that answers one question by a graph of its own."""

    async def part(state: PartState, *, runtime: Runtime[TurnContext]) -> dict[str, Any]:
        lanes, index = state["lanes"], state["index"]
        try:
            answer = await _answer(graph, state, runtime.context)
        except QwendeskError as error:
            answer = _failed(index, state, error)
            lanes.replace(index, answer.text)
        # not where the turn is stopped: that would show, and store, what others were about to say
        lanes.close(index)
        return {"answers": [answer]}

    return part


async def merge(state: TurnState) -> dict[str, Any]:
    """Put the answers together in the order of their questions; one that failed leaves the others as they are."""
    answers = sorted(state["answers"], key=lambda answer: answer.index)
    done = [answer.state for answer in answers if answer.state is not None]
    if not done:
        raise next(answer.error for answer in answers if answer.error)
    parts = tuple(answer.receipt for answer in answers)
    first = done[0]
    reason = f"{len(answers)} questions in one message, each to its specialist"
    escalations = [one["escalation"] for one in done if one.get("escalation")]
    return {
        "text": "".join(answer.text for answer in answers),
        "decision": replace(first["decision"], signals=(reason,), confidence=min(part.confidence for part in parts)),
        "choice": first["choice"],
        "think": any(one["think"] for one in done),
        "tools": [use for one in done for use in one.get("tools", ())],
        "checks": [check for one in done for check in one.get("checks", ())],
        "thinking": "\n\n".join(one["thinking"] for one in done if one.get("thinking")),
        "tally": sum((one.get("tally", Tally()) for one in done), Tally()),
        "notes": [note for one in done for note in one.get("notes", ())]
        + [f"part {answer.index + 1} was not answered: {answer.error}" for answer in answers if answer.error],
        "escalation": "; ".join(filter(None, escalations)) or None,
        "parts": parts,
    }


async def _answer(
    graph: CompiledStateGraph[TurnState, TurnContext, TurnState, TurnState], sent: PartState, context: TurnContext
) -> PartAnswer:
    state, question, index = sent["state"], sent["question"], sent["index"]
    begin: TurnState = {
        "inbound": replace(state["inbound"], text=question.text),
        "history": state["history"],
        "language": state["language"],
        "past": state["past"],
        "decision": question.decision,
    }
    heading = title(index, question.text)
    sent["lanes"].tell(index, TextDelta(heading))

    def tell(event: Event) -> None:
        sent["lanes"].tell(index, event)
        if isinstance(event, Restarted):
            sent["lanes"].tell(index, TextDelta(heading))

    done = await run_graph(graph, begin, replace(context, tell=tell))
    return PartAnswer(index, heading + done["text"], _receipt(question.text, done), done)


def _failed(index: int, sent: PartState, error: QwendeskError) -> PartAnswer:
    question, state = sent["question"], sent["state"]
    decision = question.decision
    said = f"({error})" if state["inbound"].for_operator else part_failed(state["language"])
    text = f"{title(index, question.text)}{said}"
    receipt = Part(
        question=question.text,
        role=decision.role,
        model="",
        engine="",
        confidence=decision.confidence,
        signals=decision.signals,
        thinking=False,
        tools=(),
        checks=(),
        notes=(f"not answered: {error}",),
    )
    return PartAnswer(index, text, receipt, error=error)


def _receipt(question: str, state: TurnState) -> Part:
    decision, choice = state["decision"], state["choice"]
    return Part(
        question=question,
        role=decision.role,
        model=choice.card.name if choice else "",
        engine=choice.engine if choice else "",
        confidence=decision.confidence,
        signals=decision.signals,
        thinking=state["think"],
        tools=tuple(state.get("tools", ())),
        checks=tuple(state.get("checks", ())),
        fallback=_stand_in(state),
        notes=tuple(state.get("notes", ())),
    )


def _stand_in(state: TurnState) -> str | None:
    if choice := state["choice"]:
        return choice.fallback
    return None if state.get("truth") else f"no model for {state['decision'].role} is installed"
