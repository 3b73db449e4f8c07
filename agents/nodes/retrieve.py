"""Search canned answers and documents for the message, and answer from them without a model where that is safer.

A model below two billion parameters changes facts when it puts a passage into its own words. In its place the passage
is quoted, or the answer is that nothing is known. A larger model gets the passages with its question.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, Literal
from urllib.parse import quote as quote_url

from langchain_core.messages import AIMessage
from langgraph.runtime import Runtime

from qwendesk.agents.checks.tool_results import CALCULATORS
from qwendesk.agents.guards.orders import orders_in
from qwendesk.agents.model_call import answer_text, chosen_model
from qwendesk.agents.nodes.calculate import may_calculate
from qwendesk.agents.phrases import phrase
from qwendesk.agents.roles import is_small
from qwendesk.agents.state import Retrieval, TurnContext, TurnState, answer_language
from qwendesk.agents.tool_cues import called_for
from qwendesk.messages import SEARCH_OUTCOMES, AnswerReset, Source, TextDelta
from qwendesk.prompt_quoting import quoted
from qwendesk.routing.base import TEXT_ROLES
from qwendesk.routing.signals.cues import KINDS, load_cues, match_cues
from qwendesk.routing.signals.followup import depends_on_previous, is_follow_up, is_short

_NUMBERED = re.compile(r"\b(?=[\w-]*\d)[\w-]{3,}\b")
"""A word with a digit, such as the number of an order."""
_QUESTION_MARK = re.compile("[?？؟]")
_MARKUP = re.compile(r"([\\`*_\[\]<>|])")
_URL_SIGNS = ":/?#[]@!$&'*+,;=%~"
"""Signs of an address that stay as they are: no brackets, blanks or line breaks, which would end the link."""


async def retrieve(state: TurnState, runtime: Runtime[TurnContext]) -> dict[str, Any]:
    """Search for the message as it was written, and together with the last question if it continues that one."""
    context, inbound = runtime.context, state["inbound"]
    text = inbound.text.strip()
    if context.retriever is None or not text or state["decision"].role not in TEXT_ROLES:
        return {"retrieval": None}
    found = await context.retriever(inbound, text)
    if found is None:
        return {"retrieval": None}
    searches = [found.search]
    if found.search.outcome != "answered" and (question := _with_last_question(state, text)):
        again = await context.retriever(inbound, question)
        if again is not None:
            better = min(found, again, key=lambda one: SEARCH_OUTCOMES.index(one.search.outcome))
            is_said = better is again and _is_repeated(again, found, state["conversation_context"].answer)
            if is_said and not _asks_further(text, state["language"]):
                better = replace(found, search=replace(found.search, outcome="unrelated", sources=()), quotes=())
            searches = [replace(one.search, sources=()) for one in (found, again)]
            searches[better is again] = better.search
            found = better
    # the passages of documents that came with the message are in its prompt already
    is_attached = any(part.kind == "document" for part in inbound.attachments)
    is_used = not is_attached or (found.search.outcome == "answered" and is_small(chosen_model(state).card))
    return {"retrieval": found if is_used else None, "searches": searches}


async def after_retrieve(state: TurnState, runtime: Runtime[TurnContext]) -> Literal["quote", "calculate", "answer"]:
    """Answer from the documents without a model, or let the model answer."""
    retrieval = state.get("retrieval")
    if retrieval and retrieval.canned:
        return "quote"
    if is_decided(state) and not _may_need_tool(state, runtime.context):
        return "quote"
    return begin_answer(state, runtime.context)


def begin_answer(state: TurnState, context: TurnContext) -> Literal["calculate", "answer"]:
    """Return the first node of an answer by the model."""
    calculates = is_small(chosen_model(state).card) and may_calculate(state["inbound"].text, context)
    return "calculate" if calculates else "answer"


def is_decided(state: TurnState) -> bool:
    """Return whether the documents decide the answer: their words, or that nothing is known."""
    retrieval = state.get("retrieval")
    if retrieval is None or state["tool_uses"]:
        return False
    # code and calculations are asked of the model, unless the documents answer for certain
    is_task = state["decision"].role == "coder" or called_for(CALCULATORS, state["inbound"].text)
    deciding = ("answered",) if is_task else ("answered", "possible", "unknown")
    return is_small(chosen_model(state).card) and retrieval.search.outcome in deciding


def _may_need_tool(state: TurnState, context: TurnContext) -> bool:
    """Return whether a tool of the embedding program may know what the documents do not, such as a person's order."""
    retrieval = state["retrieval"]
    if not context.own_tools or not chosen_model(state).card.tools or retrieval is None:
        return False
    return retrieval.search.outcome != "answered" or bool(_NUMBERED.search(state["inbound"].text))


async def quote(state: TurnState, runtime: Runtime[TurnContext]) -> dict[str, Any]:
    """Answer with a canned answer or the words of the documents, or say that they do not tell."""
    retrieval, language = state["retrieval"], answer_language(state)
    assert retrieval
    if retrieval.canned:
        text = "\n\n".join(filter(None, (state.get("machine_notice", ""), retrieval.canned)))
        runtime.context.emit(TextDelta(text))
        notes = [f"{retrieval.search.reason}; no model was asked"]
        return {"text": text, "answered_by": "a canned answer", "notes": notes}
    quotations = _quotations(retrieval, runtime.context, language)
    match retrieval.search.outcome:
        case "answered" if quotations:
            parts = [phrase("documents_say", language), quotations[0]]
        case "possible" if quotations:
            parts = [phrase("nearest_in_documents", language), *quotations]
        case _:
            parts = [phrase("not_in_documents", language)]
    text = "\n\n".join(filter(None, (state.get("machine_notice", ""), *parts)))
    emit, said = runtime.context.emit, answer_text(state)
    if said:
        emit(AnswerReset("the documents decide the answer", chosen_model(state).card.name))
    emit(TextDelta(text))
    if any(isinstance(message, AIMessage) for message in state["messages"]):
        return {"text": text, "notes": ["the documents decided the answer"]}
    notes = ["the documents decided the answer; no model was asked"]
    return {"text": text, "answered_by": "the documents", "notes": notes}


def _quotations(retrieval: Retrieval, context: TurnContext, language: str | None) -> list[str]:
    """Return the quoted passages, each with its source, without the sentences that are orders to a model."""
    name, found = phrase("source", language), list[str]()
    for text, source in zip(retrieval.quotes, retrieval.search.sources, strict=False):
        if stands := _without_orders(text, orders_in(source.text, tuple(context.toolbox.all_names))):
            found.append(f"{quoted(stands)}\n\n{name}: {source_link(source)}")
    return found


def _without_orders(text: str, orders: list[str]) -> str:
    for order in orders:
        text = text.replace(order, "")
    return "\n".join(" ".join(line.split()) for line in text.splitlines() if line.strip())


def source_link(source: Source) -> str:
    """Return a document's title in Markdown, linked if it has an address."""
    title = _MARKUP.sub(r"\\\1", " ".join(source.title.split())).replace("://", ":\\//")
    return f"[{title}]({quote_url(source.url, safe=_URL_SIGNS)})" if source.url else title


def _is_repeated(again: Retrieval, alone: Retrieval, answer: str) -> bool:
    """Return whether the last question alone has led to a passage that was quoted before.

    That is so for a message about the last answer, such as "make it shorter".
    """
    if alone.search.outcome in ("possible", "unknown") or not again.quotes:
        return False
    shown = " ".join(answer.replace("\n> ", " ").replace("\n>", " ").split())
    return " ".join(again.quotes[0].split()) in shown


def _asks_further(text: str, language: str | None) -> bool:
    """Return whether a message goes on asking, as "and to Austria?" does, and not about the answer itself."""
    marks = match_cues("followup", text, language)
    begins = marks.first("opens") == 0 and not marks.has("refers") and len(marks.words) > 1
    return begins and bool(_QUESTION_MARK.search(text))


def _with_last_question(state: TurnState, text: str) -> str | None:
    """Return a message together with the question that it continues; None if it stands alone."""
    context, language = state["conversation_context"], state["language"]
    marks = match_cues("followup", text, language)
    if not context.questions or not is_short(text) or _is_talk(text, marks.words):
        return None
    if not (depends_on_previous(marks) or is_follow_up(text, context, language)):
        return None
    # twice, because the new part tells the passages of one matter apart
    return f"{context.questions[-1].strip()} {text} {text}"


def _is_talk(text: str, words: list[str]) -> bool:
    """Return whether a message asks for nothing, as thanks and one word without a question mark do."""
    if any(bits >> KINDS.index("talk") & 1 for _, bits in load_cues().find(words)):
        return True
    return len(words) < 2 and not _QUESTION_MARK.search(text)
