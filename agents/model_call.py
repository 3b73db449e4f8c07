"""One call of a model: the messages it reads, the settings of the call, and its collected answer."""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass, field, replace
from typing import Any

from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    SystemMessage,
    ToolCall,
    ToolMessage,
)

from qwendesk.agents.checks.answer_language import word_problem_language
from qwendesk.agents.roles import RoleDefinition, is_small
from qwendesk.agents.state import RetryRequest, TokenUsage, TurnContext, TurnState, answer_language
from qwendesk.errors import EngineUnavailable
from qwendesk.messages import AnswerReset, Attachment, Inbound, TextDelta
from qwendesk.models.card import SelectedModel
from qwendesk.prompt_quoting import Block, indented
from qwendesk.prompts import render
from qwendesk.routing.signals.language import english_name
from qwendesk.tools.knowledge import format_passage

_MATH_PROMPT = "math"
_SHORT_PROMPT = "report"
"""The template that small models follow only when the prompt is short, so that background is left out."""
EXACT_SAMPLING: dict[str, Any] = {"temperature": 0.0, "repetition_penalty": 1.0}
"""For a call under a grammar, which mostly copies from the question, and for the report of its result."""
_RESAMPLING_TEMPERATURE = 0.7
"""For a further answer to the same question: one that is sampled near the likeliest would be the first one again."""
_MAX_GROWTH = 1.5
"""Maximum tokens of a further answer, as a multiple of those of the first one."""
_MIN_TOKENS = 128
_ASK_FOR = "(Not known yet: {names}. Ask for it, in one sentence.)"
"""For a small model whose call lacked values."""
_UNHEARD_RECORDING = "\n[a recording came with it, which cannot be heard together with pictures]"


def question_message(inbound: Inbound, recalled: tuple[Attachment, ...] = (), documents: str = "") -> HumanMessage:
    """Return the message as a model reads it, with its pictures, those it recalls, or its recordings.

    Args:
        inbound: the message.
        recalled: pictures of an older message that it refers to.
        documents: text about its attached documents.
    """
    inbound = replace(inbound, text="\n\n".join(filter(None, (documents, inbound.text)))) if documents else inbound
    pictures = [part for part in inbound.attachments if part.kind == "image"] or list(recalled)
    if not pictures:
        return _with_recordings(inbound)
    text = inbound.text + (_UNHEARD_RECORDING if any(part.kind == "audio" for part in inbound.attachments) else "")
    return HumanMessage([*map(_picture, pictures), {"type": "text", "text": text}])


def _with_recordings(inbound: Inbound) -> HumanMessage:
    """Return a message without pictures; the text of a voice message may be empty."""
    recordings = [part for part in inbound.attachments if part.kind == "audio"]
    if not recordings:
        return HumanMessage(inbound.text)
    text = [{"type": "text", "text": inbound.text}] if inbound.text.strip() else []
    return HumanMessage([*map(_recording, recordings), *text])


def _recording(part: Attachment) -> dict[str, Any]:
    data = base64.b64encode(part.data).decode("ascii")
    kind = part.mime.partition("/")[2].removeprefix("x-")
    return {"type": "input_audio", "input_audio": {"data": data, "format": {"mpeg": "mp3"}.get(kind, kind)}}


def _picture(part: Attachment) -> dict[str, Any]:
    data = base64.b64encode(part.data).decode("ascii")
    return {"type": "image_url", "image_url": {"url": f"data:{part.mime};base64,{data}"}}


def build_prompt(state: TurnState, template: str, context: TurnContext, *, tools: bool = False) -> list[BaseMessage]:
    """Return the messages of a call: system prompt, older turns, this turn so far."""
    language = english_name(answer_language(state))
    system = system_prompt(state, template, context, tools=tools)
    if context.system_context and template != _SHORT_PROMPT:
        text = Block(context.system_context.strip())
        system = f"{system}\n\n{render('system_context', folder=context.prompts, system_context=text)}"
    if template != _SHORT_PROMPT and (background := state.get("background")):
        system = f"{system}\n\n{background}"
    if is_small(chosen_model(state).card):
        turn = _small_model_turn(state, language)
    else:
        turn = _with_passages(_turn(state), state, context)
    return [SystemMessage(system), *state["history"], *turn]


def system_prompt(state: TurnState, template: str, context: TurnContext, *, tools: bool = False) -> str:
    """Return the role's part of the system prompt, without the operators' text and the background."""
    language, asked = english_name(answer_language(state)), bool(state.get("asked_language"))
    # small models work problems out in English, whatever the language of the question is
    own = template == _MATH_PROMPT and word_problem_language(state["inbound"].text) not in (None, "en")
    small = is_small(chosen_model(state).card)
    return render(template, folder=context.prompts, language=language, asked=asked, own=own, tools=tools, small=small)


def call_settings(
    state: TurnState, definition: RoleDefinition, context: TurnContext, tools: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return the settings of an answer's call: thinking, sampling, seed, and the offered tools."""
    settings: dict[str, Any] = {"think": state["think"]}
    # the setting goes to every model: a model of a server may think although the server does not report it
    if budget := state.get("think_budget") or context.think_budget:
        settings["think_budget"] = budget
    if tools:
        settings["tools"] = tools
    if tools and is_small(chosen_model(state).card):
        # the answer may be a text, which repeats itself without the penalty
        settings["temperature"] = 0.0
    elif only_reports(state):
        settings |= EXACT_SAMPLING
    elif definition.temperature is not None and not state["think"]:
        settings["temperature"] = definition.temperature
    if context.seed is not None:
        settings["seed"] = context.seed
    request = state.get("retry_request")
    if request and request.resampled_for:
        settings |= resampling_settings(state, context, 1)
    return settings


def resampling_settings(state: TurnState, context: TurnContext, number: int) -> dict[str, Any]:
    """Return the settings by which a further answer to the same question differs from the first one.

    Args:
        state: the turn, with the tokens of the first answer.
        context: the turn's context.
        number: 1 for the second answer.
    """
    return {
        "temperature": _RESAMPLING_TEMPERATURE,
        "seed": (context.seed or 0) + number,
        "max_tokens": max(_MIN_TOKENS, int(state["usage"].tokens_out * _MAX_GROWTH)),
    }


def chosen_model(state: TurnState) -> SelectedModel:
    """Return the turn's model.

    Raises:
        EngineUnavailable: none was chosen.
    """
    choice = state["choice"]
    if choice is None:
        raise EngineUnavailable("No model was chosen for this turn.")
    return choice


def answer_text(state: TurnState) -> str:
    """Return the text of the current try, including text before tool calls."""
    if kept := state.get("kept_answer"):
        return kept
    tried = state["messages"][state.get("try_start", 0) :]
    texts = [message.text.strip() for message in tried if isinstance(message, AIMessage)]
    return "\n\n".join(text for text in texts if text)


def keep_first_answer(request: RetryRequest, reason: str, context: TurnContext) -> dict[str, Any]:
    """Show the first answer again, and return the state with it."""
    context.emit(AnswerReset(reason, request.first_choice.card.name))
    context.emit(TextDelta(request.first_answer))
    return {
        "kept_answer": request.first_answer,
        "choice": request.first_choice,
        "think": request.first_think,
        "notes": [f"{reason}; the first answer stands"],
    }


def unanswered_calls(message: AIMessage, state: TurnState) -> list[ToolCall]:
    """Return the calls of a message that have no result yet, and no message that they are not made."""
    answered = {one.tool_call_id for one in state["messages"] if isinstance(one, ToolMessage)}
    return [call for call in message.tool_calls if call["id"] not in answered]


def only_reports(state: TurnState) -> bool:
    """Return whether a small model only reports the result of its tool."""
    return is_small(chosen_model(state).card) and any(map(_is_result, _turn(state)))


def _turn(state: TurnState) -> list[BaseMessage]:
    """Return this turn's messages for the prompt of the current try."""
    return [*state.get("retry_prompt", ()), *state["messages"][state.get("try_start", 0) :]]


def _is_of_call(message: BaseMessage) -> bool:
    return isinstance(message, ToolMessage) or (isinstance(message, AIMessage) and bool(message.tool_calls))


def _with_passages(turn: list[BaseMessage], state: TurnState, context: TurnContext) -> list[BaseMessage]:
    """Put the passages that were found for the question before it."""
    retrieval = state.get("retrieval")
    if retrieval is None or not retrieval.search.sources:
        return turn
    passages = [format_passage(number, source) for number, source in enumerate(retrieval.search.sources, 1)]
    text = render("passages", folder=context.prompts, passages=passages, question=Block(turn[0].text))
    return [HumanMessage(text), *turn[1:]]


def _is_result(message: BaseMessage) -> bool:
    return isinstance(message, ToolMessage) and message.status == "success"


def _small_model_turn(state: TurnState, language: str | None) -> list[BaseMessage]:
    """Put tool results into the question: a small model that sees a call in its prompt writes another one."""
    turn = _turn(state)
    results = [f"Result of {message.name}: {indented(message.text)}" for message in turn if _is_result(message)]
    if not results:
        missing = [name for message in turn if isinstance(message, ToolMessage) for name in message.artifact or ()]
        asked = [HumanMessage(_ASK_FOR.format(names=", ".join(dict.fromkeys(missing))))] if missing else []
        return [turn[0], *(message for message in turn[1:] if message.text and not _is_of_call(message)), *asked]
    results += [message.text for message in turn if isinstance(message, ToolMessage) and message.artifact is not None]
    results += [message.text for message in turn[1:] if isinstance(message, HumanMessage)]
    wanted = f"Write the answer to the question{f' in {language}' if language else ''}:"
    return [HumanMessage("\n".join([f"Question: {indented(turn[0].text)}", *results, wanted]))]


@dataclass(slots=True)
class CollectedStream:
    """Joins the chunks of a streamed answer."""

    text: list[str] = field(default_factory=list)
    thinking: list[str] = field(default_factory=list)
    calls: AIMessageChunk | None = None
    last: AIMessageChunk | None = None
    """The last chunk with usage."""
    first_at: float | None = None

    def add(self, chunk: AIMessageChunk) -> None:
        """Add the next chunk."""
        self.text.append(chunk.text)
        self.thinking.append(chunk.additional_kwargs.get("reasoning_content", ""))
        if self.first_at is None and (chunk.text or self.thinking[-1]):
            self.first_at = time.perf_counter()
        if chunk.tool_call_chunks:
            self.calls = chunk if self.calls is None else self.calls + chunk
        if chunk.usage_metadata:
            self.last = chunk

    def message(self) -> AIMessage:
        """Return the whole message without its thinking, which never goes back to a model."""
        return AIMessage(
            "".join(self.text),
            tool_calls=self.calls.tool_calls if self.calls else [],
            invalid_tool_calls=self.calls.invalid_tool_calls if self.calls else [],
        )

    def usage(self) -> TokenUsage:
        """Return its tokens and times."""
        usage = self.last.usage_metadata if self.last else None
        rate = self.last.response_metadata.get("tokens_per_second") if self.last else None
        tokens_in, tokens_out = (usage["input_tokens"], usage["output_tokens"]) if usage else (0, 0)
        return TokenUsage(tokens_in, tokens_out, tokens_out / rate if rate else 0.0, self.first_at)

    def notes(self) -> list[str]:
        """Return the receipt's notes about the call."""
        meta = self.last.response_metadata if self.last else {}
        notes = []
        if dropped := meta.get("dropped_messages"):
            notes.append(f"the {dropped} oldest messages did not fit into the model's context")
        if meta.get("finish_reason") == "length":
            notes.append("the answer was cut at its token limit (QWENDESK_MAX_OUTPUT_TOKENS)")
        return notes
