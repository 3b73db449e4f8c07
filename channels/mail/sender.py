"""Who wrote a mail, whom an answer goes to, and whether one's own mail server vouches for it (RFC 8601)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email.errors import (
    FirstHeaderLineIsContinuationDefect,
    MisplacedEnvelopeHeaderDefect,
    MissingHeaderBodySeparatorDefect,
)
from email.utils import getaddresses

from qwendesk.channels.mail.headers import Mail, decoded, raw

_PROGRAM = re.compile(r"(?:mailer-daemon|postmaster|bounces?)(?:[+=_-][^@]*)?@")
_NO_REPLY = re.compile(r"(?:no[-_.]?reply|do[-_.]?not[-_.]?reply)(?:[+=_-][^@]*)?@")
_MAX_VERDICT_CHARS = 8000
"""Characters of a server's verdict that are read."""
_RESULT = re.compile(r"\s*(dmarc|dkim|spf)(?:/\d+)?\s*=\s*([A-Za-z]+)(?![\w-])", re.IGNORECASE)
_PROPERTY = re.compile(r"(?<!\S)(header\.(?:from|d|i)|smtp\.mailfrom)\s*=\s*([^\s;]{1,320})", re.IGNORECASE)
_PROOF = {"dmarc": ("header.from",), "dkim": ("header.d", "header.i"), "spf": ("smtp.mailfrom",)}
_ADDRESS = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?"
_CLEAR = re.compile(
    r"(?:"
    r'(?:"(?:[^"\\\x00-\x1f\x7f]|\\[ -~])*"|[^"<>@,;:()\[\]\\\x00-\x1f\x7f])*'  # words and quoted words
    rf"<({_ADDRESS})>|({_ADDRESS}))"
)
"""A ``From`` that all programs read alike: one address, with a name before it or alone."""
_DOUBTFUL = (MissingHeaderBodySeparatorDefect, FirstHeaderLineIsContinuationDefect, MisplacedEnvelopeHeaderDefect)
"""What makes programs disagree on where a mail's headers are."""


@dataclass(frozen=True, slots=True)
class Sender:
    """The person of a mail: whoever gets the answer."""

    address: str
    name: str
    proven: bool
    """Whether one's own mail server says that the mail is of this address."""


def sender_of(mail: Mail, own: str, authserv: str) -> Sender | None:
    """Return who wrote a mail; None where it was the desk, a program or nobody.

    Args:
        mail: the mail.
        own: the desk's own address.
        authserv: the name of one's own mail server; empty: nobody is proven.
    """
    wrote = _addresses(raw(mail, "From"))
    if len(wrote) != 1 or wrote[0][1] == own or _PROGRAM.match(wrote[0][1]):
        return None
    # anybody can write anything under Reply-To, so that it proves nobody
    name, address = next((one for one in _addresses(raw(mail, "Reply-To")) if one[1] != own), wrote[0])
    if _PROGRAM.match(address) or _NO_REPLY.match(address):
        return None
    return Sender(address, name, address == clear_sender(mail) and is_authenticated(mail, address, authserv))


def clear_sender(mail: Mail) -> str | None:
    """Return the address of a mail that has exactly one sender for every program that reads it."""
    if len(mail.get_all("From", [])) != 1 or any(isinstance(defect, _DOUBTFUL) for defect in mail.defects):
        return None
    found = _CLEAR.fullmatch(raw(mail, "From"))
    return (found[1] or found[2]).lower() if found else None


def is_authenticated(mail: Mail, address: str, authserv: str) -> bool:
    """Tell whether the mail server named ``authserv`` found that a mail is of the very domain it says it is of."""
    verdict = next((said for server, said in _verdicts(mail) if authserv and server == authserv.lower()), "")
    domain = address.rpartition("@")[2]
    results = [(found[1].lower(), found[2].lower(), one) for one in verdict.split(";") if (found := _RESULT.match(one))]
    alignment = [(outcome, one) for method, outcome, one in results if method == "dmarc"]
    if alignment:  # DMARC has the last word: it knows what the others found
        return len(alignment) == 1 and alignment[0][0] == "pass" and _domain("dmarc", alignment[0][1]) == domain
    return any(outcome == "pass" and _domain(method, one) == domain for method, outcome, one in results)


def _verdicts(mail: Mail) -> Iterator[tuple[str, str]]:
    """Yield the servers that judged a mail and what they said, the last one first: each puts its own on top."""
    for value in mail.get_all("Authentication-Results", []):
        server, _, said = _bare(value[:_MAX_VERDICT_CHARS]).partition(";")
        yield (server.split() or [""])[0].lower(), said


def _bare(value: str) -> str:
    """Return a verdict without comments and quoted words: a stranger may have brought what stands in them."""
    bare: list[str] = []
    depth, quoted, escaped = 0, False, False
    for sign in value:
        if escaped or sign == "\\":
            escaped = not escaped
        elif sign == '"' and not depth:
            quoted = not quoted
        elif sign in "()" and not quoted:
            depth = max(0, depth + (1 if sign == "(" else -1))
            bare.append(" ")
        elif not (depth or quoted):
            bare.append(sign)
    return "".join(bare)


def _domain(method: str, result: str) -> str | None:
    """Return the domain that a result is of; None where it names none, or several."""
    said: dict[str, set[str]] = {}
    for name, value in _PROPERTY.findall(result):
        said.setdefault(name.lower(), set()).add(value.lower().rpartition("@")[2])
    names: Sequence[str] = _PROOF[method]
    found = next((said[name] for name in names if name in said), set())
    return next(iter(found)) if len(found) == 1 else None


def _addresses(header: str) -> list[tuple[str, str]]:
    found = ((decoded(name), address.lower()) for name, address in getaddresses([header]))
    return [(name, address) for name, address in found if "@" in address and len(address.split()) == 1]
