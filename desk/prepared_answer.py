"""The answer to a message before its delivery: of a finished turn, or of one that failed, was refused or stopped."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Any

from qwendesk.desk.inbox.repository import ClaimedMessage, Outcome
from qwendesk.desk.translations import after_notice, language_of, say
from qwendesk.errors import EngineError, EngineTimeout, InputError
from qwendesk.messages import Inbound, Reply
from qwendesk.redaction import redact

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PreparedAnswer:
    """An answer before its delivery, and the outcome that completes its message."""

    text: str
    outcome: Outcome = "done"
    error: str | None = None
    is_rated: bool = False
    """Whether it has rating buttons."""
    is_stored: bool = False
    """Whether the memory has stored exactly this text, so that a later run finds it there."""
    has_notice: bool = False
    """Whether it begins with the notice that a machine answers."""
    by_bot: bool = False
    """Whether the bot speaks, which is silent while a person is to answer the ticket."""
    is_withheld: bool = False
    """Whether nothing is sent, because a person is to answer."""

    def with_notice(self, notice: str) -> PreparedAnswer:
        """Return the answer with the notice before it."""
        if not notice or not self.text or self.has_notice:
            return self
        return replace(self, text=after_notice(notice, self.text), is_stored=False, has_notice=True)

    def as_result(self) -> dict[str, Any]:
        """Return the values that are saved for a later run that has to deliver it."""
        return {
            "text": self.text,
            "outcome": self.outcome,
            "error": self.error,
            "is_rated": self.is_rated,
            "has_notice": self.has_notice,
            "by_bot": self.by_bot,
        }


def finished(reply: Reply, inbound: Inbound, claimed: ClaimedMessage) -> PreparedAnswer:
    """Return a reply, with a note on unsupported media or on a retry without a stronger model."""
    text = reply.text
    if inbound.unsupported_media:
        text = _append(text, say("unreadable", language(claimed), kind=inbound.unsupported_media))
    elif inbound.retry and not reply.receipt.escalation:
        text = _append(text, say("no_stronger", language(claimed)))
    return PreparedAnswer(text, is_rated=True, is_stored=text == reply.text, by_bot=True)


def stopped(shown: str, claimed: ClaimedMessage) -> PreparedAnswer:
    """Return the part of an answer that was shown before the person stopped it."""
    return PreparedAnswer(_append(shown, say("stopped", language(claimed))), "stopped", by_bot=True)


def refused(inbound: Inbound, error: InputError, claimed: ClaimedMessage) -> PreparedAnswer:
    """Return the answer to a message that is refused; only an operator sees the program's reason."""
    log.warning("A message on %s was not taken: %s", inbound.channel, error)
    reason = str(error) if inbound.for_operator else error.told
    key, values = ("not_taken", {"reason": reason}) if reason else ("not_taken_here", {})
    return PreparedAnswer(say(key, language(claimed), **values), "done", str(error), by_bot=True)


def unanswered(shown: str, error: EngineError, claimed: ClaimedMessage) -> PreparedAnswer:
    """Return the answer for an engine that is unavailable or too slow; the log has the details."""
    log.warning("A question on %s was not answered: %s", claimed.inbound.channel, error)
    key = "timeout" if isinstance(error, EngineTimeout) else "unavailable"
    return failed(shown, error, claimed, key=key)


def failed(shown: str, error: Exception, claimed: ClaimedMessage, *, key: str = "failed") -> PreparedAnswer:
    """Return the part of an answer that was shown before an error, and a text on the error."""
    return PreparedAnswer(_append(shown, say(key, language(claimed))), "failed", redact(str(error)), by_bot=True)


def language(claimed: ClaimedMessage) -> str | None:
    """Return the language of texts to a message's person."""
    return language_of(claimed.inbound, claimed.settings)


def followed_by(answer: str, told: str) -> str:
    """Return an answer with a text of the desk below it."""
    return _append(answer, told)


def _append(before: str, text: str) -> str:
    return f"{before.rstrip()}\n\n{text}" if before.strip() else text
