"""The newest part of a mail: without the older mails that are quoted in it. Every line is looked at once."""

from __future__ import annotations

import re

_LONGEST_LINE = 400
"""Characters of a line that are looked at: the lines that announce a quote are short."""
_MOST_LINES = 3
"""Lines over which programs break the announcement of a quote."""
_WROTE = (
    "wrote", "schrieb", "écrit", "scritto", "escribió", "escreveu", "schreef", "napisał", "napisała", "napisał(a)",
    "skrev", "napsal", "написал", "написала", "написав", "пишет", "yazdı", "escribio", "ecrit",
    "のメール", "書きました", "写道", "寫道", "작성", "כתב", "كتب", "लिखा",
)  # fmt: skip
_FROM = {
    "from", "von", "de", "da", "van", "od", "från", "fra", "от", "від", "kimden", "gönderen",
    "差出人", "发件人", "寄件者", "보낸 사람", "מאת", "من",
}  # fmt: skip
_SUBJECT = {
    "subject", "betreff", "objet", "oggetto", "asunto", "assunto", "onderwerp", "temat", "ämne", "emne", "předmět",
    "тема", "konu", "件名", "主题", "主旨", "제목", "נושא", "الموضوع",
}  # fmt: skip
_HEAD_LINES = 6
_FIELD = re.compile(r"\*{0,2}([^:：*]{1,20})\*{0,2}\s?[:：]")
_ADDRESS = re.compile(r"[^\s<>@]{1,64}@[^\s<>@]{1,255}")


def newest(text: str) -> str:
    """Return what was written last; all of it where nothing but quotes is there."""
    lines = _airy(text)
    end = _end(lines)
    kept = lines[:end]
    while kept and (not kept[-1].strip() or kept[-1].startswith(">")):
        kept.pop()
    if len(kept) < end and any(line.startswith(">") for line in lines[len(kept) : end]):
        kept = kept[: -_announcing(kept, sure=True) or None]
    kept = kept[_opening(kept) :]
    return "\n".join(kept).strip() or "\n".join(lines).strip()


def _airy(text: str) -> list[str]:
    """Return the lines, of several empty ones in a row only one."""
    lines: list[str] = []
    for line in text.splitlines():
        if line.strip() or (lines and lines[-1]):
            lines.append(line.rstrip() if line != "-- " else line)
    return lines


def _end(lines: list[str]) -> int:
    """Return where the signature begins, or an older mail that no sign marks as quoted."""
    for number, line in enumerate(lines):
        if line == "-- " or _parts(line) or _is_head(lines, number):
            return number
        if line.endswith((":", "：")) and (count := _announcing(lines[max(0, number - 2) : number + 1], sure=False)):
            quoted = next((one for one in lines[number + 1 : number + 3] if one), "")
            if not quoted.startswith(">"):
                return number + 1 - count
    return len(lines)


def _parts(line: str) -> bool:
    """Tell whether a line parts an older mail from the newest, as ``-----Original Message-----`` does."""
    bare = line.strip()
    if len(bare) > 80 or not bare.startswith("-----") or not bare.endswith("-----"):
        return False
    return any(sign.isalpha() for sign in bare)


def _is_head(lines: list[str], number: int) -> bool:
    """Tell whether the head of an older mail begins here, with whom it is from and, soon after, its subject."""
    if _name_of(lines[number]) not in _FROM:
        return False
    return any(_name_of(line) in _SUBJECT for line in lines[number + 1 : number + _HEAD_LINES])


def _name_of(line: str) -> str:
    found = _FIELD.match(line[:_LONGEST_LINE].strip())
    return found[1].strip().casefold() if found else ""


def _announcing(lines: list[str], *, sure: bool) -> int:
    """Return how many of the last lines say who wrote what is quoted below; 0: none do.

    Args:
        lines: those above the quote.
        sure: a quote does follow: then a colon, and a date or an address, are enough.
    """
    last = [line[:_LONGEST_LINE].casefold() for line in lines[-_MOST_LINES:]]
    if not last or not last[-1].endswith((":", "：")):
        return 0
    said = [" ".join(last[-count:]) for count in range(1, len(last) + 1) if all(last[-count:])]
    dated = [count for count, words in enumerate(said, 1) if _has_digit(words) or _ADDRESS.search(words)]
    told = [count for count in dated if any(word in said[count - 1] for word in _WROTE)]
    return next(iter(told or (dated if sure else ())), 0)


def _has_digit(text: str) -> bool:
    return any(sign.isdigit() for sign in text)


def _opening(lines: list[str]) -> int:
    """Return how many lines at the top are a quote with its announcement: the answer stands below it."""
    first = next((number for number, line in enumerate(lines[: _MOST_LINES + 2]) if line.startswith(">")), None)
    if first is None or not _announcing([line for line in lines[:first] if line], sure=True):
        return 0
    after = (number for number, line in enumerate(lines) if number > first and line and not line.startswith(">"))
    return next(after, 0)
