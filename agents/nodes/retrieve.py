"""Search the documents for the message, and answer from them without a model where that is safer.

A model below two billion parameters changes facts when it puts a passage into its own words. In its place the passage
is quoted, or the answer is that nothing is known. A larger model gets the passages with its question.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from langgraph.runtime import Runtime

from qwendesk.agents.guarded_answer import without_orders
from qwendesk.agents.model_call import answer_text, chosen_model
from qwendesk.agents.nodes.calculate import may_calculate
from qwendesk.agents.phrases import phrase
from qwendesk.agents.roles import is_small
from qwendesk.agents.state import Retrieval, TurnContext, TurnState, answer_language
from qwendesk.messages import AnswerReset, Source, TextDelta
from qwendesk.prompt_quoting import quoted
from qwendesk.routing.base import TEXT_ROLES
from qwendesk.routing.signals.cues import KINDS, load_cues, match_cues
from qwendesk.routing.signals.followup import depends_on_previous, is_follow_up, is_short

_NUMBERED = re.compile(r"\b(?=[\w-]*\d)[\w-]{3,}\b")
"""A word with a digit, such as the number of an order."""
_OUTCOMES = ("answered", "possible", "unknown", "unrelated")
"""Outcomes of a search, the best first."""
_QUESTION_MARK = re.compile("[?？؟]")
_MARKUP = re.compile(r"([\\`*_\[\]<>])")


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
            searches.append(again.search)
            found = min(found, again, key=lambda one: _OUTCOMES.index(one.search.outcome))
    # the passages of documents that came with the message are in its prompt already
    is_attached = any(part.kind == "document" for part in inbound.attachments)
    is_used = not is_attached or (found.search.outcome == "answered" and is_small(chosen_model(state).card))
    return {"retrieval": found if is_used else None, "searches": searches}


async def after_retrieve(state: TurnState, runtime: Runtime[TurnContext]) -> Literal["quote", "calculate", "answer"]:
    """Answer from the documents without a model, or let the model answer."""
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
    outcome, small = retrieval.search.outcome, is_small(chosen_model(state).card)
    if outcome == "unknown":
        # a larger model may search in the documents' language, which words alone do not reach
        return small or not retrieval.by_words
    return small and outcome in ("answered", "possible")


def _may_need_tool(state: TurnState, context: TurnContext) -> bool:
    """Return whether a tool of the embedding program may know what the documents do not, such as a person's order."""
    retrieval = state["retrieval"]
    if not context.own_tools or not chosen_model(state).card.tools or retrieval is None:
        return False
    return retrieval.search.outcome != "answered" or bool(_NUMBERED.search(state["inbound"].text))


async def quote(state: TurnState, runtime: Runtime[TurnContext]) -> dict[str, Any]:
    """Answer with the words of the documents, or say that they do not tell."""
    retrieval, language = state["retrieval"], answer_language(state)
    assert retrieval
    offer = phrase("offer_to_pass_on", language) if runtime.context.offers_to_pass_on else ""
    match retrieval.search.outcome:
        case "answered":
            parts = [phrase("documents_say", language), *_quotations(state, runtime.context)[:1]]
        case "possible":
            parts = [phrase("nearest_in_documents", language), *_quotations(state, runtime.context), offer]
        case _:
            parts = [" ".join(filter(None, (phrase("not_in_documents", language), offer)))]
    text = "\n\n".join(filter(None, (state.get("machine_notice", ""), *parts)))
    emit, said = runtime.context.emit, answer_text(state)
    if said:
        emit(AnswerReset("the documents decide the answer", chosen_model(state).card.name))
    emit(TextDelta(text))
    return {"text": text, "notes": [f"the documents decided the answer{'' if said else '; no model was asked'}"]}


def _quotations(state: TurnState, context: TurnContext) -> list[str]:
    """Return the quoted passages, each with its source, without orders to a model that they may hold."""
    retrieval, name = state["retrieval"], phrase("source", answer_language(state))
    assert retrieval
    quotes = [(without_orders(text, state, context), source) for text, source in _quoted_sources(retrieval)]
    return [f"{quoted(text)}\n\n{name}: {source_link(source)}" for text, source in quotes]


def _quoted_sources(retrieval: Retrieval) -> list[tuple[str, Source]]:
    return list(zip(retrieval.quotes, retrieval.search.sources, strict=False))


def source_link(source: Source) -> str:
    """Return a document's title in Markdown, linked if it has an address."""
    title = _MARKUP.sub(r"\\\1", " ".join(source.title.split()))
    return f"[{title}]({source.url})" if source.url else title


def _with_last_question(state: TurnState, text: str) -> str | None:
    """Return a message together with the question that it continues; None if it stands alone."""
    context, language = state["conversation_context"], state["language"]
    marks = match_cues("followup", text, language)
    if not context.questions or not is_short(text) or _is_talk(text, marks.words):
        return None
    if not (depends_on_previous(marks) or is_follow_up(text, context, language)):
        return None
    return f"{context.questions[-1].strip()} {text}"


def _is_talk(text: str, words: list[str]) -> bool:
    """Return whether a message asks for nothing, as thanks and one word without a question mark do."""
    if any(bits >> KINDS.index("talk") & 1 for _, bits in load_cues().find(words)):
        return True
    return len(words) < 2 and not _QUESTION_MARK.search(text)
