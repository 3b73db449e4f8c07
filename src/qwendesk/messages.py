"""Values shared by all folders: inbound messages, events, replies and outbound messages."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

Role = Literal["general", "coder", "math", "vision", "thinking", "audio"]
"""The roles a message can be routed to."""
Kind = Literal["image", "audio", "document"]
"""The kinds of attachments."""
Held = Literal["declined", "nobody to ask", "ask alone", "dry run"]
"""Why the call of a risky tool was not run: its approval was declined; nobody can be asked; or it has to be asked for
in a message of its own, since it is one of several questions or nobody was asked about it."""
ReplyStatus = Literal["answered", "needs_approval", "held"]
"""``answered``: the turn is complete. ``needs_approval``: it waits for ``Desk.resume``. ``held``: it is complete, and
the desk did not run a risky call of it."""
SearchOutcome = Literal["answered", "possible", "unknown", "unrelated", "found"]
"""What a search in the documents has shown: they answer the message; they may answer it; the message is about the
desk's matters and they do not answer it; the message is about something else. ``found``: a model searched."""
SEARCH_OUTCOMES: tuple[SearchOutcome, ...] = get_args(SearchOutcome)
"""The outcomes of a search, the best first."""

ROLES: tuple[Role, ...] = get_args(Role)
VIRTUAL_MODELS: dict[str, Role | None] = {"qwen-auto": None, **{f"qwen-{role}": role for role in ROLES}}
"""Virtual model names, each of which stands for a role; ``qwen-auto`` lets the router choose."""
_MAX_BITS = 64
_MAX_FILE_NAME_CHARS = 200
_JOINERS = "\u200c\u200d"
"""Signs without a width that words of some scripts need, and emoji."""
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def as_role(name: str) -> Role | None:
    """Return the role with a name, or None."""
    return next((role for role in ROLES if role == name), None)


def resolve_virtual_model(role: Role | None, model: str | None) -> tuple[Role | None, str | None]:
    """Return the requested role and model; a virtual model name requests a role."""
    name = (model or "").strip().lower()
    return (role or VIRTUAL_MODELS[name], None) if name in VIRTUAL_MODELS else (role, model)


def storable_text(text: str) -> str:
    """Replace NUL and lone surrogates, which databases and tokenizers reject, by U+FFFD."""
    if text.isascii() and "\0" not in text:
        return text
    return _UNSTORABLE.sub("\ufffd", text)


def file_name(text: str) -> str:
    """Return a file's name without signs that are not seen, which can hide its ending; joiners of scripts stay."""
    seen = "".join(sign for sign in text if sign in _JOINERS or unicodedata.category(sign) not in ("Cc", "Cf", "Cs"))
    return seen if len(seen) <= _MAX_FILE_NAME_CHARS else seen[: _MAX_FILE_NAME_CHARS - 20] + seen[-20:]


def storable(value: Any) -> Any:
    """Return JSON-like data with storable texts, and whole numbers of more than 64 bits as texts."""
    if isinstance(value, str):
        return storable_text(value)
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() >= _MAX_BITS:
        return str(value)
    if isinstance(value, Mapping):
        return {storable(key): storable(item) for key, item in value.items()}
    return [storable(item) for item in value] if isinstance(value, list | tuple) else value


def kind_of(mime: str) -> Kind:
    """Return the kind of an attachment by its MIME type."""
    family = mime.partition("/")[0]
    return "image" if family == "image" else "audio" if family == "audio" else "document"


MAX_ATTACHMENT_BYTES = 20 * 2**20
"""Size limit of an attachment."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file attached to a message."""

    kind: Kind
    mime: str
    data: bytes
    """Content of the file."""
    name: str = ""

    def __post_init__(self) -> None:
        """Clean the name, which on most channels a stranger has chosen."""
        object.__setattr__(self, "name", file_name(self.name))


@dataclass(frozen=True, slots=True)
class Customer:
    """A customer of a shop, as the shop's server has signed them."""

    id: str
    """The customer's id in the shop."""
    name: str = ""
    email: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return what is kept of it."""
        return {key: value for key, value in asdict(self).items() if value}


@dataclass(frozen=True, slots=True)
class ReplyAddress:
    """Where a customer wants the answer, who has written while nobody was there; it is not verified."""

    name: str = ""
    email: str = ""
    phone: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return what is kept of it."""
        return {key: value for key, value in asdict(self).items() if value}


@dataclass(frozen=True, slots=True)
class Inbound:
    """One message from a person, as a channel passes it on."""

    text: str
    conversation: str
    """Key of the conversation; a new key starts a new conversation."""
    attachments: tuple[Attachment, ...] = ()
    role: Role | None = None
    """The role the person requested; None lets the router choose."""
    model: str | None = None
    """The model the person requested, as ``engine:name``, a catalogue name or a virtual name such as ``qwen-coder``."""
    think: bool | None = None
    """Thinking forced on or off; None lets the router choose."""
    person: str = "local"
    """The person's name on the channel, as the platform keeps it."""
    channel: str = "python"
    retry: bool = False
    """Whether this repeats a question whose answer was rejected, so that a stronger model answers."""
    account: str = ""
    """The desk's account that received the message: a bot, a workspace, a mailbox."""
    event: str | None = None
    """The platform's delivery id; a second delivery with the same id is a duplicate. None: never repeated."""
    reply_to: str | None = None
    """The platform's message id, for replies that quote it."""
    quoted_id: str | None = None
    """The platform's id of the message that this one quotes or replies to."""
    locale: str | None = None
    """The person's language according to the platform, such as ``it`` or ``pt-br``."""
    group: bool = False
    """Whether the conversation is a group."""
    display_name: str = ""
    from_operator: bool = False
    """Whether a person of the desk has written it to the customer on the platform itself, so that it is delivered."""
    in_operators_room: bool = False
    """Whether it was written in the operators' room of its channel, so that it is no customer's message."""
    is_control: bool = False
    """Whether it is a slash command or a pressed button, which may not name the thread it is meant for."""
    change: Literal["", "edited", "deleted"] = ""
    """What was done in the operators' room to the message ``reply_to``, which was written before; empty: it is new."""
    sequence: int | None = None
    """Sequence number in the conversation, assigned at acceptance; None: the next one."""
    unsupported_media: str | None = None
    """Attachments that the desk does not support, such as ``video`` or ``large file``; the person is told."""
    has_ended_a_run: bool = False
    """Whether an earlier run of this message ended or blocked its process; code written by a model is not run then."""
    may_repeat_calls: bool = False
    """Whether an earlier run of this message, or of the one that it repeats, may have made calls; a risky call needs an
    approval then."""
    address: str = ""
    """Network address of an anonymous sender, for a shared rate limit; it is not stored."""
    customer: Customer | None = None
    """The verified customer of a shop; None: nobody is verified."""
    reply_address: ReplyAddress | None = None
    """Where an operator should answer; the message came from the form that is shown while nobody is there."""
    for_operator: bool = True
    """Whether the answer may name models, settings and operator commands; False for customers."""
    can_approve: bool = False
    """Whether calls of risky tools wait for an approval; False: nobody can be asked, so they are refused."""
    asks_operators: bool = False
    """Whether operators are asked for it, so that the answer does not ask the person."""

    @property
    def is_empty(self) -> bool:
        """Whether it has neither text nor attachments."""
        return not self.text.strip() and not self.attachments


@dataclass(frozen=True, slots=True)
class Admission:
    """Result of the admission of a message."""

    outcome: Literal["accepted", "duplicate", "refused", "busy"]
    """``refused``: ``text`` is sent to the person. ``busy``: nothing is stored; the platform delivers again."""
    sequence: int | None = None
    """Sequence number in the conversation if the message was accepted."""
    text: str = ""
    """Text for the person in their language; empty: none."""
    retry_after: float | None = None
    """Seconds until a delivery to a busy desk may be repeated."""


@dataclass(frozen=True, slots=True)
class Button:
    """A button under a message; pressing it sends its value as a message."""

    label: str
    value: str
    """Value sent back when the button is pressed, at most 64 bytes of UTF-8."""
    chosen: bool = False
    """Whether the button is selected; it can be pressed again."""

    @property
    def shown_label(self) -> str:
        """The label, with a check mark if selected, for platforms that show text only."""
        return f"{self.label} ✓" if self.chosen else self.label


@dataclass(frozen=True, slots=True)
class Author:
    """Who speaks in a message to a customer."""

    kind: Literal["bot", "operator"] = "bot"
    name: str = ""
    """Name that the customer sees; empty: the channel's own name of the bot, or none."""
    is_repeated: bool = False
    """Whether the previous message to the customer has the same author, so that the name need not be said again."""


@dataclass(frozen=True, slots=True)
class Outbound:
    """One message for a person, for a channel to deliver."""

    key: str
    """Idempotency key: attempts with the same key deliver the same message."""
    conversation: str
    text: str
    account: str = ""
    reply_to: str | None = None
    """The platform's id of the answered message."""
    attachments: tuple[Attachment, ...] = ()
    buttons: tuple[Button, ...] = ()
    plain: str = ""
    """The text without markup, for platforms that reject the markup or need both."""
    author: Author | None = None
    """Who speaks, for channels that show it beside the text; None: the bot."""
    is_complete: bool = True
    """Whether the text is complete; otherwise it is still being written, and edits follow."""


@dataclass(frozen=True, slots=True)
class ToolUse:
    """One tool call and its result."""

    name: str
    arguments: dict[str, Any]
    ok: bool
    result: str
    duration_ms: float
    reason: str = ""
    """Reason of a failure for the person; empty if only the tool's developer can fix it."""
    round: int = 1
    """Number of the round of calls in the turn; calls of one round run in parallel."""
    held: Held | None = None
    """Why the desk did not run the call of a risky tool; None if it ran, or failed by itself."""


@dataclass(frozen=True, slots=True)
class PendingCall:
    """A call of a risky tool that waits for an approval."""

    id: str
    tool: str
    arguments: dict[str, Any]
    reason: str
    """Why it needs an approval, and which of its arguments do not stand in the person's message."""


@dataclass(frozen=True, slots=True)
class Approval:
    """A person's decision on the pending calls of a turn."""

    approve: bool | Collection[str]
    """True: all calls are made; False: none; or the ids of those that are."""
    arguments: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Arguments that replace those of a call, by the call's id."""
    pending: str | None = None
    """Id of the pending turn that operators have decided on; None: the person has, on the conversation's newest."""

    def approves(self, call: str) -> bool:
        """Return whether the call of an id is made."""
        return self.approve if isinstance(self.approve, bool) else call in self.approve


@dataclass(frozen=True, slots=True)
class Check:
    """One check of an answer and its result."""

    name: str
    outcome: Literal["passed", "failed", "skipped"]
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """A passage of a document that a search returned."""

    title: str
    """Title of the document."""
    url: str = ""
    """Address of the document; empty if it is no web page."""
    place: str = ""
    """Headings and position in the document, for operators and models."""
    text: str = ""

    @property
    def citation(self) -> str:
        """Document and place in one line."""
        return ", ".join(filter(None, (self.title, self.place)))


@dataclass(frozen=True, slots=True)
class DocumentSearch:
    """One search of a turn in the documents, and the decision on it."""

    query: str
    outcome: SearchOutcome
    reason: str = ""
    """The values that the decision was made by, in words."""
    sources: tuple[Source, ...] = ()
    """The passages that answer or may answer, best first; the answer cites the first as [1]."""


@dataclass(frozen=True, slots=True)
class SubAnswer:
    """The answer to one of several questions in a message, with role and model."""

    question: str
    role: Role
    model: str
    engine: str
    confidence: float
    signals: tuple[str, ...]
    thinking: bool
    tools: tuple[ToolUse, ...]
    checks: tuple[Check, ...]
    fallback: str | None = None
    notes: tuple[str, ...] = ()
    searches: tuple[DocumentSearch, ...] = ()


@dataclass(frozen=True, slots=True)
class Receipt:
    """How an answer was made: role, model, reasons, tools, checks, time and tokens."""

    role: Role
    model: str
    engine: str
    confidence: float
    """Confidence of the router in the role, 0 to 1."""
    runner_up: Role | None
    signals: tuple[str, ...]
    """Reasons for the role in words, strongest first."""
    language: str | None
    """ISO 639-1 code of the person's language; None if unknown."""
    thinking: bool
    tools: tuple[ToolUse, ...]
    tokens_in: int
    tokens_out: int
    ttft_ms: float
    """Milliseconds from the start of the turn to the first token, thinking included."""
    tokens_per_second: float
    checks: tuple[Check, ...]
    duration_ms: float
    fallback: str | None = None
    """Why a fallback model answered; None if none did."""
    notes: tuple[str, ...] = ()
    """Further notes for the person, such as older turns left out of a full context."""
    requested_role: Role | None = None
    """The role the person requested."""
    answered_by: str = ""
    """What answered where no model was asked: ``algebra``, ``a calculation`` or ``the documents``; empty: the model."""
    requested_model: str | None = None
    """The model the person requested."""
    thinking_reason: str = ""
    """Why the model did or did not think."""
    role_without_override: Role | None = None
    """The role the router would have chosen without the person's request."""
    escalation: str | None = None
    """Why a second answer was made; None if there was none."""
    answer_language: str | None = None
    """ISO 639-1 code of the language that was asked for; None: none was."""
    lasting_language: Literal["conversation", "person"] | None = None
    """Where that language is kept, if it was wished for all answers."""
    sub_answers: tuple[SubAnswer, ...] = ()
    """Answers to the questions of a message with several, in order; ``tools`` and ``checks`` cover all of them."""
    waits_for: tuple[str, ...] = ()
    """Tools whose calls wait for an approval."""
    searches: tuple[DocumentSearch, ...] = ()
    """The turn's searches in the documents."""
    mended: tuple[str, ...] = ()
    """Names of the failed checks whose faults were corrected in the answer."""

    def as_dict(self) -> dict[str, Any]:
        """Return the receipt as plain JSON types."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class Reply:
    """The finished answer to one message."""

    text: str
    conversation: str
    receipt: Receipt
    thinking: str = field(default="", repr=False)
    """The model's thinking before the answer; it is never sent to a model again."""
    status: ReplyStatus = "answered"
    pending: tuple[PendingCall, ...] = ()
    """The calls that wait for an approval."""

    def as_dict(self) -> dict[str, Any]:
        """Return text, conversation, status, pending calls and receipt as plain JSON types."""
        return {
            "text": self.text,
            "conversation": self.conversation,
            "status": self.status,
            "pending": [asdict(call) for call in self.pending],
            "receipt": self.receipt.as_dict(),
        }


@dataclass(frozen=True, slots=True)
class Routed:
    """The router has chosen a role; the first event of every turn."""

    role: Role
    model: str
    engine: str
    reason: str


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of the answer."""

    text: str


@dataclass(frozen=True, slots=True)
class ThinkingDelta:
    """A piece of the model's thinking."""

    text: str


@dataclass(frozen=True, slots=True)
class AnswerReset:
    """The answer starts again with another model or with thinking; text shown so far is withdrawn."""

    reason: str
    model: str


@dataclass(frozen=True, slots=True)
class ToolStarted:
    """A tool call starts."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ToolFinished:
    """A tool call has ended."""

    use: ToolUse


@dataclass(frozen=True, slots=True)
class ApprovalNeeded:
    """The turn stops before calls of risky tools; ``Finished`` follows, and ``Desk.resume`` goes on."""

    calls: tuple[PendingCall, ...]


@dataclass(frozen=True, slots=True)
class Notice:
    """Information for the person during the turn, such as a model that is loaded or pulled."""

    text: str
    fraction: float | None = None
    """Progress from 0 to 1; None if unknown."""
    persistent: bool = False
    """Whether the notice stays visible after the turn, because the answer differs from the person's request."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The turn is complete and stored; the last event of every turn."""

    reply: Reply


Event = (
    Routed | TextDelta | ThinkingDelta | AnswerReset | ToolStarted | ToolFinished | ApprovalNeeded | Notice | Finished
)
"""The events that ``Desk.stream`` yields."""
