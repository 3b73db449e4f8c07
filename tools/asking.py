"""Whose message is being answered: tools that show only what this person may see ask here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from qwendesk.messages import Inbound

NOT_AGAIN = "Not run: an earlier try to answer this message ended the desk's process, so nothing is run for it."
"""What is said instead of running what a model wrote, where the message's ``has_ended_a_run`` is set."""
_asking: ContextVar[Inbound | None] = ContextVar("qwendesk_asking", default=None)
_language: ContextVar[str | None] = ContextVar("qwendesk_asking_language", default=None)


def asking() -> Inbound | None:
    """Return the message that is being answered; None outside a turn."""
    return _asking.get()


def asking_language() -> str | None:
    """Return the language of who is being answered, such as ``de`` or ``pt-BR``; None where it is not known."""
    inbound, language = _asking.get(), _language.get()
    locale = inbound.locale if inbound else None
    if locale and (language is None or locale.replace("_", "-").partition("-")[0].lower() == language):
        return locale
    return language


@contextmanager
def asked_by(inbound: Inbound, language: str | None = None) -> Iterator[None]:
    """Let tools know whose message is being answered, and in which language."""
    tokens = _asking.set(inbound), _language.set(language)
    try:
        yield
    finally:
        _asking.reset(tokens[0])
        _language.reset(tokens[1])
