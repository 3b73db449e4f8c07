"""See what has come in: language, pictures, wishes."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

from langchain_core.messages import HumanMessage
from langgraph.runtime import Runtime

from qwendesk.agents.context import TurnContext
from qwendesk.agents.routing.base import Signals
from qwendesk.agents.routing.language import english_name, identify
from qwendesk.agents.state import TurnState
from qwendesk.messages import Attachment, Inbound

_UNHEARD = "\n[a recording came with it, which cannot be heard together with pictures]"


async def perceive(state: TurnState, _: Runtime[TurnContext]) -> dict[str, Any]:
    """Collect the message's signals.

    A text that does not tell its language leaves the conversation's as it was; at its beginning the platform's holds.
    """
    inbound = state["inbound"]
    language = identify(inbound.text) or state["language"] or _of_locale(inbound.locale)
    signals = Signals(
        text=inbound.text,
        language=language,
        images=sum(part.kind == "image" for part in inbound.attachments),
        audio=sum(part.kind == "audio" for part in inbound.attachments),
        role=inbound.role,
        channel=inbound.channel,
        past=state["past"],
    )
    return {"signals": signals, "language": language}


def _of_locale(locale: str | None) -> str | None:
    """Return the ISO 639-1 code in a language tag such as ``pt-BR``."""
    name = (locale or "").replace("_", "-").partition("-")[0].lower()
    return name if english_name(name) else None


def question(inbound: Inbound, recalled: tuple[Attachment, ...] = (), documents: str = "") -> HumanMessage:
    """Return the message as a model reads it, with its pictures or those it recalls, or its recordings.

    Args:
        inbound: the message.
        recalled: pictures of older messages that it is about.
        documents: what the model is told of the documents that came with it.
    """
    inbound = replace(inbound, text="\n\n".join(filter(None, (documents, inbound.text)))) if documents else inbound
    pictures = [part for part in inbound.attachments if part.kind == "image"] or list(recalled)
    if not pictures:
        return _spoken(inbound)
    text = inbound.text + (_UNHEARD if any(part.kind == "audio" for part in inbound.attachments) else "")
    return HumanMessage([*map(_picture, pictures), {"type": "text", "text": text}])


def _spoken(inbound: Inbound) -> HumanMessage:
    """Return a message without pictures; the words of a voice message may be in its recording alone."""
    recordings = [part for part in inbound.attachments if part.kind == "audio"]
    if not recordings:
        return HumanMessage(inbound.text)
    text = [{"type": "text", "text": inbound.text}] if inbound.text.strip() else []
    return HumanMessage([*map(_recording, recordings), *text])


def _recording(part: Attachment) -> dict[str, Any]:
    data = base64.b64encode(part.data).decode("ascii")
    kind = part.mime.partition("/")[2].removeprefix("x-")
    return {"type": "input_audio", "input_audio": {"data": data, "format": {"mpeg": "mp3"}.get(kind, kind)}}


def _picture(part: Attachment) -> dict[str, Any]:
    data = base64.b64encode(part.data).decode("ascii")
    return {"type": "image_url", "image_url": {"url": f"data:{part.mime};base64,{data}"}}
