"""Values of the quality bench: questions, answers and scores, and the port of a suite."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from langchain_core.tools import BaseTool

from qwendesk.tools.sandbox import PythonSandbox

ARMS = ("bare", "desk")
"""The arms: the engine's chat model asked directly, and ``Desk.ask`` with the same model."""


@dataclass(frozen=True, slots=True)
class ScriptedTool:
    """A tool that a question offers; each call returns the same text."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    """JSON schema of the arguments."""
    result: str = "ok"


@dataclass(frozen=True, slots=True)
class Question:
    """One question of a suite, the same for both arms."""

    id: str
    text: str
    group: str = ""
    """Part of the suite with figures of its own, such as a language or a category."""
    tools: tuple[ScriptedTool, ...] = ()
    tool_rounds: int = 1
    """Rounds of calls that the bare model may make; after the last one it is not asked again."""
    customer: Mapping[str, Any] = field(default_factory=dict)
    """What the scripted customer of a conversation says; empty for a question with one answer."""
    row: Mapping[str, Any] = field(default_factory=dict)
    """What the scoring needs, such as the expected answer; no arm reads it."""

    @property
    def fingerprint(self) -> str:
        """Hash of what the arms read; an answer to another text or other tools is not reused."""
        read: list[Any] = [self.text, self.tool_rounds, [asdict(tool) for tool in self.tools]]
        if self.customer:
            read.append(self.customer)
        text = json.dumps(read, sort_keys=True)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> Question:
        """Return the question of a stored line."""
        return cls(**{**row, "tools": tuple(ScriptedTool(**tool) for tool in row["tools"])})


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call of a tool, with its result if it was run."""

    name: str
    arguments: Any
    round: int = 1
    result: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it is stored; scores are computed from it."""

    id: str
    """Id of the question."""
    fingerprint: str
    text: str
    calls: tuple[ToolCall, ...] = ()
    tokens_in: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    error: str = ""
    """Why there is no answer; empty for an answer."""
    notes: tuple[str, ...] = ()
    """How the desk made the answer: role, checks, notes of its receipt."""
    version: str = ""
    """Version of the program."""

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> Answer:
        """Return the answer of a stored line."""
        calls = tuple(ToolCall(**call) for call in row.get("calls", ()))
        return cls(**{**row, "calls": calls, "notes": tuple(row.get("notes", ()))})


@dataclass(frozen=True, slots=True)
class Score:
    """The verdict on one answer."""

    right: bool | None
    """None: the answer cannot be scored; ``detail`` says why."""
    detail: str = ""
    marks: tuple[str, ...] = ()
    """Observations that are counted in the report, such as ``right source``."""


@dataclass(frozen=True, slots=True)
class SuiteDocument:
    """A document that a suite's questions are about."""

    name: str
    """File name, with the ending of its kind."""
    title: str
    text: str


class ScriptedConversation(ABC):
    """A conversation with a scripted customer, and the tools that the agent may use in it."""

    system: str
    """The rules for the agent."""
    opening: str
    """The customer's first line."""

    @abstractmethod
    def tools(self) -> Sequence[BaseTool]:
        """Return the tools, which share the data of this conversation."""

    @abstractmethod
    def reply(self, text: str) -> str | None:
        """Return the customer's next line after what the agent said; None: the customer leaves."""


class Suite(ABC):
    """Questions of one kind, with the rule that scores an answer."""

    name: str
    summary: str
    """What the suite measures, in one line."""
    files: tuple[str, ...] = ()
    """Names of the data file in the folder of the questions, of which the first existing one is read; empty: the
    questions come with the program."""

    @abstractmethod
    def questions(self, data: Path | None) -> list[Question]:
        """Return all questions.

        Args:
            data: folder of the data files.

        Raises:
            ConfigError: the folder or file is missing, or a line has another form.
        """

    @abstractmethod
    async def score(self, question: Question, answer: Answer, sandbox: PythonSandbox) -> Score:
        """Score an answer.

        Args:
            question: the question.
            answer: its answer, without an error.
            sandbox: runs code of the answer.
        """

    def documents(self) -> Sequence[SuiteDocument]:
        """Return the documents of the questions: the desk's knowledge base, and the bare model's prompt."""
        return ()

    def conversation(self, question: Question) -> ScriptedConversation | None:
        """Return the conversation that a question begins; None: the question has one answer."""
        return None

    def bare_prompt(self, question: Question) -> str:
        """Return the message that the bare model reads."""
        return question.text


async def score_answer(suite: Suite, question: Question, answer: Answer, sandbox: PythonSandbox) -> Score:
    """Score an answer; one with an error is wrong."""
    if answer.error:
        return Score(False, f"no answer: {answer.error}", ("no answer",))
    return await suite.score(question, answer, sandbox)
