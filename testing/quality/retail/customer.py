"""A scripted customer: says what the agent asks for, agrees to what was wished for, and has a next matter or leaves."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

MAX_TURNS = 12
"""Maximum lines of a customer, who then leaves."""
_ASKED = {
    "email": r"e-?mail|mail address|mailadresse",
    "zip": r"\bzip\b|post(?:al)? ?code|postleitzahl|\bplz\b",
    "name": r"(?:your|full|first|last|sur)\W+(?:\w+\W+){0,2}name|\bname\?|"
    r"\b(?:ihr|ihren|dein|deinen|vollen|vor-? ?und nach)\s*namen?\b",
    "user_id": r"(?:user|customer|account) ?(?:id|number)|kundennummer|kunden-?id",
    "order": r"order (?:number|id)\b|which order|number of (?:your|the) order|bestell(?:nummer|-?id)|welche bestellung",
    "reason": r"\breason\b|why (?:do|would|are) you|\bgrund\b|\bwarum\b|\bweshalb\b",
    "payment": r"payment|refund(?:ed)? to|how would you like (?:to pay|your refund)|zahlung|erstattet? werden|bezahl",
    "address": r"(?:new|which|what|shipping|delivery|full|complete) (?:\w+ )?address|"
    r"(?:neue|welche|vollständige)\w* (?:\w+ )?(?:adresse|anschrift)",
    "items": r"(?:which|what) (?:\w+ )?(?:items?|products?|articles?|size|colou?r|variant|option)|"
    r"welche[nrs]? (?:\w+ )?(?:artikel|produkte?|größe|farbe|variante)",
}
"""What an agent may ask for, in English and German."""
_CONFIRM = re.compile(
    r"confirm|\(yes|yes/no|yes or no|shall i|should i|do you want me to|would you like (?:me )?to|may i (?:go|proceed)|"
    r"(?:like|want) to (?:proceed|continue)|is (?:that|this) (?:correct|right|ok)|go ahead|are you sure|"
    r"bestätig|soll ich|möchten sie|möchtest du|ist das (?:richtig|korrekt)|sind sie sicher|einverstanden|ja/nein",
    re.IGNORECASE,
)
_ELSE = re.compile(
    r"anything else|any other|something else|further (?:help|assist|question)|what else|"
    r"sonst noch|noch etwas|weitere (?:frage|anliegen)|weiterhelfen",
    re.IGNORECASE,
)
_REQUEST = re.compile(r"\?|？|please|provide|bitte|need (?:your|the|to)|benötig", re.IGNORECASE)
_THANKS = {"en": "Thank you, that is all.", "de": "Danke, das ist alles."}
_UNKNOWN = {"en": "I do not know that.", "de": "Das weiß ich nicht."}
_YES = {"en": "Yes, please do that.", "de": "Ja, bitte machen Sie das."}


@dataclass(frozen=True, slots=True)
class CustomerScript:
    """What a customer wants and knows."""

    matters: Sequence[str]
    """What the customer says about each matter, the first of which begins the conversation."""
    knows: Mapping[str, str] = field(default_factory=dict)
    """What the customer answers to each thing that an agent may ask for."""
    agreement: str = ""
    """The answer to a question whether something shall be done; empty: yes."""
    language: str = "en"

    @property
    def opening(self) -> str:
        """The first line."""
        return self.matters[0]


class ScriptedCustomer:
    """Answers an agent by rules alone; the same conversation gives the same lines.

    Args:
        script: what the customer wants and knows.
    """

    def __init__(self, script: CustomerScript) -> None:
        self._script = script
        self._matter = 0
        self._lines = [script.opening]

    def reply(self, agent: str) -> str | None:
        """Return the next line after what an agent has said; None: the customer leaves."""
        if len(self._lines) >= MAX_TURNS:
            return None
        line = self._line(agent)
        # an agent who asks for the same over and over is not helped by a third answer
        if line is None or self._lines[-2:].count(line) == 2:
            return None
        self._lines.append(line)
        return line

    def _line(self, agent: str) -> str | None:
        script, language = self._script, self._script.language
        asks = _REQUEST.search(agent)
        wanted = [name for name, cue in _ASKED.items() if asks and re.search(cue, agent, re.IGNORECASE)]
        if not asks or (_ELSE.search(agent) and not wanted):
            return self._next_matter()
        answers = [script.knows[name] for name in wanted if name in script.knows]
        fresh = [answer for answer in answers if answer not in self._lines[-1]]
        if _CONFIRM.search(agent) and not fresh:
            return script.agreement or _YES.get(language, _YES["en"])
        if answers:
            return " ".join(dict.fromkeys(fresh or answers))
        if wanted:
            return _UNKNOWN.get(language, _UNKNOWN["en"])
        return self._next_matter()

    def _next_matter(self) -> str | None:
        """Return what the customer wants next, or thanks; None after the thanks."""
        self._matter += 1
        if self._matter < len(self._script.matters):
            return self._script.matters[self._matter]
        thanks = _THANKS.get(self._script.language, _THANKS["en"])
        return None if self._lines[-1] == thanks else thanks
