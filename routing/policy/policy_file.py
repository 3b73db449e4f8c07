"""The policy file: the user's settings for routing, and their validation."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from qwendesk.errors import ConfigError
from qwendesk.messages import Role
from qwendesk.routing.base import TEXT_ROLES
from qwendesk.routing.signals.language import english_name, language_code

POLICY_FILE = "policy.toml"
"""The file's name in the data folder."""
_EITHER = f"{', '.join(TEXT_ROLES[:-1])} or {TEXT_ROLES[-1]}"


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class ConversationPolicy(_Table):
    """Use of the conversation in routing."""

    sticky_roles: bool = True
    """A short follow-up on the same topic keeps the role of the last answer."""
    picture_turns: int = Field(default=4, ge=0)
    """Messages for which a question such as "what colour was it?" is about the last picture; 0: only if named."""


class AbstentionPolicy(_Table):
    """Handling of messages for which no role is likely enough."""

    min_confidence: float = Field(default=0.34, ge=0, le=1)
    """Minimum probability of a role that counts as a decision."""
    think: bool = True
    """The general role thinks about such a message, if its model can."""
    ask_llm: bool = False
    """Ask a small model, with thinking off, for the role."""
    llm: str | None = None
    """The model to ask, as ``NAME`` or ``ENGINE:NAME``; by default the smallest."""


class ThinkingPolicy(_Table):
    """When a model thinks by default, and for how long."""

    threshold: float = Field(default=0.5, ge=0, le=1)
    """Minimum probability that a message needs thinking."""
    budget: int | None = Field(default=None, ge=16)
    """Maximum tokens of thinking; a message at the threshold gets half. Default: the setting ``think_budget``, at most
    three quarters of the longest answer."""


class ModelPolicy(_Table):
    """Selection of models beside the role."""

    model_switch_threshold: float = Field(default=0.5, ge=0)
    """How much more suitable a model must be than a loaded one to be loaded: up to 1 for being made for the role, 0.25
    for each doubling of size. 0: always the most suitable model."""
    languages: bool = True
    """Prefer models that support the message's language."""


class SplitPolicy(_Table):
    """Messages that hold several questions."""

    enabled: bool = True
    min_confidence: float = Field(default=0.7, ge=0, le=1)
    """Minimum confidence for each question."""
    max_questions: int = Field(default=4, ge=2, le=8)
    """Maximum number of questions; a message with more is not split."""


class EscalationPolicy(_Table):
    """Faults after which an answer is retried once: a larger model, thinking, or the same model once more."""

    checks: bool = True
    """A check of the answer failed."""
    empty: bool = True
    """The answer was empty."""
    refused: bool = True
    """The model said that it cannot help."""
    repeated: bool = True
    """The person asks the same again."""


class RuleConditions(_Table):
    """Conditions of a rule; all given ones must hold."""

    contains: tuple[str, ...] = ()
    """Words or phrases, one of which the message must contain; ``*`` at a word's end matches any ending."""
    language: str | tuple[str, ...] = ()
    """ISO 639-1 codes, one of which must be the message's language."""
    channel: str | tuple[str, ...] = ()
    """Names of channels, one of which the message must come from."""

    @field_validator("contains", mode="before")
    @classmethod
    def _list(cls, value: object) -> object:
        if isinstance(value, str):
            raise ValueError(f'write a list: ["{value}"]')
        return value

    @field_validator("language")
    @classmethod
    def _codes(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        for name in (value,) if isinstance(value, str) else value:
            if not english_name(name):
                hint = f"write {code!r}" if (code := language_code(name)) else "write an ISO 639-1 code such as 'de'"
                raise ValueError(f"{name!r} is not a supported language: {hint}")
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not (self.contains or self.language or self.channel):
            raise ValueError("give at least one of contains, language, channel")
        for phrase in self.contains:
            if not phrase.replace("*", "").strip() or len(phrase) > 200 or "*" in phrase.replace("* ", " ").rstrip("*"):
                raise ValueError(f"{phrase!r} is no phrase: write words, with '*' only at the end of a word")
        return self


class Rule(_Table):
    """A rule of the user."""

    when: RuleConditions
    role: Role | None = None
    model: str | None = None
    think: bool | None = None
    reason: str = ""
    """Reason in the receipt; by default the words found."""

    @field_validator("role", mode="before")
    @classmethod
    def _by_words(cls, value: object) -> object:
        if value in ("vision", "audio"):
            raise ValueError(f"pictures and recordings choose their role themselves: write {_EITHER}, not {value!r}")
        if value not in TEXT_ROLES:
            raise ValueError(f"write {_EITHER} (got {value!r})")
        return value

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.role is None and self.model is None and self.think is None:
            raise ValueError("a rule needs at least one of role, model, think")
        return self


class RoutingPolicy(_Table):
    """All settings of the policy file."""

    conversation: ConversationPolicy = ConversationPolicy()
    abstain: AbstentionPolicy = AbstentionPolicy()
    thinking: ThinkingPolicy = ThinkingPolicy()
    models: ModelPolicy = ModelPolicy()
    split: SplitPolicy = SplitPolicy()
    escalate: EscalationPolicy = EscalationPolicy()
    rule: tuple[Rule, ...] = ()
    """The user's rules; the first match applies."""


def load_policy(file: Path) -> RoutingPolicy:
    """Return the policy of a file, or the default policy without a file.

    Raises:
        ConfigError: the file is not valid; the text names line, field and allowed values.
    """
    return read_policy(file) if file.is_file() else RoutingPolicy()


def read_policy(file: Path) -> RoutingPolicy:
    """Return the policy of an existing file.

    Raises:
        ConfigError: it cannot be read or is not valid.
    """
    try:
        text = file.read_text("utf-8")
        return RoutingPolicy.model_validate(tomllib.loads(text))
    except OSError as error:
        raise ConfigError(f"The policy {str(file)!r} cannot be read: {error.strerror or error}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"The policy {str(file)!r} is not valid TOML: {error}.") from None
    except ValidationError as error:
        faults = "; ".join(_fault(dict(fault), text) for fault in error.errors())
        raise ConfigError(f"The policy {str(file)!r} is not valid: {faults}.") from None


def _fault(fault: dict[str, Any], text: str) -> str:
    """Return the place of a fault, the fault and the allowed values."""
    place = [part for part in fault["loc"] if part not in ("str", "tuple[str, ...]")]
    name = _name(place)
    said = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "extra_forbidden":
        said = f"is not known; known here: {', '.join(_known(place[:-1]))}"
    else:
        said = f"{said[0].lower()}{said[1:]}" + ("" if fault["type"] == "value_error" else f" (got {fault['input']!r})")
    return f"line {_line(place, text)}, {name or 'file'}: {said}"


def _name(place: list[Any]) -> str:
    """Return the name of a key; rules are counted from 1, as in receipts."""
    if len(place) > 1 and place[0] == "rule" and isinstance(place[1], int):
        return ": ".join(filter(None, (f"rule {place[1] + 1}", ".".join(map(str, place[2:])))))
    return ".".join(map(str, place))


def _known(place: list[Any]) -> list[str]:
    tables: dict[str, type[BaseModel]] = {
        name: type(value) for name, value in RoutingPolicy() if isinstance(value, _Table)
    }
    tables |= {"rule": Rule, "when": RuleConditions}
    table: type[BaseModel] = RoutingPolicy
    for part in place:
        table = tables.get(str(part), table)
    return list(table.model_fields)


def _line(place: list[Any], text: str) -> int:
    """Return the approximate line of a key, which the TOML parser does not keep."""
    lines = text.splitlines()
    start = _table_line(place, lines)
    key = next((str(part) for part in reversed(place) if not isinstance(part, int)), "")
    for number, line in enumerate(lines[start:], start + 1):
        if key and key in line.partition("#")[0]:
            return number
    return start + 1


def _table_line(place: list[Any], lines: list[str]) -> int:
    table, rules = str(place[0]) if place else "", 0
    wanted = place[1] + 1 if table == "rule" and len(place) > 1 and isinstance(place[1], int) else 1
    for number, line in enumerate(lines):
        bare = line.replace(" ", "")
        rules += bare.startswith("[[rule]]")
        if bare.startswith(f"[{table}]") or (table == "rule" and rules == wanted):
            return number
    return 0
