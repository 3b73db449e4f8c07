"""Put an answer of a turn before its guards: what they compare it with, and what stands of a text."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence

from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from qwendesk.agents.guards.all_guards import GUARDS
from qwendesk.agents.guards.base import AnswerContext, Guard
from qwendesk.agents.guards.orders import OrderGuard
from qwendesk.agents.guards.stream import GuardedStream, find_whole_fault
from qwendesk.agents.model_call import chosen_model, system_prompt
from qwendesk.agents.roles import is_small, role_definition
from qwendesk.agents.state import Fault, TurnContext, TurnState, answer_language
from qwendesk.prompt_quoting import one_line
from qwendesk.tools.knowledge import format_passage

_QUOTE_MARKS = re.compile(r"^> ?", re.MULTILINE)
_PASSAGE_LINE = re.compile(r"^(?:>|\[\d+\] ).*", re.MULTILINE)
"""A line of a passage in a prompt; the others are the prompt's own."""
_BRIEF_CHARS = 2_000
"""Length up to which a text is read on the event loop: to hand it to a thread would take longer."""
FEEDBACK = (
    "Your answer has a mistake: {reason}. Write the whole answer again without it. "
    "Do not mention the mistake or this message."
)
"""What the second try is told."""


def guards_of(state: TurnState, context: TurnContext, *, reads_prompt: bool = True) -> list[Guard]:
    """Return the guards of the turn's next answer, without those that the settings turn off.

    Args:
        state: the turn.
        context: what the turn runs with.
        reads_prompt: whether they compare sentences, with the prompt too; it is rendered for them.
    """
    compared = answer_context(state, context, reads_prompt=reads_prompt)
    return [guard(compared) for guard in GUARDS if guard.key not in context.guards_off]


async def prepared_guards(state: TurnState, context: TurnContext) -> list[Guard]:
    """Return the guards after they have read in a thread what they compare with."""
    guards = guards_of(state, context)
    compared = guards[0].context if guards else None
    if compared and sum(map(len, (*compared.passages, *compared.results, compared.system_context))) <= _BRIEF_CHARS:
        _prepare(guards)
    else:
        await asyncio.to_thread(_prepare, guards)
    return guards


def _prepare(guards: list[Guard]) -> None:
    for guard in guards:
        guard.prepare()


def answer_context(state: TurnState, context: TurnContext, *, reads_prompt: bool = True) -> AnswerContext:
    """Return what an answer of the turn is compared with, the system prompt only if it is read."""
    history = state["history"]
    uses = tuple(state.get("tool_uses", ()))
    documents, retrieval = state.get("documents", ""), state.get("retrieval")
    sources = retrieval.search.sources if retrieval else ()
    read = [
        "\n".join(_PASSAGE_LINE.findall(documents)),
        *(format_passage(number, source) for number, source in enumerate(sources, 1)),
    ]
    decision = state["decision"]
    # passages that do not answer for certain are no source of all figures: the message may be about something else
    is_uncertain = retrieval is not None and retrieval.search.outcome != "answered"
    is_about_others = is_uncertain and not (uses or documents)
    return AnswerContext(
        question=state["inbound"].text,
        language=answer_language(state),
        role=decision.role,
        questions=tuple(message.text for message in history if isinstance(message, HumanMessage)),
        answers=tuple(message.text for message in history if isinstance(message, AIMessage)),
        uses=uses,
        passages=tuple(_QUOTE_MARKS.sub("", text) for text in read if text),
        background=state.get("background", ""),
        system_prompt=_instructions(state, context) if reads_prompt else "",
        system_context=context.system_context or "",
        tool_names=tuple(context.toolbox.all_names),
        trusted_names=context.toolbox.trusted_names,
        has_dropped_calls=any(isinstance(one, ToolMessage) and one.artifact is not None for one in state["messages"]),
        # a small model's numbers are compared with its results by a check, which adds the result
        skips_figures=is_about_others or (bool(uses) and is_small(chosen_model(state).card)),
    )


def _instructions(state: TurnState, context: TurnContext) -> str:
    return f"{system_prompt(state, role_definition(state['decision'].role).prompt, context)}\n{FEEDBACK}"


def may_try_again(state: TurnState, context: TurnContext) -> bool:
    """Return whether an answer at fault is tried again: once a turn, if the policy allows it.

    Not after a call that was not approved: what is at fault is left out, since the desk's own line says it.
    """
    if any(use.held for use in state.get("tool_uses", ())):
        return False
    return not state.get("escalation") and context.policy.escalate.checks


def feedback_on(fault: Fault) -> str:
    """Return what the second try is told about a fault."""
    return FEEDBACK.format(reason=one_line(fault.feedback))


async def without_orders(texts: Sequence[str], state: TurnState, context: TurnContext) -> list[str]:
    """Return texts of tools and documents for the person without the orders to the model that they may hold."""
    if not texts or OrderGuard.key in context.guards_off:
        return list(texts)
    guard = OrderGuard(answer_context(state, context, reads_prompt=False))
    return await asyncio.to_thread(lambda: [what_stands(text, [guard]).text for text in texts])


async def judge_answer(
    state: TurnState, context: TurnContext, text: str, fault: Fault | None = None
) -> tuple[Fault, str] | None:
    """Return the fault of a whole answer and what stands of it; None if there is none.

    Args:
        state: the turn.
        context: what the turn runs with.
        text: the answer.
        fault: the fault that its sentences showed.
    """
    known = fault
    if known is None:
        whole = guards_of(state, context, reads_prompt=False)
        if len(text) <= _BRIEF_CHARS:
            found = find_whole_fault(whole, text)
        else:
            found = await asyncio.to_thread(find_whole_fault, whole, text)
        known = found.fault if found else None
    if known is None:
        return None
    stands = await asyncio.to_thread(what_stands, text, guards_of(state, context), with_whole=True)
    return known, stands.text


def what_stands(text: str, guards: list[Guard], *, with_whole: bool = False) -> GuardedStream:
    """Return a text as it stands after its guards: without sentences at fault, or an honest line in its place.

    Args:
        text: the text.
        guards: its guards.
        with_whole: whether the faults that only the whole answer shows count, too.
    """
    stream = GuardedStream(guards, lambda _: None, stops=False)
    stream.feed(text)
    stream.finish()
    if with_whole and not stream.is_over and (finding := find_whole_fault(guards, stream.text)):
        stream.findings.append(finding)
        stream.kept[:] = [finding.guard.replacement() or finding.guard.context.no_answer()]
    return stream
