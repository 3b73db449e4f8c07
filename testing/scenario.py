"""Read and play scripts of a simulated platform: messages of people, faults of the platform, and expectations."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import yaml

from qwendesk.channels.base import ChannelCapabilities, Manifest
from qwendesk.errors import ConfigError
from qwendesk.testing.scenario_steps import ExpectStep, PressStep, ScenarioStep, WriteStep, read_step
from qwendesk.testing.simulators.base import Simulator

DEFAULT = """\
- write: {text: "Hello"}
- expect: {messages: 1}
- write: {text: "A second message, delivered twice"}
- repeat: true
- expect: {messages: 2}
- fault: [slow_down, broken]
- write: {text: "The platform is busy, then broken"}
- expect: {messages: 3}
- malformed: {message: null}
- write: {text: "After a malformed delivery"}
- expect: {messages: 4}
"""
"""The script that ``qwendesk channels simulate`` plays by default."""
_HEAD = f"""\
# A step is one of: {", ".join(ScenarioStep.model_fields)}. docs/reference/simulator.md explains all their keys.
"""
_FILE = """\
# - write: {text: "What is this?", file: cat.png}  # or a recording, or a document
"""
_EDIT = """\
- edit: "After a malformed delivery, without a typing error"  # which is no new question
- write: {text: "After an edit"}
- expect: {messages: 5}
"""
_BUTTONS = """\
- press: {button: "👍"}
"""
_GROUP = """\
- write: {{text: "Is anybody there?", person: "1002", chat: "-1002", group: true, mention: true{locale}}}
- expect: {{contains: "anybody", seconds: 30}}
"""
Show = Callable[[str, str], None]
"""Receives the name of the acting side and the text of its action."""


def example(capabilities: ChannelCapabilities, simulator: Simulator) -> str:
    """Return a script with all kinds of steps that a platform supports."""
    files, buttons = _FILE * bool(capabilities.max_file_in), _BUTTONS * bool(capabilities.buttons)
    group = _GROUP.format(locale=", locale: de" * simulator.sends_locale) * capabilities.groups
    return _HEAD + DEFAULT + files + _EDIT * simulator.users_can_edit + buttons + group


def read_script(text: str, name: str) -> list[ScenarioStep]:
    """Return the steps of a YAML script.

    Raises:
        ConfigError: The script is invalid; the text names the step.
    """
    try:
        steps = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{name} is not YAML: {error}") from None
    if not isinstance(steps, list) or not steps:
        raise ConfigError(f"{name} has to be a list of steps, such as '- write: {{text: Hello}}'.")
    return [read_step(step, f"{name}, step {number}") for number, step in enumerate(steps, 1)]


def check_script(steps: Sequence[ScenarioStep], name: str, simulator: Simulator, manifest: Manifest) -> None:
    """Check that a platform supports all steps of a script.

    Raises:
        ConfigError: It does not support a step; the text names the step.
    """
    has_message = False
    for number, step in enumerate(steps, 1):
        problem = _problem(step, simulator, manifest, has_message)
        if problem:
            raise ConfigError(f"{name}, step {number}: {problem}")
        has_message = has_message or step.write is not None


def _problem(step: ScenarioStep, simulator: Simulator, manifest: Manifest, has_message: bool) -> str | None:
    if (step.repeat or step.press or step.edit) and not has_message:
        return "no message was written yet; put a step 'write' before this one."
    if step.edit and not simulator.users_can_edit:
        return f"edit: on {manifest.title} people cannot edit messages."
    if step.write and "locale" in step.write.model_fields_set and not simulator.sends_locale:
        return f"write.locale: {manifest.title} does not report the language of people."
    if step.write and step.write.file and not manifest.capabilities.max_file_in:
        return f"write.file: {manifest.title} takes no files."
    return _id_problem(step.write or step.press, simulator, manifest) or _file_problem(step.write)


def _id_problem(what: WriteStep | PressStep | None, simulator: Simulator, manifest: Manifest) -> str | None:
    names = [what.person, *([what.chat] if what.chat else [])] if what and simulator.numeric_ids else []
    wrong = next((name for name in names if not name.removeprefix("-").isdecimal()), None)
    return (
        None if wrong is None else f"on {manifest.title} people and chats are numbers, such as '1001', not {wrong!r}."
    )


def _file_problem(write: WriteStep | None) -> str | None:
    try:
        if write:
            write.to_message()
    except ConfigError as error:
        return f"write.file: {error}"
    return None


async def play(steps: Sequence[ScenarioStep], simulator: Simulator, show: Show) -> list[str]:
    """Play a script and return the expectations that were not met."""
    player = _Player(simulator, show)
    problems = [(number, await player.play(step)) for number, step in enumerate(steps, 1)]
    return [f"step {number}: {problem}" for number, problem in problems if problem]


class _Player:
    """Plays steps on a platform and shows each."""

    def __init__(self, simulator: Simulator, show: Show) -> None:
        self._simulator = simulator
        self._show = show
        self._writer = "somebody"
        self._told = 0

    async def play(self, step: ScenarioStep) -> str | None:
        """Play a step and return the expectation that was not met."""
        if step.write:
            self._writer = step.write.person
            self._show(self._writer, _message_line(step.write))
            await self._simulator.write(step.write.to_message())
        elif step.edit:
            self._show(self._writer, f"edits the message: {step.edit}")
            await self._simulator.edit(step.edit)
        elif step.press:
            return await self._press(step.press)
        elif step.expect:
            return await self._expect(step.expect)
        else:
            await self._platform(step)
        return None

    async def _press(self, press: PressStep) -> str | None:
        self._show(press.person, f"presses {press.button}")
        pressed = press.to_message(self._simulator)
        if pressed is None:
            return f"no message has a button {press.button!r}"
        await self._simulator.write(pressed)
        return None

    async def _expect(self, expect: ExpectStep) -> str | None:
        self._show("script", expect.describe(self._simulator))
        problem = await _check_expectation(expect, self._simulator)
        for shown in self._simulator.messages[self._told :]:
            self._show("desk", shown.text)
        self._told = len(self._simulator.messages)
        return problem

    async def _platform(self, step: ScenarioStep) -> None:
        if step.repeat:
            self._show("platform", "delivers the last message again")
            await self._simulator.repeat()
        elif step.fault:
            self._show("platform", f"will fail: {', '.join(step.fault)}")
            self._simulator.faults += step.fault
        else:
            self._show("platform", "delivers a malformed update")
            await self._simulator.deliver_malformed(step.malformed)


def _message_line(write: WriteStep) -> str:
    return " ".join(filter(None, (write.text, f"[{write.file.name}]" if write.file else "")))


async def _check_expectation(expect: ExpectStep, simulator: Simulator) -> str | None:
    def seen(platform: Simulator) -> bool:
        enough = expect.messages is None or len(platform.messages) >= expect.messages
        labels = [label for shown in platform.messages for label, _ in shown.buttons]
        said = expect.contains is None or any(expect.contains in text for text in platform.texts())
        return enough and said and (expect.button is None or expect.button in labels)

    try:
        await simulator.wait_until(seen, expect.seconds)
    except TimeoutError:
        return f"expected {expect.wanted} within {expect.seconds:g} s; seen: {simulator.texts()!r}"
    if expect.messages is not None and len(simulator.messages) > expect.messages:
        return f"expected {expect.messages} messages, seen: {simulator.texts()!r}"
    return None
