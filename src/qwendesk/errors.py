"""The errors of Qwendesk, grouped by who can fix them.

QwendeskError
├── ConfigError            the user must change a setting, a file or a command
│   ├── InputError         the message itself cannot be taken (too long, unreadable picture)
│   └── PluginError        an installed plug-in cannot be imported or created
├── EngineError            a model could not answer
│   ├── EngineUnavailable  the model or its server is not there
│   ├── EngineFailed       the server is overloaded, broke off or sent garbage
│   └── EngineTimeout      the model did not answer in time
├── ModelStoreError        a model file could not be fetched, checked or kept
├── ToolError              a tool failed; the model is told and may try again
├── ChannelError           a message could not be delivered
└── StoreError             the database could not be read or written

A message says what happened, the value with ``!r``, and the next step.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Literal

from qwendesk.redaction import redact

FileProblem = Literal["empty", "encrypted", "scanned", "too_large", "too_slow"]
"""Why a file cannot be read; ``scanned``: it has pictures of text only."""
_MAX_LISTED = 30
"""Known names up to which an error lists them beside a close match."""


class QwendeskError(Exception):
    """Base class of all errors of Qwendesk; their texts contain no password, key or token.

    Args:
        text: what happened, the value with ``!r``, and the next step.
    """

    def __init__(self, text: object = "") -> None:
        super().__init__(redact(str(text)))


class ConfigError(QwendeskError):
    """A setting, file or command is invalid; the user can correct it."""


class InputError(ConfigError):
    """A message cannot be accepted.

    Args:
        text: what is wrong and what to do.
        told: the same for a customer, in the customer's language; empty: a general sentence is said instead.
        problem: why a file cannot be read; None: it is damaged or of an unsupported kind, or there is no file.
    """

    def __init__(self, text: str, *, told: str = "", problem: FileProblem | None = None) -> None:
        super().__init__(text)
        self.told = told
        self.problem = problem


class PluginError(ConfigError):
    """An installed engine, embedder, tool or channel cannot be imported or created; the others are unaffected."""


class EngineError(QwendeskError):
    """A model could not answer."""


class EngineUnavailable(EngineError):
    """The model, its file or its server is not available."""


class EngineFailed(EngineError):
    """The server accepted the request and failed: overload, connection loss or an invalid answer."""


class EngineTimeout(EngineError):
    """The model did not answer within its time limit."""


class ModelStoreError(QwendeskError):
    """A model file could not be downloaded, verified or stored."""


class ToolError(QwendeskError):
    """A tool failed; the text is returned to the model, which may call it again."""


class ChannelError(QwendeskError):
    """A message could not be delivered on its channel.

    Args:
        text: what happened and what to do.
        retry_after: seconds after which the platform wants to be asked again; None: it did not say.
        permanent: whether trying again is vain, such as where the person has blocked the bot.
    """

    def __init__(self, text: str, *, retry_after: float | None = None, permanent: bool = False) -> None:
        super().__init__(text)
        self.retry_after = retry_after
        self.permanent = permanent


class ThreadGone(ChannelError):
    """The thread or topic of a message was deleted on the platform."""


class StoreError(QwendeskError):
    """The database could not be read or written.

    Args:
        text: what happened to which database, and what to do; for the operator.
        reason: the same without details, for every person.
    """

    def __init__(self, text: str, *, reason: str = "the database cannot be used") -> None:
        super().__init__(text)
        self.reason = reason


def reason(error: BaseException, *, most: int = 300) -> str:
    """Return a library's error as text for a person: its message or the meaning of its type, without class names.

    Args:
        error: the error; without a message, its cause is used.
        most: the longest text, in characters.
    """
    if text := " ".join(str(error).split()).rstrip("."):
        return text if len(text) <= most else text[: most - 1] + "…"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, EOFError | ConnectionError):
        return "the connection was lost"
    if isinstance(error, MemoryError):
        return "out of memory"
    cause = error.__cause__ or error.__context__
    return reason(cause, most=most) if cause else "no reason was given"


def not_among(what: str, given: Iterable[str], known: Sequence[str]) -> str:
    """Return a text that names unknown names, close matches and the known names.

    A long list of known names is left away where each unknown name has a close match.
    """
    unknown = sorted(given)
    meant = did_you_mean(unknown, known)
    is_answered = len(known) > _MAX_LISTED and all(did_you_mean([name], known) for name in unknown)
    listed = "" if is_answered else f" Known: {', '.join(known)}."
    return f"{what} {', '.join(map(repr, unknown))}.{meant}{listed}"


def no_such(what: str, name: str, known: Iterable[str], *, otherwise: str = "") -> str:
    """Return a text that names an unknown name, the known names and the closest of them.

    Args:
        what: the beginning of the sentence, such as ``"There is no role"``.
        name: the unknown name.
        known: the known names.
        otherwise: text after the known names, such as ``", or all"``.
    """
    names = list(known)
    return f"{what} {name!r}; there are: {', '.join(names) or 'none'}{otherwise}.{did_you_mean([name], names)}"


def did_you_mean(given: Iterable[str], known: Sequence[str]) -> str:
    """Return a question with the known names closest to the given ones, after a blank; empty if none is close."""
    near = [found[0] for name in given if (found := get_close_matches(name, known, 1))]
    return f" Did you mean {' and '.join(map(repr, dict.fromkeys(near)))}?" if near else ""
