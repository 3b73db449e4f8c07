"""When a question gets a second try, and who makes it: a larger model, or the same one with thinking on."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources

from qwendesk.agents.followup import is_short, leans
from qwendesk.agents.lexicon import mark
from qwendesk.agents.past import Past
from qwendesk.agents.policy_file import Escalate
from qwendesk.agents.routing.cues import fold
from qwendesk.engines.catalogue import ModelCard
from qwendesk.engines.choice import Choice
from qwendesk.messages import Check, Role

_REFUSALS_IN = 400
"""Characters up to which an answer can be a mere refusal; a longer one says something too."""
_REPEATED = (3, 8)
"""Words, or signs of a script without spaces, from which a message said twice is a question asked twice."""
_DENSE = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_EXTENT = 5
"""How many of the last messages are compared."""


@dataclass(frozen=True, slots=True)
class Step:
    """The next try up the chain."""

    choice: Choice
    think: bool


def trouble(
    text: str, checks: Sequence[Check], *, has_result: bool, policy: Escalate, unmended: Sequence[str] = ()
) -> str | None:
    """Return what is wrong with an answer, in words; None where nothing is known to be.

    Args:
        text: the answer.
        checks: how it was checked.
        has_result: whether a tool returned something.
        policy: what the user wants to be tried again.
        unmended: names of checks whose failure another answer would not mend.
    """
    failed = next((check for check in checks if check.outcome == "failed" and check.name not in unmended), None)
    if policy.empty and not text and not has_result:
        return "the answer was empty"
    if policy.refused and is_refusal(text):
        return "the model said that it cannot help"
    if policy.checks and failed:
        return f"the check {failed.name!r} failed: {failed.detail}"
    return None


def is_refusal(text: str) -> bool:
    """Tell whether an answer only says that the model cannot help."""
    return 0 < len(text) <= _REFUSALS_IN and text.lstrip(" *_\n").replace("’", "'").lower().startswith(_refusals())


def is_apology(sentence: str) -> bool:
    """Tell whether a sentence only says that something did not work."""
    return sentence.replace("’", "'").strip(" .!,。！*_\n").lower() in _apologies()


def is_repeated(text: str, past: Past, language: str | None = None) -> bool:
    """Tell whether the person asks the same again; "go on" and "make it faster" may well be said twice."""
    if not past.questions:
        return False
    same = _bare(text)
    if len(_DENSE.findall(same)) < _REPEATED[1] and len(same.split()) < _REPEATED[0]:
        return False
    if all(_bare(question) != same for question in past.questions[-_EXTENT:]):
        return False
    return not (is_short(text) and leans(mark("followup", text, language)))


def step_up(
    role: Role, choice: Choice, thinks: bool, cards: Sequence[ModelCard], *, bound: bool, may: bool
) -> Step | None:
    """Return the next try: the next larger model that suits the role, else the same one with thinking on.

    Args:
        role: the role that is played.
        choice: who played it.
        thinks: whether it thought.
        cards: the models that are there.
        bound: whether the person or the settings named the model.
        may: whether thinking is allowed.
    """
    larger = (
        [] if bound else [card for card in cards if _suits(role, card) and card.parameters > choice.card.parameters]
    )
    if larger:
        card = min(larger, key=lambda card: (role not in card.roles, card.thinking == "none", card.parameters))
        return Step(replace(choice, card=card, fallback=None), card.thinking != "none" and may)
    if may and not thinks and choice.card.thinking == "hybrid":
        return Step(choice, think=True)
    return None


def _suits(role: Role, card: ModelCard) -> bool:
    if role in ("vision", "audio"):
        return card.vision if role == "vision" else card.audio
    return role in card.roles or "general" in card.roles or "thinking" in card.roles


def _bare(text: str) -> str:
    return " ".join(fold(text[:4000]).split()).strip(" .!?。！？؟¿¡")


@cache
def _refusals() -> tuple[str, ...]:
    return tuple(_cues("refusal_cues.toml"))


@cache
def _apologies() -> frozenset[str]:
    return frozenset(_cues("apology_cues.toml"))


def _cues(file: str) -> list[str]:
    tables = tomllib.loads(resources.files(__package__).joinpath(file).read_text("utf-8"))
    return [cue for cues in tables.values() for cue in cues]
