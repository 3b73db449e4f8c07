"""Collect the signals of the message: language, attachments, the person's overrides."""

from __future__ import annotations

from typing import Any

from qwendesk.agents.state import TurnState
from qwendesk.routing.base import Signals
from qwendesk.routing.signals.language import english_name, identify_language


async def perceive(state: TurnState) -> dict[str, Any]:
    """Collect the message's signals.

    The language is the text's, else the conversation's, else the platform's locale.
    """
    inbound = state["inbound"]
    language = identify_language(inbound.text) or state["language"] or _of_locale(inbound.locale)
    signals = Signals(
        text=inbound.text,
        language=language,
        images=sum(part.kind == "image" for part in inbound.attachments),
        audio=sum(part.kind == "audio" for part in inbound.attachments),
        role=inbound.role,
        channel=inbound.channel,
        conversation_context=state["conversation_context"],
    )
    return {"signals": signals, "language": language}


def _of_locale(locale: str | None) -> str | None:
    """Return the ISO 639-1 code in a language tag such as ``pt-BR``."""
    name = (locale or "").replace("_", "-").partition("-")[0].lower()
    return name if english_name(name) else None
