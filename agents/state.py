"""The state of one turn's graph, and the context of its run: the dependencies and limits of the nodes."""

from __future__ import annotations

import operator
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, Protocol, Required, TypedDict, cast

from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph.message import add_messages
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import Command

from qwendesk.agents.tool_policy import ApprovalMode
from qwendesk.engines.pool import ModelPool
from qwendesk.errors import QwendeskError
from qwendesk.messages import Check, DocumentSearch, Event, Inbound, Notice, Role, SubAnswer, ToolUse
from qwendesk.models.card import SelectedModel
from qwendesk.routing.base import ConversationContext, Decision, Router, Signals
from qwendesk.routing.policy.policy_file import RoutingPolicy
from qwendesk.routing.policy.subquestions import SubQuestion
from qwendesk.tools.sandbox import PythonSandbox
from qwendesk.tools.toolbox import Toolbox


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Tokens and times of one model call; the calls of a turn add up."""

    tokens_in: int = 0
    tokens_out: int = 0
    generating: float = 0.0
    """Seconds spent on ``tokens_out``."""
    first_at: float | None = None
    """``time.perf_counter()`` at the first token."""

    def __add__(self, other: TokenUsage) -> TokenUsage:
        """Return the sum, with the first token's time of the first call that has one."""
        first = self.first_at if self.first_at is not None else other.first_at
        return TokenUsage(
            self.tokens_in + other.tokens_in,
            self.tokens_out + other.tokens_out,
            self.generating + other.generating,
            first,
        )


@dataclass(frozen=True, slots=True)
class RetryStep:
    """The model of a second try, and whether it thinks."""

    choice: SelectedModel
    think: bool


@dataclass(frozen=True, slots=True)
class RetryRequest:
    """The second try that an answer needs."""

    reason: str
    step: RetryStep
    feedback: str
    """What the prompt says about the fault; empty after an empty answer or a refusal: the question is asked again."""
    first_answer: str
    """The answer that is kept if the second try gives none."""
    first_choice: SelectedModel
    """The model of the first answer."""
    first_think: bool
    """Whether that model thought."""
    is_withdrawn: bool = False
    """Whether the text shown in the first try does not stand; ``first_answer`` is what is left of it."""
    resampled_for: str = ""
    """Name of the failed check for which the same model samples another answer to the same question; empty: none."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of an answer, in words."""

    check: str
    """The guard's name in receipts."""
    detail: str
    """The fault, without the text at fault."""
    feedback: str
    """What the second try is told."""


@dataclass(frozen=True, slots=True)
class GuardReport:
    """What the guards found in an answer while it was written."""

    checks: tuple[Check, ...] = ()
    fault: Fault | None = None
    """The fault that ended a first try."""


@dataclass(frozen=True, slots=True)
class Retrieval:
    """What the documents hold on a message."""

    search: DocumentSearch
    """The search and its decision; its sources are the passages for a prompt."""
    quotes: tuple[str, ...] = ()
    """The sentences or rows of the first sources that answer the message, in the documents' words."""
    canned: str = ""
    """A canned answer to the message, which is given as it is; empty: there is none."""


class DocumentRetriever(Protocol):
    """Searches the documents that the sender of a message may read."""

    async def __call__(self, inbound: Inbound, question: str) -> Retrieval | None:
        """Search for a question of the message; None: there is no document that the sender may read."""


@dataclass(frozen=True, slots=True)
class SubquestionResult:
    """The outcome of one question of several."""

    index: int
    text: str
    receipt: SubAnswer
    state: TurnState | None = None
    """The final state of its graph; None if the question failed."""
    error: QwendeskError | None = None


@dataclass(frozen=True, slots=True)
class LastingLanguage:
    """The language that the person wishes for all answers."""

    code: str
    """ISO 639-1 code."""
    source: Literal["conversation", "person"]
    """Whether the wish is kept for the conversation or as a fact about the person."""
    is_new: bool = False
    """Whether this message states the wish."""


class ConversationInput(TypedDict):
    """The parts of a turn's input that are read from the conversation, also when a turn goes on."""

    background: NotRequired[str]
    """Summary and facts about the person, for the system prompt."""
    history: list[BaseMessage]
    """Older turns of the conversation, oldest first."""
    conversation_context: ConversationContext
    """The conversation's last turns, for the router."""


class TurnInput(ConversationInput):
    """The input of a turn."""

    documents: NotRequired[str]
    """Text about the documents attached to the message, for the prompt."""
    problems: NotRequired[str]
    """What the person is told about attached documents that could not be read."""
    notes: NotRequired[list[str]]
    """Notes of the receipt that are known before the turn."""
    inbound: Inbound
    language: str | None
    """The conversation's language so far."""
    lasting_language: NotRequired[LastingLanguage | None]
    """The language that the person wishes for all answers."""


class TurnState(TypedDict, total=False):
    """The state that nodes read and update."""

    inbound: Required[Inbound]
    whole_text: str
    """The text of the whole message, for one question of several."""
    history: Required[list[BaseMessage]]
    language: Required[str | None]
    """The message's language, else the conversation's."""
    asked_language: str | None
    """The language that the answer has to be in: the one the message asks for, else the one wished for all answers."""
    lasting_language: LastingLanguage | None
    background: str
    documents: str
    problems: str
    conversation_context: Required[ConversationContext]
    signals: Signals
    decision: Decision
    role_without_override: Role | None
    """The role that the router would choose without the person's override; None without an override."""
    choice: SelectedModel | None
    think: bool
    think_budget: int | None
    thinking_reason: str
    retry_request: RetryRequest | None
    retry_prompt: list[BaseMessage]
    """Messages that replace the earlier ones in the prompt of the second try."""
    try_start: int
    """Index of the first of this turn's messages that belongs to the current try."""
    escalation: str | None
    """Reason for the second try; None in the first."""
    kept_answer: str
    """The text that stands instead of the model's: the first try's answer, or what the guards left of it."""
    guard_report: GuardReport
    """What the guards found in the newest answer."""
    machine_notice: str
    """What the desk itself says: that a machine answers, or that a wish is kept, if the message asks for that."""
    subquestions: tuple[SubQuestion, ...]
    """The questions of a message that holds several; empty for one."""
    subquestion_results: Annotated[list[SubquestionResult], operator.add]
    sub_answers: tuple[SubAnswer, ...]
    messages: Annotated[list[BaseMessage], add_messages]
    """This turn's messages: the question, tool calls, their results, the answer. A message replaces one of its id."""
    tool_uses: Annotated[list[ToolUse], operator.add]
    retrieval: Retrieval | None
    """The search that decided how the message is answered; None without documents."""
    searches: Annotated[list[DocumentSearch], operator.add]
    """The searches in the documents, those of the models included."""
    tool_rounds: int
    """Number of tool rounds so far."""
    tools_stopped: str | None
    """Reason why no more tools may be called."""
    thinking: Annotated[str, operator.add]
    usage: Annotated[TokenUsage, operator.add]
    checks: list[Check]
    mended: tuple[str, ...]
    """Names of the checks whose faults were corrected in the answer."""
    notes: Annotated[list[str], operator.add]
    answered_by: str
    """What answered without a model, such as algebra; empty: the model."""
    text: str
    """The finished answer."""


def _ignore(event: Event) -> None:
    """Drop the event."""


@dataclass(frozen=True, slots=True)
class TurnContext:
    """The typed dependencies of every node."""

    pool: ModelPool
    toolbox: Toolbox
    sandbox: PythonSandbox
    """Runs code that a model wrote, for checks."""
    router: Router
    retriever: DocumentRetriever | None = None
    """Searches the documents before a model answers."""
    slow_router: bool = False
    """Whether the router runs in a thread, so that it does not block the event loop."""
    own_tools: tuple[str, ...] = ()
    """Tools of the embedding program, offered to every role."""
    max_tool_rounds: int = 4
    """Maximum number of tool rounds in a turn."""
    is_part: bool = False
    """Whether the message is one question of several."""
    approve_risky: ApprovalMode = "always"
    """Which calls of risky tools need an approval."""
    asked: frozenset[str] = frozenset()
    """Ids of the calls that a person has decided on in a resumed turn, whatever the settings say by now."""
    thinking: Literal["auto", "on", "off"] = "auto"
    policy: RoutingPolicy = RoutingPolicy()
    """Routing policy of the user."""
    think_budget: int | None = None
    """Tokens after which thinking is closed; None: no limit."""
    self_consistency: int = 0
    """Most results of a word problem that are compared, a program's among them; less than 2: none are."""
    prompts: Path | None = None
    """Folder whose templates override the built-in ones."""
    system_context: str | None = None
    """Text of the desk's operators for each system prompt."""
    seed: int | None = None
    """Seed of sampling, for repeatable answers."""
    guards_off: frozenset[str] = frozenset()
    """Keys of the guards that are turned off."""
    started: float = field(default_factory=time.perf_counter)
    """``time.perf_counter()`` when the turn began; the first text is shown not much later than without guards."""
    emit: Callable[[Event], None] = _ignore
    """Receives the turn's events. It is called on the event loop, does not raise, and may be called after the turn:
    loading a model continues for other turns."""

    def progress(self, text: str, fraction: float | None) -> None:
        """Report the progress of pulling or loading a model."""
        self.emit(Notice(text, fraction))


def answer_language(state: TurnState) -> str | None:
    """Return the ISO 639-1 code of the answer's language: the one asked for, else the message's."""
    return state.get("asked_language") or state["language"]


async def run_graph(
    graph: CompiledStateGraph[TurnState, TurnContext, Any, TurnState],
    begin: TurnInput | TurnState | Command[Any],
    context: TurnContext,
    config: RunnableConfig | None = None,
) -> TurnState:
    """Run a graph and return its final state; events go to ``context.emit`` while it runs.

    Args:
        graph: the graph.
        begin: its input, or the answer to its interrupt.
        context: the dependencies of its nodes.
        config: the thread of a graph that may be interrupted.
    """
    # written at the end only: a turn that is not interrupted is never resumed
    durability: Literal["exit"] | None = "exit" if config else None
    return cast(TurnState, await graph.ainvoke(cast(Any, begin), config, context=context, durability=durability))
