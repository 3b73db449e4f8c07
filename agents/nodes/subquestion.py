"""Answer one question of a message that holds several; merge the answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Protocol, TypedDict

from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime
from langgraph.types import Send

from qwendesk.agents.phrases import phrase
from qwendesk.agents.state import SubquestionResult, TokenUsage, TurnContext, TurnState, answer_language, run_graph
from qwendesk.errors import QwendeskError
from qwendesk.messages import AnswerReset, Event, Notice, SubAnswer, TextDelta
from qwendesk.routing.policy.subquestions import SubQuestion
from qwendesk.routing.signals.asked_language import asked_language

_MAX_TITLE_CHARS = 80


class StreamMerge:
    """Puts the events of answers that are written at the same time into the answers' order.

    Args:
        number: the number of answers.
        write: takes the events in order.
    """

    def __init__(self, number: int, write: Callable[[Event], None]) -> None:
        self._write = write
        self._waiting: list[list[Event]] = [[] for _ in range(number)]
        self._closed = [False] * number
        self._open = 0
        self._shown = ""
        self._text = ""

    def emit(self, index: int, event: Event) -> None:
        """Take an event of one answer."""
        if index == self._open or isinstance(event, Notice):
            self._show(event)
        elif isinstance(event, AnswerReset):  # it was not shown yet
            self._waiting[index] = [other for other in self._waiting[index] if not isinstance(other, TextDelta)]
        else:
            self._waiting[index].append(event)

    def replace(self, index: int, text: str) -> None:
        """Take an answer's whole text, which continues or replaces the earlier text."""
        before = self._text if index == self._open else _text_of(self._waiting[index])
        if not text.startswith(before):
            self.emit(index, AnswerReset("this part failed", ""))
            before = ""
        self.emit(index, TextDelta(text[len(before) :]))

    def close(self, index: int) -> None:
        """Mark an answer as finished and show the next."""
        self._closed[index] = True
        while self._open < len(self._closed) and self._closed[self._open]:
            self._shown, self._text = self._shown + self._text, ""
            self._open += 1
            if self._open < len(self._closed):
                waiting, self._waiting[self._open] = self._waiting[self._open], []
                for event in waiting:
                    self._show(event)

    def _show(self, event: Event) -> None:
        self._write(event)
        if isinstance(event, TextDelta):
            self._text += event.text
        elif isinstance(event, AnswerReset):
            self._text = ""
            if self._shown:  # a reset clears the finished answers as well
                self._write(TextDelta(self._shown))


class SubquestionInput(TypedDict):
    """The input of the node for one question."""

    index: int
    question: SubQuestion
    merged: StreamMerge
    state: TurnState


class SubquestionNode(Protocol):
    """Answers one question of several."""

    def __call__(self, state: SubquestionInput, *, runtime: Runtime[TurnContext]) -> Awaitable[dict[str, Any]]:
        """Return the result, for ``merge``."""
        ...


def subquestion_node(
    graph: CompiledStateGraph[TurnState, TurnContext, TurnState, TurnState],
) -> SubquestionNode:
    """Return the node that answers one question by its own graph."""

    async def subquestion(state: SubquestionInput, *, runtime: Runtime[TurnContext]) -> dict[str, Any]:
        merged, index = state["merged"], state["index"]
        try:
            result = await _answer(graph, state, runtime.context)
        except QwendeskError as error:
            result = _failed(index, state, error)
            merged.replace(index, result.text)
        # not when the turn is cancelled: that would show, and store, the text of the other questions
        merged.close(index)
        return {"subquestion_results": [result]}

    return subquestion


def send_subquestions(state: TurnState, context: TurnContext) -> list[Send]:
    """Return one run of the node for each question; the answers are shown in the order of the questions."""
    questions = state["subquestions"]
    merged = StreamMerge(len(questions), context.emit)
    return [
        Send("subquestion", {"index": index, "question": question, "merged": merged, "state": state})
        for index, question in enumerate(questions)
    ]


async def merge(state: TurnState) -> dict[str, Any]:
    """Join the answers in the order of their questions; a failed one leaves the others as they are.

    Raises:
        QwendeskError: all of them failed.
    """
    results = sorted(state["subquestion_results"], key=lambda result: result.index)
    done = [result.state for result in results if result.state is not None]
    if not done:
        raise next(result.error for result in results if result.error)
    sub_answers = tuple(result.receipt for result in results)
    confidence = min(answer.confidence for answer in sub_answers)
    reason = f"{len(results)} questions in one message, each to its role"
    escalations = [one["escalation"] for one in done if one.get("escalation")]
    return {
        "text": "".join(result.text for result in results),
        "decision": replace(done[0]["decision"], signals=(reason,), confidence=confidence),
        "choice": done[0]["choice"],
        "think": any(one["think"] for one in done),
        "tool_uses": [use for one in done for use in one.get("tool_uses", ())],
        "checks": [check for one in done for check in one.get("checks", ())],
        "mended": _mended(done),
        "thinking": "\n\n".join(one["thinking"] for one in done if one.get("thinking")),
        "usage": sum((one.get("usage", TokenUsage()) for one in done), TokenUsage()),
        "notes": [note for one in done for note in one.get("notes", ())]
        + [f"part {result.index + 1} was not answered: {result.error}" for result in results if result.error],
        "escalation": "; ".join(filter(None, escalations)) or None,
        "sub_answers": sub_answers,
        "searches": [search for one in done for search in one.get("searches", ())],
    }


def _mended(done: list[TurnState]) -> tuple[str, ...]:
    """Return the checks that failed in some answers, and whose faults were corrected in all of them."""
    mended = {name for one in done for name in one.get("mended", ())}
    left = {
        check.name
        for one in done
        for check in one.get("checks", ())
        if check.outcome == "failed" and check.name not in one.get("mended", ())
    }
    return tuple(sorted(mended - left))


async def _answer(
    graph: CompiledStateGraph[TurnState, TurnContext, TurnState, TurnState],
    sent: SubquestionInput,
    context: TurnContext,
) -> SubquestionResult:
    state, question, index, merged = sent["state"], sent["question"], sent["index"], sent["merged"]
    begin: TurnState = {
        "inbound": replace(state["inbound"], text=question.text, can_approve=False),
        "whole_text": state["inbound"].text,
        "history": state["history"],
        "language": state["language"],
        "asked_language": asked_language(question.text) or state.get("asked_language"),
        "conversation_context": state["conversation_context"],
        "decision": question.decision,
    }
    heading = _title(index, question.text)
    merged.emit(index, TextDelta(heading))

    def emit(event: Event) -> None:
        merged.emit(index, event)
        if isinstance(event, AnswerReset):
            merged.emit(index, TextDelta(heading))

    # a part that could wait for an approval elsewhere is told to be asked alone
    part = replace(context, emit=emit, is_part=state["inbound"].can_approve)
    done = await run_graph(graph, begin, part)
    return SubquestionResult(index, heading + done["text"], _receipt(question.text, done), done)


def _failed(index: int, sent: SubquestionInput, error: QwendeskError) -> SubquestionResult:
    question, state = sent["question"], sent["state"]
    decision = question.decision
    shown = f"({error})" if state["inbound"].for_operator else phrase("part_failed", answer_language(state))
    text = f"{_title(index, question.text)}{shown}"
    receipt = SubAnswer(
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
    return SubquestionResult(index, text, receipt, error=error)


def _receipt(question: str, state: TurnState) -> SubAnswer:
    decision, choice = state["decision"], state["choice"]
    return SubAnswer(
        question=question,
        role=decision.role,
        model=choice.card.name if choice else "",
        engine=choice.engine if choice else "",
        confidence=decision.confidence,
        signals=decision.signals,
        thinking=state["think"],
        tools=tuple(state.get("tool_uses", ())),
        checks=tuple(state.get("checks", ())),
        fallback=_fallback_reason(state),
        notes=tuple(state.get("notes", ())),
        searches=tuple(state.get("searches", ())),
    )


def _fallback_reason(state: TurnState) -> str | None:
    if choice := state["choice"]:
        return choice.fallback_reason
    return None if state.get("machine_notice") else f"no model for {state['decision'].role} is installed"


def _text_of(events: list[Event]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def _title(index: int, question: str) -> str:
    """Return the heading of an answer: its question as the person wrote it."""
    line = " ".join(question.split())
    if len(line) > _MAX_TITLE_CHARS:
        line = line[:_MAX_TITLE_CHARS].rsplit(" ", 1)[0] + " …"
    return ("\n\n" if index else "") + f"> {line}\n\n"
