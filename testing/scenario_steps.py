"""The steps of a scenario, and the files that people send in it."""

from __future__ import annotations

import mimetypes
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from qwendesk.errors import ConfigError, not_among
from qwendesk.messages import Attachment, kind_of
from qwendesk.testing.simulators.base import Fault, Simulator, UserMessage

_SIGNATURES = (
    (0, b"\x89PNG\r\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF8", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (8, b"WAVE", "audio/wav"),
    (0, b"OggS", "audio/ogg"),
    (0, b"fLaC", "audio/flac"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"%PDF-", "application/pdf"),
)
"""Offset and value of each file signature, and its MIME type."""


def read_file(path: Path) -> Attachment:
    """Return a file as an attachment with the kind of its content, or else of its name.

    Raises:
        ConfigError: The file cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"The file {str(path)!r} cannot be read: {error.strerror}.") from None
    mime = _mime(data, path.name)
    return Attachment(kind_of(mime), mime, data, path.name)


def _mime(data: bytes, name: str) -> str:
    for offset, signature, mime in _SIGNATURES:
        if data.startswith(signature, offset):
            return mime
    return mimetypes.guess_type(name)[0] or "application/octet-stream"


class WriteStep(BaseModel):
    """A message that a person sends."""

    model_config = ConfigDict(extra="forbid")

    text: str = ""
    person: str = "1001"
    chat: str = ""
    group: bool = False
    mention: bool = False
    bot: bool = False
    locale: str = "en"
    file: Path | None = None

    @model_validator(mode="after")
    def _has_content(self) -> WriteStep:
        if not (self.text or self.file):
            raise ValueError("a message needs 'text' or 'file'")
        return self

    def to_message(self) -> UserMessage:
        """Return the message for the simulator.

        Raises:
            ConfigError: The file cannot be read.
        """
        values = self.model_dump(exclude={"file"})
        return UserMessage(**values, files=(read_file(self.file),) if self.file else ())


class PressStep(BaseModel):
    """A button that a person presses, in the newest message that has it."""

    model_config = ConfigDict(extra="forbid")

    button: str
    """The beginning of the button's label."""
    person: str = "1001"
    chat: str = ""
    group: bool = False

    def to_message(self, simulator: Simulator) -> UserMessage | None:
        """Return the press for the simulator; None if no message has the button."""
        for shown in reversed(simulator.messages):
            for label, value in shown.buttons:
                if label.startswith(self.button):
                    return UserMessage(value, self.person, self.chat, self.group, reply_to=shown.id, press=True)
        return None


class ExpectStep(BaseModel):
    """Messages or a button that a person has to see within a time limit."""

    model_config = ConfigDict(extra="forbid")

    contains: str | None = None
    """A part of a message."""
    messages: int | None = Field(default=None, ge=0)
    """The exact number of messages."""
    button: str | None = None
    """The label of a button of a message."""
    seconds: float = Field(default=15, gt=0)
    """The time limit."""

    @model_validator(mode="after")
    def _has_content(self) -> ExpectStep:
        if not self.wanted:
            raise ValueError("set 'contains', 'messages' or 'button'")
        return self

    @property
    def wanted(self) -> dict[str, Any]:
        """The conditions, without the time limit."""
        return self.model_dump(exclude_none=True, exclude={"seconds"})

    def describe(self, simulator: Simulator) -> str:
        """Return the condition and its time limit as text."""
        return f"waits up to {self.seconds:g} s for {self.wanted}; {len(simulator.messages)} messages so far"


class ScenarioStep(BaseModel):
    """One step of a scenario: one of the fields is set."""

    model_config = ConfigDict(extra="forbid")

    write: WriteStep | None = None
    edit: str | None = None
    press: PressStep | None = None
    expect: ExpectStep | None = None
    repeat: bool = False
    fault: list[Fault] = []
    malformed: Any = None

    @model_validator(mode="after")
    def _has_one_field(self) -> ScenarioStep:
        if len(self.model_fields_set) != 1:
            raise ValueError(f"a step is one of: {', '.join(_keys())}")
        (kind,) = self.model_fields_set
        if kind != "malformed" and not getattr(self, kind):  # a malformed delivery may be empty
            raise ValueError(f"'{kind}:' has no value; {_SCALAR_HELP.get(kind) or _table_help(kind)}")
        return self


_SCALAR_HELP = {
    "edit": "it takes the new text, such as 'edit: Hello there'",
    "repeat": "it takes 'true'",
    "fault": "it takes a list, such as 'fault: [slow_down]'",
}
"""The values of steps without a table."""

_KINDS: dict[str, type[BaseModel]] = {"write": WriteStep, "press": PressStep, "expect": ExpectStep}

_EXAMPLES = {"write": "{text: Hello}", "press": "{button: 👍}", "expect": "{messages: 1}"}


def read_step(step: Any, name: str) -> ScenarioStep:
    """Return a validated step.

    Raises:
        ConfigError: The step is invalid; the text begins with the name.
    """
    try:
        return ScenarioStep.model_validate(step)
    except ValidationError as error:
        found = error.errors()[0]
        place = ".".join(map(str, found["loc"]))
        raise ConfigError(f"{name}: {f'{place}: ' if place else ''}{_reason(found)}") from None


def _reason(found: ErrorDetails) -> str:
    if found["type"] == "extra_forbidden":
        *above, key = map(str, found["loc"])
        return f"there is {not_among('no key', [key], _keys(*above))}"
    if found["type"] == "value_error":
        return f"{found['ctx']['error']}."
    if found["type"] in ("model_type", "dict_type"):
        return f"{_table_help(str(found['loc'][0]) if found['loc'] else '')}."
    return f"{found['msg']}."


def _table_help(kind: str) -> str:
    return (
        f"this has to be a table, such as {_EXAMPLES.get(kind, '{key: value}')}; known keys: {', '.join(_keys(kind))}"
    )


def _keys(kind: str = "", *_: str) -> list[str]:
    """Return the keys of a step, or of the table of a kind of step."""
    return list(_KINDS.get(kind, ScenarioStep).model_fields)
