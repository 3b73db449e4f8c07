"""Determine the sender of a mail, the reply address, and the sender's authentication (RFC 8601)."""

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

from qwendesk.channels.mail.mime import Mail, decode_header_value, raw_header

_PROGRAM = re.compile(r"(?:mailer-daemon|postmaster|bounces?)(?:[+=_-][^@]*)?@")
_NO_REPLY = re.compile(r"(?:no[-_.]?reply|do[-_.]?not[-_.]?reply)(?:[+=_-][^@]*)?@")
_MAX_VERDICT_CHARS = 8000
"""Maximum length of an ``Authentication-Results`` header that is read, in characters."""
_RESULT = re.compile(r"\s*(dmarc|dkim|spf)(?:/\d+)?\s*=\s*([A-Za-z]+)(?![\w-])", re.IGNORECASE)
_PROPERTY = re.compile(r"(?<!\S)(header\.(?:from|d|i)|smtp\.mailfrom)\s*=\s*([^\s;]{1,320})", re.IGNORECASE)
_PROOF = {"dmarc": ("header.from",), "dkim": ("header.d", "header.i"), "spf": ("smtp.mailfrom",)}
_ADDRESS = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?"
_CLEAR = re.compile(
    r"(?:"
    r'(?:"(?:[^"\\\x00-\x1f\x7f]|\\[ -~])*"|[^"<>@,;:()\[\]\\\x00-\x1f\x7f])*'  # words and quoted words
    rf"<({_ADDRESS})>|({_ADDRESS}))"
)
"""An unambiguous ``From``: one address, optionally with a name before it."""
_DOUBTFUL = (MissingHeaderBodySeparatorDefect, FirstHeaderLineIsContinuationDefect, MisplacedEnvelopeHeaderDefect)
"""Defects because of which mail programs disagree on the position of the headers."""


@dataclass(frozen=True, slots=True)
class Sender:
    """The person who receives the answer to a mail."""

    address: str
    name: str
    authenticated: bool
    """Whether the trusted mail server authenticated the address."""


def sender_of(mail: Mail, own: str, authserv: str) -> Sender | None:
    """Return the sender of a mail; None if it is the desk, a program or missing.

    Args:
        mail: the mail.
        own: the desk's own address.
        authserv: name of the trusted mail server; empty: no sender is authenticated.
    """
    wrote = _addresses(raw_header(mail, "From"))
    if len(wrote) != 1 or wrote[0][1] == own or _PROGRAM.match(wrote[0][1]):
        return None
    # Reply-To can be forged: an address from it is not authenticated
    name, address = next((one for one in _addresses(raw_header(mail, "Reply-To")) if one[1] != own), wrote[0])
    if _PROGRAM.match(address) or _NO_REPLY.match(address):
        return None
    return Sender(address, name, address == unambiguous_sender(mail) and is_authenticated(mail, address, authserv))


def unambiguous_sender(mail: Mail) -> str | None:
    """Return the address of a mail whose sender is unambiguous for every mail program."""
    if len(mail.get_all("From", [])) != 1 or any(isinstance(defect, _DOUBTFUL) for defect in mail.defects):
        return None
    found = _CLEAR.fullmatch(raw_header(mail, "From"))
    return (found[1] or found[2]).lower() if found else None


def is_authenticated(mail: Mail, address: str, authserv: str) -> bool:
    """Return whether the mail server named ``authserv`` authenticated the exact domain of an address."""
    verdict = next((said for server, said in _verdicts(mail) if authserv and server == authserv.lower()), "")
    domain = address.rpartition("@")[2]
    results = [(found[1].lower(), found[2].lower(), one) for one in verdict.split(";") if (found := _RESULT.match(one))]
    alignment = [(outcome, one) for method, outcome, one in results if method == "dmarc"]
    if alignment:  # DMARC takes precedence: it includes the other results
        return len(alignment) == 1 and alignment[0][0] == "pass" and _domain("dmarc", alignment[0][1]) == domain
    return any(outcome == "pass" and _domain(method, one) == domain for method, outcome, one in results)


def _verdicts(mail: Mail) -> Iterator[tuple[str, str]]:
    """Yield server and results of each ``Authentication-Results`` header, the newest first."""
    for value in mail.get_all("Authentication-Results", []):
        server, _, said = _bare(value[:_MAX_VERDICT_CHARS]).partition(";")
        yield (server.split() or [""])[0].lower(), said


def _bare(value: str) -> str:
    """Return a result without comments and quoted strings, which may contain text of the sender."""
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
    """Return the domain that a result authenticates; None if it names none, or several."""
    said: dict[str, set[str]] = {}
    for name, value in _PROPERTY.findall(result):
        said.setdefault(name.lower(), set()).add(value.lower().rpartition("@")[2])
    names: Sequence[str] = _PROOF[method]
    found = next((said[name] for name in names if name in said), set())
    return next(iter(found)) if len(found) == 1 else None


def _addresses(header: str) -> list[tuple[str, str]]:
    found = ((decode_header_value(name), address.lower()) for name, address in getaddresses([header]))
    return [(name, address) for name, address in found if "@" in address and len(address.split()) == 1]
