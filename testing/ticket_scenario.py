"""Ticket scenarios: who takes part, what the model answers, the steps, and what is expected after each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from qwendesk.desk.tickets.records import TicketState
from qwendesk.desk.translations import text_keys
from qwendesk.errors import ConfigError, did_you_mean
from qwendesk.service_times_settings import Duration

Texts = Annotated[tuple[str, ...], BeforeValidator(lambda value: [value] if isinstance(value, str) else value)]
"""One text, or several."""
ENDINGS = (".yaml", ".yml")


def _known_texts(keys: tuple[str, ...]) -> tuple[str, ...]:
    known = text_keys()
    if unknown := [key for key in keys if key not in known]:
        raise ValueError(f"the desk has no text {unknown[0]!r}.{did_you_mean(unknown[:1], known)}")
    return keys


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ScenarioOperator(_Part):
    """An operator who takes part."""

    name: str
    languages: tuple[str, ...] = ("en",)
    teams: tuple[str, ...] = ()
    role: Literal["viewer", "operator", "admin"] = "operator"
    online: bool = True


class ScriptedAnswer(_Part):
    """What the scripted model answers."""

    when: str = ""
    """Words of the newest message for which it is the answer; empty: any."""
    after: str = ""
    """Name of the tool after whose result it is the answer; empty: it answers a message."""
    say: str = ""
    calls: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Arguments of the tools that the model calls, by the tool's name."""
    waits: bool = False
    """Whether the model writes nothing until a step ``release``."""
    fails: bool = False
    """Whether the model cannot be reached instead."""


class MockTool(_Part):
    """A tool that the model may call, without an effect."""

    name: str
    description: str = "A tool of the scenario."
    arguments: dict[str, Literal["text", "number", "truth"]] = Field(default_factory=dict)
    """Kinds of the arguments by name."""
    risky: bool = True
    """Whether its calls need an approval."""
    returns: str | None = None
    """Its result; None: a risky one is not run (dry run), and any other returns an empty text."""
    fails: str | None = None
    """The error with which its calls fail."""


class Expectation(_Part):
    """What is expected after a step; only what is given is compared."""

    state: TicketState | None = None
    """State of the newest ticket of the step's conversation."""
    reason: str | None = None
    held_by: str | None = None
    """Name of the operator who holds it or to whom it is assigned; empty: nobody."""
    language: str | None = None
    priority: str | None = None
    tags: tuple[str, ...] | None = None
    team: str | None = None
    tickets: int | None = None
    """Number of tickets of the conversation."""
    told: Annotated[Texts, AfterValidator(_known_texts)] | None = None
    """Keys of the desk's own texts that the customer got since the step began, in the conversation's language."""
    gets: Texts | None = None
    """Texts that the messages the customer got since then contain, in their order, one for each message."""
    silent: bool | None = None
    """Whether the customer got nothing since then."""
    never: Texts | None = None
    """Texts that no message of the whole conversation contains."""
    by: Literal["bot", "operator"] | None = None
    """Who speaks in the newest message."""
    needs_approval: Texts | None = None
    """Names of the tools whose calls wait for an approval; an empty list: none does."""
    called: Texts | None = None
    """All calls of the scenario's tools since the beginning, such as ``refund(order=4711)``, in their order."""
    refused: str | None = None
    """Words of the error with which the operator's action was refused."""
    events: tuple[str, ...] | None = None
    """Kinds of events that the ticket has, in this order, perhaps with others between them."""


Does = Literal[
    "take_over", "force_take_over", "hand_back", "hand_over", "resolve", "reopen", "wake", "unassign", "go_online",
    "go_offline", "approve", "decline",
]  # fmt: skip


class TicketStep(_Part):
    """One step: a customer writes, an operator acts, time passes, or several of these at the same time."""

    customer: str | None = None
    """What the customer writes."""
    person: str = "customer"
    conversation: str = ""
    """Name of the conversation; empty: that of the person."""
    locale: str | None = None
    group: bool = False
    times: int = Field(default=1, ge=1, le=1000)
    """How often the customer writes it, at the same time."""
    operator: str | None = None
    """Name of the operator who acts."""
    says: str | None = None
    does: Does | None = None
    call: str | None = None
    """Name of the tool whose call is approved or declined; None: all that wait."""
    sets: dict[str, Any] = Field(default_factory=dict)
    """Arguments that replace those of the call that is approved."""
    notes: str | None = None
    assigns: str | None = None
    """Name of the operator whom the ticket is assigned to."""
    snoozes: Duration | None = None
    tags: tuple[str, ...] = ()
    priority: Literal["low", "normal", "high", "urgent"] | None = None
    splits_from: int | None = None
    """Number of the first message that goes into a new ticket."""
    merges_into: int | None = None
    """Number of the ticket that takes the messages."""
    ticket: int | None = None
    """Number of the ticket that the operator acts on; None: the newest of the conversation."""
    wait: Duration | None = None
    """Time that passes, for what happens by the clock."""
    release: bool = False
    """Whether the waiting model goes on."""
    until_asked: bool = False
    """Whether the step waits until the model was asked."""
    together: tuple[TicketStep, ...] = ()
    expect: Expectation | None = None

    @model_validator(mode="after")
    def _is_one_thing(self) -> TicketStep:
        kinds = [self.customer is not None, self.operator is not None, self.wait is not None, self.release]
        kinds += [self.until_asked and self.customer is None, bool(self.together)]
        if sum(kinds) > 1 or not (sum(kinds) or self.expect):
            raise ValueError(
                "a step has one of customer, operator, wait, release, until_asked, together, or only expect"
            )
        return self


class TicketScenario(_Part):
    """A scenario."""

    name: str
    language: str = "en"
    """Language of the customer, in which ``told`` compares."""
    operators: tuple[ScenarioOperator, ...] = ()
    tools: tuple[MockTool, ...] = ()
    """Tools that the model may call. Risky tools of the desk itself are not run (``dry_run_tools``)."""
    script: tuple[ScriptedAnswer, ...] = ()
    """The model's answers; the first that fits is given. Without one, it writes ``OK 1.``, ``OK 2.`` and
    so on, which is of no language."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Settings of the desk that differ from the defaults."""
    closed_today: bool = False
    """Whether the desk is closed today and tomorrow, and opens at 9:00 the day after."""
    model: Literal["scripted", "starter"] = "scripted"
    """``starter``: a real model answers, the one of the settings."""
    steps: Annotated[tuple[TicketStep, ...], Field(min_length=1)]


def read_scenarios(path: Path) -> list[TicketScenario]:
    """Return the scenarios of a YAML file, or of all such files in a folder.

    Raises:
        ConfigError: a file cannot be read, or holds no valid scenario; the text names file, scenario and key.
    """
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix in ENDINGS)
        if not files:
            raise ConfigError(f"The folder {str(path)!r} has no file that ends in {' or '.join(ENDINGS)}.")
        return [scenario for file in files for scenario in read_scenarios(file)]
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"The scenarios {str(path)!r} cannot be read: {error}.") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{str(path)!r} is not YAML: {error}") from None
    listed = content if isinstance(content, list) else [content]
    return [_scenario(item, f"{path}, scenario {number}") for number, item in enumerate(listed, 1)]


def _scenario(item: Any, where: str) -> TicketScenario:
    if not isinstance(item, dict):
        raise ConfigError(f"{where} has to be a mapping with 'name' and 'steps'.")
    try:
        return TicketScenario.model_validate(item)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part + 1) if isinstance(part, int) else part for part in first["loc"])
        name = f" ({item['name']})" if item.get("name") else ""
        raise ConfigError(f"{where}{name}: {place}: {_fault(first)}") from None


def _fault(error: ErrorDetails) -> str:
    if error["type"] != "extra_forbidden":
        return f"{error['msg'].removeprefix('Value error, ').rstrip('.')}."
    known = sorted({name for part in _Part.__subclasses__() for name in part.model_fields})
    return f"there is no such key.{did_you_mean([str(error['loc'][-1])], known)}"
