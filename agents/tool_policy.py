"""The rule for calls of risky tools: text that others wrote chooses neither the tool nor its arguments unseen.

In the mode ``always`` each risky call needs an approval. In the mode ``untrusted`` a call runs without one only if the
prompt holds nothing but the person's own message and trusted results, and each value of the arguments stands in that
message: then nobody else can have chosen the call.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import regex

ApprovalMode = Literal["always", "untrusted"]
_QUOTE = ">"
_NUMBER_SIGNS = "+-−"
_UNSPACED = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]")
"""Letters of scripts that write no blank between a word and its neighbours."""
_MAX_SHOWN_CHARS = 80
"""Characters of a value that a reason shows."""


@dataclass(frozen=True, slots=True)
class PromptText:
    """The text that a model has read before it calls a tool."""

    message: str
    """The person's message of this turn."""
    others: Sequence[tuple[str, str]] = ()
    """Every other text that the desk's operator did not write, with its origin in words, such as ``the result of
    read_mail``; the text is empty where it cannot be compared (pictures)."""

    @property
    def own_words(self) -> str:
        """The message without quoted lines, which may be another person's."""
        return "\n".join(line for line in self.message.splitlines() if not _is_quoted(line))

    @property
    def untrusted(self) -> list[tuple[str, str]]:
        """The texts of others, those quoted in the message too, with their origins."""
        quoted = [line for line in self.message.splitlines() if _is_quoted(line)]
        return [*self.others, *([("a quotation in the message", "\n".join(quoted))] if quoted else [])]


def approval_reason(arguments: Mapping[str, Any], read: PromptText, mode: ApprovalMode) -> str | None:
    """Return why a call of a risky tool needs an approval; None if it needs none.

    Args:
        arguments: the arguments of the call.
        read: what the model has read.
        mode: the setting ``approve_risky``.
    """
    untrusted = read.untrusted
    foreign = [
        _foreign(name, value, untrusted)
        for name, given in arguments.items()
        for value in _values(given)
        if not _stands_in(value, read.own_words)
    ]
    if mode == "untrusted" and not foreign and not untrusted:
        return None
    seen = ", ".join(dict.fromkeys(origin for origin, _ in untrusted))
    lines = ["the tool is risky", *dict.fromkeys(foreign)]
    return "; ".join([*lines, f"the model has read {seen}"] if seen else lines)


def _foreign(name: str, value: Any, untrusted: Sequence[tuple[str, str]]) -> str:
    """Say that an argument does not stand in the message, and where it stands instead."""
    shown = json.dumps(value, ensure_ascii=False, default=str)
    shown = shown if len(shown) <= _MAX_SHOWN_CHARS else shown[:_MAX_SHOWN_CHARS] + "…"
    origins = dict.fromkeys(origin for origin, text in untrusted if _stands_in(value, text))
    found = f" but in {', '.join(origins)}" if origins else ""
    return f"{name} = {shown} does not stand in the message{found}"


def _values(value: Any) -> Iterator[Any]:
    """Yield the single values of an argument, and the keys of its objects."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield key
            yield from _values(inner)
    elif isinstance(value, list | tuple | set):
        for inner in value:
            yield from _values(inner)
    else:
        yield value


def _stands_in(value: Any, text: str) -> bool:
    """Return whether a text has a value as whole words; true and false stand in no text, an absent value in each."""
    if value is None or value == "":
        return True
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return False
    within = _normalized(text)
    return any(_is_in(wanted, within) for wanted in map(_normalized, _forms(value)) if wanted)


def _forms(value: str | int | float) -> list[str]:
    """Return the ways to write a value; a model writes ``50.0`` or ``50`` for "50", "50.00" and "50,00 euros"."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, int):
        forms = [str(value), f"{value}.00"]
    else:
        whole = [str(int(value))] if value.is_integer() else []
        amount = [f"{value:.2f}"] if float(f"{value:.2f}") == value else []
        forms = [str(value), *whole, *amount]
    return [*forms, *(form.replace(".", ",") for form in forms if "." in form)]


def _is_in(wanted: str, within: str) -> bool:
    start = within.find(wanted)
    while start >= 0:
        end = start + len(wanted)
        if not (_joined(within[:start], wanted) or _joined(wanted, within[end:])):
            return True
        start = within.find(wanted, start + 1)
    return False


def _joined(before: str, after: str) -> bool:
    """Return whether two pieces of a text are one word, number or identifier, such as ``B-77``."""
    if not before or not after:
        return False
    left, right = before[-1], after[0]
    if _is_word(left) and _is_word(right):
        return True
    if _is_word(left) and not right.isspace():
        return _is_word(after[1:2])
    if _is_word(right) and not left.isspace():
        return _is_word(before[-2:-1]) or (left in _NUMBER_SIGNS and right.isdecimal())
    return False


def _is_word(sign: str) -> bool:
    return sign.isalnum() and not _UNSPACED.match(sign)


def _is_quoted(line: str) -> bool:
    return line.lstrip().startswith(_QUOTE)


def _normalized(text: str) -> str:
    """Return a text in small letters of one form, with ASCII digits and single blanks."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return " ".join("".join(str(unicodedata.decimal(sign, sign)) for sign in plain).split())
