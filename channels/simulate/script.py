"""A script of what happens on a platform: people write, the platform has its bad days, and something is expected."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from qwendesk.channels.base import Capabilities
from qwendesk.channels.simulate.base import Simulator, Trouble, Written
from qwendesk.errors import ConfigError, not_among
from qwendesk.messages import Attachment

DEFAULT = """\
- write: {text: "Hello"}
- expect: {messages: 1}
- write: {text: "A second message, delivered twice"}
- repeat: true
- expect: {messages: 2}
- trouble: [slow_down, broken]
- write: {text: "The platform is busy, then broken"}
- expect: {messages: 3}
- garble: {message: null}
- write: {text: "After a malformed delivery"}
- expect: {messages: 4}
"""
"""What is played where no script is given."""
_HEAD = """\
# A step is one of: write, press, expect, repeat, trouble, garble. docs/channels.md explains all their keys.
"""
_BUTTONS = """\
- press: {button: "👍"}
"""
_GROUP = """\
- write: {text: "Is anybody there?", person: "1002", chat: "-1002", group: true, mention: true, locale: de}
- expect: {contains: "anybody", seconds: 30}
"""
Show = Callable[[str, str], None]
"""Is told who does what."""


class Write(BaseModel):
    """What a person sends."""

    model_config = ConfigDict(extra="forbid")

    text: str = ""
    person: str = "1001"
    chat: str = ""
    group: bool = False
    mention: bool = False
    bot: bool = False
    locale: str = "en"
    picture: Path | None = None

    def written(self) -> Written:
        """Return it as the simulator takes it.

        Raises:
            ConfigError: the picture cannot be read.
        """
        values = self.model_dump(exclude={"picture"})
        if not self.picture:
            return Written(**values)
        try:
            file = Attachment("image", "image/png", self.picture.read_bytes(), self.picture.name)
        except OSError as error:
            raise ConfigError(f"The picture {str(self.picture)!r} cannot be read: {error.strerror}.") from None
        return Written(**values, files=(file,))


class Press(BaseModel):
    """A button that a person presses, under the newest message that has it."""

    model_config = ConfigDict(extra="forbid")

    button: str
    """How its label begins."""
    person: str = "1001"
    chat: str = ""
    group: bool = False

    def written(self, simulator: Simulator) -> Written | None:
        """Return it as the simulator takes it; None where no message has such a button."""
        for shown in reversed(simulator.shown):
            for label, value in shown.buttons:
                if label.startswith(self.button):
                    return Written(value, self.person, self.chat, self.group, reply_to=shown.id, press=True)
        return None


class Expect(BaseModel):
    """What the person has to see, in time."""

    model_config = ConfigDict(extra="forbid")

    contains: str | None = None
    """A part of some message."""
    messages: int | None = Field(default=None, ge=0)
    """How many messages there are in all."""
    button: str | None = None
    """The label of a button under some message."""
    seconds: float = Field(default=15, gt=0)
    """How long it may take."""

    @property
    def wanted(self) -> dict[str, Any]:
        """What has to be seen."""
        return self.model_dump(exclude_none=True, exclude={"seconds"})

    def told(self, simulator: Simulator) -> str:
        """Return what is waited for, and for how long."""
        return f"waits up to {self.seconds:g} s for {self.wanted}; {len(simulator.shown)} messages so far"


class Step(BaseModel):
    """One thing that happens."""

    model_config = ConfigDict(extra="forbid")

    write: Write | None = None
    press: Press | None = None
    expect: Expect | None = None
    repeat: bool = False
    trouble: list[Trouble] = []
    garble: Any = None

    @model_validator(mode="after")
    def _one_thing(self) -> Step:
        if len(self.model_fields_set) != 1:
            raise ValueError(f"a step is one of: {', '.join(_keys())}")
        return self


def example(capabilities: Capabilities) -> str:
    """Return a script with one of each kind of step that a platform can have."""
    return _HEAD + DEFAULT + _BUTTONS * bool(capabilities.buttons) + _GROUP * capabilities.groups


def read_script(text: str, name: str) -> list[Step]:
    """Return the steps of a script in YAML.

    Raises:
        ConfigError: it does not hold; the text names the step.
    """
    try:
        steps = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{name} is not YAML: {error}") from None
    if not isinstance(steps, list) or not steps:
        raise ConfigError(f"{name} has to be a list of steps, such as '- write: {{text: Hello}}'.")
    return [_read_step(step, f"{name}, step {number}") for number, step in enumerate(steps, 1)]


async def play(steps: list[Step], simulator: Simulator, show: Show) -> list[str]:
    """Play a script and return what was expected in vain."""
    failures: list[str] = []
    told = 0
    for number, step in enumerate(steps, 1):
        if step.write:
            show(step.write.person, step.write.text)
            await simulator.write(step.write.written())
        elif step.press:
            show(step.press.person, f"presses {step.press.button}")
            if pressed := step.press.written(simulator):
                await simulator.write(pressed)
            else:
                failures.append(f"step {number}: no message has a button {step.press.button!r}")
        elif step.expect:
            show("script", step.expect.told(simulator))
            if problem := await _look(step.expect, simulator):
                failures.append(f"step {number}: {problem}")
            for shown in simulator.shown[told:]:
                show("desk", shown.text)
            told = len(simulator.shown)
        elif step.repeat:
            show("platform", "delivers the last message again")
            await simulator.repeat()
        elif step.trouble:
            show("platform", f"will fail: {', '.join(step.trouble)}")
            simulator.troubles += step.trouble
        else:
            show("platform", "delivers something malformed")
            await simulator.garble(step.garble)
    return failures


async def _look(expect: Expect, simulator: Simulator) -> str | None:
    def seen(platform: Simulator) -> bool:
        enough = expect.messages is None or len(platform.shown) >= expect.messages
        labels = [label for shown in platform.shown for label, _ in shown.buttons]
        said = expect.contains is None or any(expect.contains in text for text in platform.texts())
        return enough and said and (expect.button is None or expect.button in labels)

    try:
        await simulator.saw(seen, expect.seconds)
    except TimeoutError:
        return f"expected {expect.wanted} within {expect.seconds:g} s; seen: {simulator.texts()!r}"
    if expect.messages is not None and len(simulator.shown) > expect.messages:
        return f"expected {expect.messages} messages, seen: {simulator.texts()!r}"
    return None


def _read_step(step: Any, name: str) -> Step:
    try:
        return Step.model_validate(step)
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
        kind = str(found["loc"][0]) if found["loc"] else ""
        keys = ", ".join(_keys(*([kind] if kind else [])))
        return f"this has to be a table, such as {{key: value}}; known keys: {keys}."
    return f"{found['msg']}."


def _keys(*place: str) -> list[str]:
    """Return the keys that a step has, or what is in it."""
    kinds: dict[str, type[BaseModel]] = {"write": Write, "press": Press, "expect": Expect}
    return list(kinds.get(place[0] if place else "", Step).model_fields)
