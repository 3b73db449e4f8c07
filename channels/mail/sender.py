"""Who wrote a mail, whom an answer goes to, and whether one's own mail server vouches for it (RFC 8601)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import getaddresses

_PROGRAM = re.compile(r"(?:mailer-daemon|postmaster|bounces?)(?:[+=_-][^@]*)?@")
_NO_REPLY = re.compile(r"(?:no[-_.]?reply|do[-_.]?not[-_.]?reply)(?:[+=_-][^@]*)?@")
_LONGEST = 10_000
"""Characters of a server's verdict that are read."""
_VERDICT = re.compile(r"\s*(dmarc|dkim|spf)\s*=\s*pass(?![\w-])", re.IGNORECASE)
_PROPERTY = re.compile(r"(?<!\S)(header\.(?:from|d|i)|smtp\.mailfrom)\s*=\s*([^\s;]{1,320})", re.IGNORECASE)
_PROOF = {"dmarc": ("header.from",), "dkim": ("header.d", "header.i"), "spf": ("smtp.mailfrom",)}


@dataclass(frozen=True, slots=True)
class Sender:
    """The person of a mail: whoever gets the answer."""

    address: str
    name: str
    proven: bool
    """Whether one's own mail server says that the mail is of this address."""


def sender_of(mail: EmailMessage, header: str, reply_to: str, own: str, authserv: str) -> Sender | None:
    """Return who wrote a mail; None where it was the desk, a program or nobody.

    Args:
        mail: the mail.
        header: what stands under ``From``.
        reply_to: what stands under ``Reply-To``; anybody can write anything there, so that it proves nobody.
        own: the desk's own address.
        authserv: the name of one's own mail server; empty: nobody is proven.
    """
    wrote = _addresses(header)
    if len(wrote) != 1 or wrote[0][1] == own or _PROGRAM.match(wrote[0][1]):
        return None
    name, address = next((one for one in _addresses(reply_to) if one[1] != own), wrote[0])
    if _PROGRAM.match(address) or _NO_REPLY.match(address):
        return None
    one = len(mail.get_all("From", [])) == 1
    return Sender(address, name, address == wrote[0][1] and one and is_proven(mail, address, authserv))


def is_proven(mail: EmailMessage, address: str, authserv: str) -> bool:
    """Tell whether the mail server named ``authserv`` found that a mail is of the domain it says it is of."""
    verdict = next((said for server, said in _verdicts(mail) if authserv and server == authserv.lower()), "")
    domain = address.rpartition("@")[2]
    return any(_speaks_for(result, domain) for result in verdict.split(";"))


def _verdicts(mail: EmailMessage) -> Iterator[tuple[str, str]]:
    """Yield the servers that judged a mail and what they said, the last one first: each puts its own on top."""
    for name, value in mail.raw_items():
        if name.lower() == "authentication-results":
            server, _, said = _bare(str(value)[:_LONGEST]).partition(";")
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


def _speaks_for(result: str, domain: str) -> bool:
    found = _VERDICT.match(result)
    if not found:
        return False
    method = found[1].lower()
    said = {name.lower(): value.lower().rpartition("@")[2] for name, value in _PROPERTY.findall(result)}
    proof = next((said[name] for name in _PROOF[method] if name in said), domain if method == "dmarc" else "")
    return proof == domain or ("." in proof and domain.endswith(f".{proof}") and method != "dmarc")


def _addresses(header: str) -> list[tuple[str, str]]:
    found = ((name, address.lower()) for name, address in getaddresses([header]))
    return [(name, address) for name, address in found if "@" in address and len(address.split()) == 1]
