"""Whose message is being answered: tools that show only what this person may see ask here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from qwendesk.messages import Inbound

_asking: ContextVar[Inbound | None] = ContextVar("qwendesk_asking", default=None)


def asking() -> Inbound | None:
    """Return the message that is being answered; None outside a turn."""
    return _asking.get()


@contextmanager
def asked_by(inbound: Inbound) -> Iterator[None]:
    """Let tools know whose message is being answered."""
    token = _asking.set(inbound)
    try:
        yield
    finally:
        _asking.reset(token)
