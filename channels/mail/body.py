"""Read the texts and files of a mail from its nested MIME parts."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace

from qwendesk.channels.mail.html import render_html
from qwendesk.channels.mail.mime import (
    Mail,
    MailLimits,
    children,
    content_type_parameter,
    decode,
    file_name,
    header_text,
    parse_structure,
    payload_of,
    raw_header,
)
from qwendesk.messages import Attachment, kind_of, storable_text

_SIGNATURE = "-- "
_SIGNATURES = {
    "application/pgp-signature", "application/pkcs7-signature", "application/x-pkcs7-signature",
    "application/x-pgp-signature",
}  # fmt: skip
_SIGNATURE_FILES = {"signature.asc", "smime.p7s"}
_ENCRYPTED = {"application/pkcs7-mime", "application/x-pkcs7-mime", "application/pgp-encrypted"}
_NOT_SHOWN = {"text/x-amp-html", "text/watch-html", "text/rfc822-headers", "application/applefile"}
_WORD = re.compile(r"[^\W_]+")
_URL = re.compile(r"<?\b(?:https?://|mailto:|cid:)[^\s<>]*>?", re.IGNORECASE)
_MAX_OTHER_WORDS = 2
"""Maximum number of words of the plain version that the other version may lack."""
_MAX_FORWARDED_CHARS = 3000
"""Maximum length of a forwarded mail within the message, in characters; a longer one is also attached as a file."""
_META = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?([A-Za-z0-9_.:-]{1,40})", re.IGNORECASE)
_FOLD = re.compile(r"\r?\n[ \t]")
_EVENT = re.compile(r"(?:SUMMARY|DTSTART|DTEND|DURATION|LOCATION|DESCRIPTION|ORGANIZER|RRULE)[;:]", re.IGNORECASE)


def join_flowed_lines(text: str, *, joined: bool) -> str:
    """Return a format=flowed text (RFC 3676) with one line per paragraph.

    Args:
        text: the text as sent; a line that ends in a space continues in the next line of the same quote depth.
        joined: whether the trailing space is removed (``DelSp=yes``), as in scripts without spaces.
    """
    lines: list[str] = []
    pieces: list[str] = []
    depth = 0
    for line in text.splitlines():
        quoted = len(line) - len(line.lstrip(">"))
        said = line[quoted:]
        said = said[1:] if said.startswith(" ") else said
        if pieces and (quoted != depth or said == _SIGNATURE):
            lines.append(_line(depth, pieces))
            pieces = []
        depth = quoted
        if said.endswith(" ") and said != _SIGNATURE:
            pieces.append(said[:-1] if joined else said)
        else:
            lines.append(_line(depth, [*pieces, said]))
            pieces = []
    if pieces:
        lines.append(_line(depth, pieces))
    return "\n".join(lines)


def _line(depth: int, pieces: list[str]) -> str:
    said = "".join(pieces)
    return f"{'>' * depth} {said}" if depth else said


@dataclass(slots=True)
class Body:
    """Content of a mail."""

    texts: list[str] = field(default_factory=list)
    """Texts of the sender, one for each displayed part."""
    forwarded: list[str] = field(default_factory=list)
    """Forwarded mails, each with its sender."""
    files: list[Attachment] = field(default_factory=list)
    unsupported_media: str | None = None
    """Kind of content that the desk cannot read, if any."""


def read_body(mail: Mail, limits: MailLimits) -> Body:
    """Return the texts and files of a mail."""
    body = Body()
    if mail.is_multipart():
        _gather(mail, body, limits)
    else:
        _leaf(mail, body, limits, is_alone=True)
    body.texts = [text for text in body.texts if text.strip()]
    return body


def _gather(part: Mail, body: Body, limits: MailLimits) -> None:
    """Add the content of a part; ``limits.depth`` bounds the nesting."""
    kind = part.get_content_type()
    if kind in ("message/rfc822", "message/global"):
        _forwarded(part, body, limits)
    elif kind == "multipart/alternative":
        _alternative(children(part), body, limits)
    elif kind == "multipart/encrypted":
        body.unsupported_media = "encrypted message"
        _each(children(part), body, limits)
    elif part.is_multipart():
        _each(children(part), body, limits)
    else:
        _leaf(part, body, limits)


def _each(parts: list[Mail], body: Body, limits: MailLimits) -> None:
    for part in parts:
        _gather(part, body, limits)


def _alternative(parts: list[Mail], body: Body, limits: MailLimits) -> None:
    """Add the most readable version, and the files of all versions: Apple Mail puts files into only one of them."""
    versions: list[Body] = []
    for part in parts:
        version = Body()
        _gather(part, version, limits)
        versions.append(version)
    chosen = _best(parts, versions)
    if chosen is not None:
        body.texts += chosen.texts
        body.forwarded += chosen.forwarded
    body.unsupported_media = body.unsupported_media or next(
        (one.unsupported_media for one in versions if one.unsupported_media), None
    )
    for version in versions:
        known = {(file.name, file.data) for file in body.files}
        body.files += [file for file in version.files if (file.name, file.data) not in known]


def _best(parts: list[Mail], versions: list[Body]) -> Body | None:
    told = [(part, one) for part, one in zip(parts, versions, strict=True) if "".join(one.texts).strip()]
    plain = next((one for part, one in told if part.get_content_type() == "text/plain"), None)
    others = [(part.get_content_type() != "text/calendar", one) for part, one in told if one is not plain]
    other = max(others, key=lambda ranked: ranked[0])[1] if others else None
    if plain is None or (other is not None and not _agree("".join(plain.texts), "".join(other.texts))):
        return other
    return plain


def _agree(plain: str, other: str) -> bool:
    """Return whether the displayed version contains the words of the plain version, which mail programs hide."""
    words = set(_WORD.findall(_URL.sub(" ", plain).casefold()))
    return len(words - set(_WORD.findall(other.casefold()))) <= min(_MAX_OTHER_WORDS, len(words) // 3)


def _forwarded(part: Mail, body: Body, limits: MailLimits) -> None:
    for mail in _embedded(part, limits):
        inner = read_body(mail, replace(limits, depth=limits.depth // 2))
        heads = (f"{name}: {said}" for name in ("From", "Date", "Subject") if (said := header_text(mail, name)))
        shown = "\n".join(["Forwarded message:", *heads, "", *inner.texts, *inner.forwarded]).strip()
        if len(shown) > _MAX_FORWARDED_CHARS and len(body.files) < limits.files:
            data = storable_text(shown).encode()
            body.files.append(Attachment("document", "text/plain", data, "forwarded message.txt"))
            shown = f"{shown[:_MAX_FORWARDED_CHARS]} …"
        body.forwarded.append(shown)
        body.files += inner.files
        body.unsupported_media = body.unsupported_media or inner.unsupported_media


def _embedded(part: Mail, limits: MailLimits) -> list[Mail]:
    """Return the forwarded mail of a part; some programs encode it in base64, which RFC 2046 forbids."""
    inner = children(part)[:1]
    if not inner or raw_header(part, "Content-Transfer-Encoding").lower() != "base64":
        return inner
    if limits.depth <= 1:
        return []
    with suppress(ValueError):
        return [parse_structure(b64decode(payload_of(inner[0])), limits)[0]]
    return inner


def _leaf(part: Mail, body: Body, limits: MailLimits, *, is_alone: bool = False) -> None:
    kind, name = part.get_content_type(), file_name(part)
    if kind in _SIGNATURES or kind in _NOT_SHOWN or name.lower() in _SIGNATURE_FILES:
        return
    reader = _READERS.get("text/plain" if part.get_content_maintype() == "multipart" else kind)
    is_named = bool(name) and not is_alone
    if reader and not is_named and part.get_content_disposition() != "attachment":
        body.texts.append(reader(part, limits))
        return
    if kind in _ENCRYPTED:
        is_signed = content_type_parameter(part, "smime-type").lower() == "signed-data"
        body.unsupported_media = "signed message" if is_signed else "encrypted message"
    if kind == "application/pgp-encrypted":  # contains only the version number
        return
    if len(body.files) < limits.files:
        body.files.append(_file(part, kind, name))


def _file(part: Mail, kind: str, name: str) -> Attachment:
    return Attachment(kind_of(kind), kind, payload_of(part), storable_text(name)[:200])


def _content(part: Mail, limits: MailLimits) -> str:
    return decode(payload_of(part)[: limits.text_bytes], content_type_parameter(part, "charset"))


def _plain(part: Mail, limits: MailLimits) -> str:
    content = _content(part, limits)
    if content_type_parameter(part, "format").lower() == "flowed":
        return join_flowed_lines(content, joined=content_type_parameter(part, "delsp").lower() == "yes")
    return content


def _html(part: Mail, limits: MailLimits) -> str:
    data = payload_of(part)[: limits.text_bytes]
    named = _META.search(data[:2048])
    return render_html(
        decode(data, content_type_parameter(part, "charset") or (named[1].decode("ascii") if named else ""))
    )


def _calendar(part: Mail, limits: MailLimits) -> str:
    """Return the human-readable fields of an invitation."""
    lines = _FOLD.sub("", _content(part, limits)).splitlines()
    return "\n".join(line for line in lines if _EVENT.match(line))


_READERS: dict[str, Callable[[Mail, MailLimits], str]] = {
    "text/plain": _plain,
    "text/markdown": _plain,
    "text/html": _html,
    "application/xhtml+xml": _html,
    "text/calendar": _calendar,
}
"""Reader of each content type that the mail displays inline."""
