"""The values that cross the borders between folders: what comes in, what happens, what goes out."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

Role = Literal["general", "coder", "math", "vision", "thinking", "audio"]
"""The specialists a message can go to."""

ROLES: tuple[Role, ...] = get_args(Role)
VIRTUAL_MODELS: dict[str, Role | None] = {"qwen-auto": None, **{f"qwen-{role}": role for role in ROLES}}
"""Names of models that stand for a specialist, whatever model plays it; ``qwen-auto`` lets the router choose."""
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


def as_role(name: str) -> Role | None:
    """Return the role of that name; None where there is none."""
    return next((role for role in ROLES if role == name), None)


def as_wish(role: Role | None, model: str | None) -> tuple[Role | None, str | None]:
    """Return the specialist and the model that are wished for; a virtual model's name is a wish for a specialist."""
    name = (model or "").strip().lower()
    return (role or VIRTUAL_MODELS[name], None) if name in VIRTUAL_MODELS else (role, model)


def storable(text: str) -> str:
    """Replace what neither a database nor a tokenizer can hold, NUL and lone surrogates, by U+FFFD."""
    if text.isascii() and "\0" not in text:
        return text
    return _UNSTORABLE.sub("\ufffd", text)


Kind = Literal["image", "audio", "document"]


def kind_of(mime: str) -> Kind:
    """Return what a file is to the desk, by its MIME type."""
    family = mime.partition("/")[0]
    return "image" if family == "image" else "audio" if family == "audio" else "document"


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that came with a message."""

    kind: Kind
    mime: str
    data: bytes
    """The file's raw bytes."""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Inbound:
    """One message from a person, as a channel hands it over."""

    text: str
    conversation: str
    """The conversation's key; a new key begins a new conversation."""
    attachments: tuple[Attachment, ...] = ()
    role: Role | None = None
    """The specialist the person asked for; None lets the router choose."""
    model: str | None = None
    """The model the person asked for, as ``engine:name``, a catalogue name or a virtual name such as ``qwen-coder``."""
    think: bool | None = None
    """Thinking forced on or off; None lets the router choose."""
    person: str = "local"
    """The person's name on the channel, as the platform keeps it."""
    channel: str = "python"
    retry: bool = False
    """The last answer to this question was no good: the next model up the chain is to try."""
    account: str = ""
    """Which of the desk's own accounts on the channel was written to: a bot, a workspace, a mailbox."""
    event: str | None = None
    """The platform's name for this delivery: another one of that name is the same message. None: never repeated."""
    reply_to: str | None = None
    """The platform's id of the message, for an answer that quotes it."""
    locale: str | None = None
    """The language the platform says the person reads, such as ``it`` or ``pt-br``."""
    group: bool = False
    """Whether others read along."""
    display_name: str = ""
    sequence: int | None = None
    """The message's place in its conversation, where the desk has given it one at the door; None: the next."""
    unsupported_media: str | None = None
    """What came with it that the desk cannot take, such as ``video`` or ``large file``; the person is told."""
    has_ended_a_run: bool = False
    """An earlier run that was to answer it ended or hung its process: no code that a model writes is run for it."""
    address: str = ""
    """The network address it was sent from, where names cost nothing, so that they share a limit; it is not stored."""
    for_operator: bool = True
    """Whether the answer may name models, settings and commands of those who run the desk; False for a customer."""


@dataclass(frozen=True, slots=True)
class Admission:
    """What became of a message at the door."""

    outcome: Literal["accepted", "duplicate", "refused", "busy"]
    """``refused``: tell the person ``text``. ``busy``: nothing is stored; the platform shall deliver it again later."""
    sequence: int | None = None
    """The message's place in its conversation, where it was accepted."""
    text: str = ""
    """What to tell the person, in their language; empty: nothing."""
    retry_after: float | None = None
    """Seconds after which a busy desk may be asked again."""


@dataclass(frozen=True, slots=True)
class Button:
    """Something to press under a message; pressing it is a message of its own."""

    label: str
    value: str
    """What comes back, at most 64 bytes of UTF-8."""
    chosen: bool = False
    """Whether it was pressed; it may be pressed again."""

    @property
    def face(self) -> str:
        """The label with a sign where it was pressed, for a platform that shows no more than text."""
        return f"{self.label} ✓" if self.chosen else self.label


@dataclass(frozen=True, slots=True)
class Outbound:
    """One message for a person, as a channel is to deliver it."""

    key: str
    """The same key is the same message, however often it is sent."""
    conversation: str
    text: str
    account: str = ""
    reply_to: str | None = None
    """The platform's id of the message that is answered."""
    attachments: tuple[Attachment, ...] = ()
    buttons: tuple[Button, ...] = ()
    plain: str = ""
    """The same text without markup, for a platform that refuses the markup or wants both."""


@dataclass(frozen=True, slots=True)
class ToolUse:
    """One call of a tool and how it ended."""

    name: str
    arguments: dict[str, Any]
    ok: bool
    result: str
    duration_ms: float
    reason: str = ""
    """Why it failed, in words that a person may read; empty where only its developer can do anything about it."""
    round: int = 1
    """Which of the turn's rounds of calls it belongs to; the calls of one round run side by side."""


@dataclass(frozen=True, slots=True)
class Check:
    """One check of an answer and its outcome."""

    name: str
    outcome: Literal["passed", "failed", "skipped"]
    detail: str = ""


@dataclass(frozen=True, slots=True)
class SubAnswer:
    """One question of a message that held several, and who answered it."""

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


@dataclass(frozen=True, slots=True)
class Receipt:
    """Why an answer is as it is: who gave it, for which reasons, at what cost."""

    role: Role
    model: str
    engine: str
    confidence: float
    """How sure the router was of the role, 0 to 1."""
    runner_up: Role | None
    signals: tuple[str, ...]
    """The reasons for the role, strongest first, in words."""
    language: str | None
    """ISO 639-1 code of the person's language; None when undecided."""
    thinking: bool
    tools: tuple[ToolUse, ...]
    tokens_in: int
    tokens_out: int
    ttft_ms: float
    """Milliseconds from the start of the turn to the first visible or thinking token."""
    tokens_per_second: float
    checks: tuple[Check, ...]
    duration_ms: float
    fallback: str | None = None
    """Why another model stood in for the role's own; None when none did."""
    notes: tuple[str, ...] = ()
    """What else the person should know, such as older turns left out of a full context."""
    wished_role: Role | None = None
    """The specialist the person asked for."""
    wished_model: str | None = None
    """The model the person asked for."""
    thinking_why: str = ""
    """Why the model thought, or did not."""
    role_without_override: Role | None = None
    """The specialist that would have answered had the person asked for none."""
    escalation: str | None = None
    """Why a stronger model, or one that thinks, was asked after the first; None when none was."""
    sub_answers: tuple[SubAnswer, ...] = ()
    """The questions of a message that held several, in their order; tools and checks above are those of all."""

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
    """What the model thought before it answered; never sent back to a model."""

    def as_dict(self) -> dict[str, Any]:
        """Return text, conversation and receipt as plain JSON types."""
        return {"text": self.text, "conversation": self.conversation, "receipt": self.receipt.as_dict()}


@dataclass(frozen=True, slots=True)
class Routed:
    """The router has chosen; comes first in every turn."""

    role: Role
    model: str
    engine: str
    why: str


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
    """The answer begins anew, with another model or with thinking: what was shown of it is void."""

    reason: str
    model: str


@dataclass(frozen=True, slots=True)
class ToolStarted:
    """A tool is being called."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ToolFinished:
    """A tool has returned."""

    use: ToolUse


@dataclass(frozen=True, slots=True)
class Notice:
    """Something the person should know while waiting, such as a model being loaded or pulled."""

    text: str
    fraction: float | None = None
    """How far the work has come, 0 to 1; None when that is not known."""
    persistent: bool = False
    """Whether it stays to be read, because something was done otherwise than the person asked."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The turn is over and stored; comes last in every turn."""

    reply: Reply


Event = Routed | TextDelta | ThinkingDelta | AnswerReset | ToolStarted | ToolFinished | Notice | Finished
"""What ``Desk.stream`` yields."""
