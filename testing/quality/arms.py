"""The two arms: a chat model asked directly, and the desk."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Any, Protocol

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage, ToolMessage
from langchain_core.tools import BaseTool, StructuredTool
from langchain_core.utils.function_calling import convert_to_openai_tool

from qwendesk import __version__
from qwendesk.engines.chat import QwenChat
from qwendesk.errors import EngineUnavailable, QwendeskError
from qwendesk.messages import Receipt, Reply
from qwendesk.testing.quality.base import (
    Answer,
    Question,
    ScriptedConversation,
    ScriptedTool,
    Suite,
    SuiteDocument,
    ToolCall,
)

_ROUNDS_A_LINE = 8
"""Rounds of calls that the bare model may make before it speaks to a customer."""
_CONVERSATION = "bench"
"""Name of the conversation with a customer."""


class Arm(ABC):
    """Answers the questions of one suite."""

    name: str

    async def answer(self, question: Question) -> Answer:
        """Return the answer with its tokens and time; a failure of the model is part of the answer.

        Raises:
            EngineUnavailable: the model is not there any more, so that no further question can be answered.
        """
        await self.prepare(question)
        begun = time.perf_counter()
        try:
            given = await self._ask(question)
        except EngineUnavailable:
            raise
        except QwendeskError as error:
            given = {"text": "", "error": str(error)}
        seconds = round(time.perf_counter() - begun, 3)
        return Answer(question.id, question.fingerprint, seconds=seconds, version=__version__, **given)

    async def prepare(self, question: Question) -> None:  # noqa: B027 - optional
        """Do what is not part of the answer's time."""

    @abstractmethod
    async def _ask(self, question: Question) -> dict[str, Any]:
        """Return text, calls and tokens of an answer."""

    async def aclose(self) -> None:  # noqa: B027 - optional: an arm may hold nothing
        """Free what the arm holds."""


class BareArm(Arm):
    """The engine's chat model, asked with the question alone and, for tools, by the ordinary protocol.

    Args:
        suite: the suite, for the prompt of a question about documents.
        chat: the loaded model.
        seed: seed of sampling.
        temperature_of: the temperature that the desk uses for a text; None: the model's own.
    """

    name = "bare"

    def __init__(
        self, suite: Suite, chat: QwenChat, seed: int, temperature_of: Callable[[str], float | None] = lambda _: None
    ) -> None:
        self._suite = suite
        self._chat = chat
        self._seed = seed
        self._temperature_of = temperature_of
        self._temperature: float | None = None

    async def prepare(self, question: Question) -> None:
        """Find the temperature of the question."""
        self._temperature = self._temperature_of(question.text)

    async def _ask(self, question: Question) -> dict[str, Any]:
        if conversation := self._suite.conversation(question):
            return await self._converse(conversation)
        messages: list[BaseMessage] = [HumanMessage(self._suite.bare_prompt(question))]
        model = self._chat.bind_tools([_openai_tool(tool) for tool in question.tools]) if question.tools else self._chat
        settings: dict[str, Any] = {"seed": self._seed, "temperature": self._temperature}
        calls: list[ToolCall] = []
        tokens_in = tokens_out = 0
        for number in range(1, question.tool_rounds + 1):
            answer = await model.ainvoke(messages, **settings)
            usage = answer.usage_metadata
            tokens_in += usage["input_tokens"] if usage else 0
            tokens_out += usage["output_tokens"] if usage else 0
            made = _calls(answer, number, question.tools)
            calls += made
            if not made:
                break
            messages += [answer, *_results(answer, made)]
        return {"text": answer.text, "calls": tuple(calls), "tokens_in": tokens_in, "tokens_out": tokens_out}

    async def _converse(self, conversation: ScriptedConversation) -> dict[str, Any]:
        """Talk with a scripted customer until they leave."""
        tools = {tool.name: tool for tool in conversation.tools()}
        model = self._chat.bind_tools([convert_to_openai_tool(tool) for tool in tools.values()])
        settings: dict[str, Any] = {"seed": self._seed, "temperature": self._temperature}
        messages: list[BaseMessage] = [SystemMessage(conversation.system)]
        calls: list[ToolCall] = []
        spoken: list[str] = []
        tokens_in = tokens_out = 0
        line: str | None = conversation.opening
        while line is not None:
            messages.append(HumanMessage(line))
            spoken.append(_quoted(line))
            text = ""
            for _ in range(_ROUNDS_A_LINE):
                answer = await model.ainvoke(messages, **settings)
                usage = answer.usage_metadata
                tokens_in += usage["input_tokens"] if usage else 0
                tokens_out += usage["output_tokens"] if usage else 0
                messages.append(answer)
                text = answer.text
                if not answer.tool_calls:
                    break
                for call in answer.tool_calls:
                    tool = tools.get(call["name"])
                    result = str(await tool.ainvoke(call["args"])) if tool else "Error: there is no such tool."
                    messages.append(ToolMessage(result, tool_call_id=call["id"] or "", name=call["name"]))
                    calls.append(ToolCall(call["name"], call["args"], len(spoken), result))
            spoken.append(text)
            line = conversation.reply(text)
        return {
            "text": "\n\n".join(spoken),
            "calls": tuple(calls),
            "tokens_in": tokens_in,
            "tokens_out": tokens_out,
        }


def _quoted(line: str) -> str:
    """Return a customer's line as it stands in a transcript."""
    return "\n".join(f"> {part}" for part in line.splitlines())


def _openai_tool(tool: ScriptedTool) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
    return {"type": "function", "function": function}


def _calls(answer: AIMessage, number: int, tools: Sequence[ScriptedTool]) -> list[ToolCall]:
    results = {tool.name: tool.result for tool in tools}
    made = [
        ToolCall(call["name"], call["args"], number, results.get(call["name"], "Error: there is no such tool."))
        for call in answer.tool_calls
    ]
    unreadable = "Error: the arguments are not valid JSON."
    made += [ToolCall(call["name"] or "", call["args"], number, unreadable) for call in answer.invalid_tool_calls]
    return made


def _results(answer: AIMessage, made: Sequence[ToolCall]) -> list[ToolMessage]:
    ids = [call["id"] or "" for call in (*answer.tool_calls, *answer.invalid_tool_calls)]
    return [
        ToolMessage(call.result, tool_call_id=call_id, name=call.name) for call, call_id in zip(made, ids, strict=True)
    ]


class AskedDesk(Protocol):
    """The part of ``Desk`` that the bench uses."""

    async def ask(self, text: str, *, conversation: str | None = None) -> Reply:
        """Return the reply to a message."""

    async def resume(self, conversation: str, *, approve: bool) -> Reply:
        """Go on with a turn that waits for an approval."""


class OpenDesk(Protocol):
    """Opens a desk."""

    def __call__(
        self, tools: Sequence[BaseTool], documents: Sequence[SuiteDocument], system: str | None = None
    ) -> AbstractAsyncContextManager[AskedDesk]:
        """Return an open desk.

        Args:
            tools: further tools.
            documents: documents of its knowledge base.
            system: what every role is told about the desk.
        """


class DeskArm(Arm):
    """``Desk.ask``, each question in a conversation of its own.

    A desk stays open while the questions offer the same tools.

    Args:
        suite: the suite, for its documents.
        open_desk: opens a desk.
    """

    name = "desk"

    def __init__(self, suite: Suite, open_desk: OpenDesk) -> None:
        self._suite = suite
        self._documents = suite.documents()
        self._open_desk = open_desk
        self._open = AsyncExitStack()
        self._desk: AskedDesk | None = None
        self._tools: tuple[ScriptedTool, ...] = ()
        self._conversation: ScriptedConversation | None = None

    async def _ask(self, question: Question) -> dict[str, Any]:
        assert self._desk  # opened by prepare
        if self._conversation:
            return await self._converse(self._desk, self._conversation)
        reply = await self._desk.ask(question.text)
        receipt = reply.receipt
        return {
            "text": reply.text,
            "calls": tuple(ToolCall(use.name, use.arguments, use.round, use.result) for use in receipt.tools),
            "tokens_in": receipt.tokens_in,
            "tokens_out": receipt.tokens_out,
            "notes": _notes(receipt),
        }

    async def prepare(self, question: Question) -> None:
        """Open a desk with the tools of the question, or with those of its conversation."""
        self._conversation = self._suite.conversation(question)
        if self._conversation:
            await self.aclose()
            opened = self._open_desk(self._conversation.tools(), self._documents, self._conversation.system)
            self._desk = await self._open.enter_async_context(opened)
            return
        if self._desk is None or self._tools != question.tools:
            await self.aclose()
            tools = [_langchain_tool(tool) for tool in question.tools]
            self._desk = await self._open.enter_async_context(self._open_desk(tools, self._documents))
            self._tools = question.tools

    async def _converse(self, desk: AskedDesk, conversation: ScriptedConversation) -> dict[str, Any]:
        """Talk with a scripted customer until they leave."""
        calls: list[ToolCall] = []
        spoken: list[str] = []
        notes: list[str] = []
        tokens_in = tokens_out = 0
        line: str | None = conversation.opening
        while line is not None:
            reply = await desk.ask(line, conversation=_CONVERSATION)
            while reply.status == "needs_approval":
                # the customer agrees to everything, so that the calls of both arms have their effect
                reply = await desk.resume(_CONVERSATION, approve=True)
            receipt = reply.receipt
            spoken += [_quoted(line), reply.text]
            # a held call has had no effect
            made = [use for use in receipt.tools if not use.held]
            calls += [ToolCall(use.name, use.arguments, len(spoken) // 2, use.result) for use in made]
            notes += _notes(receipt)
            tokens_in, tokens_out = tokens_in + receipt.tokens_in, tokens_out + receipt.tokens_out
            line = conversation.reply(reply.text)
        return {
            "text": "\n\n".join(spoken),
            "calls": tuple(calls),
            "tokens_in": tokens_in,
            "tokens_out": tokens_out,
            "notes": tuple(dict.fromkeys(notes)),
        }

    async def aclose(self) -> None:
        """Close the desk."""
        self._desk = None
        await self._open.aclose()


def _langchain_tool(tool: ScriptedTool) -> BaseTool:
    async def run(**arguments: Any) -> str:
        return tool.result

    return StructuredTool(
        name=tool.name, description=tool.description, args_schema=dict(tool.parameters), coroutine=run
    )


def _notes(receipt: Receipt) -> tuple[str, ...]:
    checks = (f"check {check.name}: {check.outcome} ({check.detail})" for check in receipt.checks)
    escalation = (f"second try: {receipt.escalation}",) if receipt.escalation else ()
    return (f"role {receipt.role}", *checks, *escalation, *receipt.notes)
