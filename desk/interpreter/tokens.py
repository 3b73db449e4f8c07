"""Find the parts of a message that a translation has to keep unchanged: codes, numbers, addresses, names, code.

*Unchanged* means the same characters: ``1.234,56 €`` stays ``1.234,56 €`` in every language, and ``٣٫٥`` stays ``٣٫٥``.
Written for a reader with other separators, a number would be a guess; ``notes.py`` tells where it may be misread.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, get_args

import regex

Kind = Literal[
    "code",
    "name",
    "link",
    "email",
    "placeholder",
    "markup",
    "handle",
    "hashtag",
    "phone",
    "date",
    "time",
    "money",
    "file",
    "identifier",
    "number",
    "emoji",
]
KINDS: tuple[Kind, ...] = get_args(Kind)
_MAX_NAMES = 2000
"""Names of a glossary that are looked for at once."""
# Scripts without spaces stand directly beside a code: their letters neither belong to it nor bound it.
_LETTER = r"[\p{L}\p{M}--\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}ー]"
_WORD = r"[\p{L}\p{M}\p{Nd}_--\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}ー]"
_RUN = rf"(?:{_WORD}|[-/.#+](?={_WORD}))"
"""A sign of a code."""
_LEFT, _RIGHT = rf"(?<!{_WORD})", rf"(?!{_WORD})"
_FILE_ENDINGS = (
    "pdf|docx?|xlsx?|pptx?|odt|ods|odp|rtf|txt|md|csv|tsv|jsonl?|ya?ml|toml|xml|html?|css|jsx?|tsx?|py|java|kt|rb|go|rs|"
    "php|sh|bat|ps1|sql|db|sqlite|log|ini|cfg|conf|env|lock|png|jpe?g|gif|webp|svg|bmp|tiff?|heic|mp3|mp4|wav|ogg|flac|"
    "m4a|mov|avi|mkv|webm|zip|tar|gz|tgz|bz2|xz|7z|rar|exe|msi|dmg|apk|ipa|iso|bin|dll|so|jar|whl|deb|rpm|eml|ics|vcf|"
    "key|pem|crt|gguf"
)
_ISO_CURRENCIES = (
    "AED|ARS|AUD|BGN|BRL|CAD|CHF|CLP|CNY|COP|CZK|DKK|EGP|EUR|GBP|HKD|HUF|IDR|ILS|INR|JPY|KRW|KZT|MAD|MXN|MYR|NGN|NOK|"
    "NZD|PEN|PHP|PKR|PLN|RON|RSD|RUB|SAR|SEK|SGD|THB|TRY|TWD|UAH|USD|VND|ZAR"
)
_D = r"\p{Nd}"
_CLOCK = rf"{_D}{{1,2}}[:٫]{_D}{{2}}(?::{_D}{{2}})?"
_ZONE = rf"(?:Z|[+-]{_D}{{2}}:?{_D}{{2}})?"
_NUMBER = (
    r"(?:\p{Nd}{1,3}(?:[ \u00a0\u2009\u202f'’]\p{Nd}{3}){1,6}(?!\p{Nd})(?:[.,٫]\p{Nd}{1,12})?"
    r"|\p{Nd}{1,40}(?:[.,٫٬·⁄/:]\p{Nd}{1,12}){0,8}|[¼½¾⅓⅔⅛⅜⅝⅞])"
)
_SIGN = rf"(?:{_LEFT}[-−+±])?"
_URL_SIGN = r"[!-;=?-_a-~]"
_BEYOND_ASCII = r"[\p{L}\p{M}\p{Nd}]"
_URL_TAIL = rf"(?:{_URL_SIGN}|(?<=[/=_%-]){_BEYOND_ASCII}(?:{_BEYOND_ASCII}|[_-])*)*"
_URL_END = r"(?<![.,;:!?'\"*_~])"
_TOP_DOMAINS = (
    "com|org|net|io|de|fr|it|es|nl|pl|ru|uk|eu|at|ch|jp|cn|kr|in|br|tr|app|dev|shop|store|example|test|info|biz"
)
_PATTERNS: tuple[tuple[Kind, str], ...] = (
    ("code", r"```.*?(?:```|\Z)|~~~.*?(?:~~~|\Z)"),
    ("code", r"(?P<ticks>`{1,3})(?!`)[^\n]*?(?<!`)(?P=ticks)(?!`)"),
    ("link", rf"(?i:https?|ftp|sftp|ssh|mailto|tel):(?://)?{_URL_TAIL}{_URL_END}"),
    ("email", rf"{_LEFT}(?:{_WORD}|[.+%-]){{1,64}}@(?:{_WORD}|-){{1,63}}(?:\.(?:{_WORD}|-){{1,63}}){{1,5}}"),
    ("link", rf"{_LEFT}www\.{_URL_TAIL}{_URL_END}"),
    (
        "link",
        rf"{_LEFT}(?:[A-Za-z0-9-]{{1,63}}\.){{1,5}}(?:{_TOP_DOMAINS})(?![\p{{L}}.@-]*[A-Za-z0-9@])"
        rf"(?:[/?]{_URL_TAIL}{_URL_END})?",
    ),
    ("markup", r"</?[A-Za-z][A-Za-z0-9-]{0,20}(?:\s[^<>\n]{0,200})?/?>|&(?:#\d{1,6}|[a-z]{2,8});"),
    (
        "placeholder",
        r"\{\{[^{}\n]{1,80}\}\}|\$?\{[^{}\n]{0,80}\}|%\([A-Za-z_]\w*\)[a-z]|(?<![\p{N}\p{L}])%(?:\d\$)?[sdif](?!\p{L})"
        r"|%[A-Z][A-Z0-9_]+%|\[\[[^\[\]\n]{1,80}\]\]|\[(?:[A-Z][A-Z0-9_]{1,40}|\p{Nd}{1,3})\]|(?<![\p{L}\p{N}$])\$[A-Za-z_]\w{1,40}",
    ),
    (
        "file",
        rf"(?:~|\.{{1,2}})?(?<![\p{{L}}\p{{N}}_<])(?:/[A-Za-z0-9._-]+){{2,}}/?{_URL_END}|(?<!\p{{L}})[A-Za-z]:\\[^\s<>\"|?*，。]+{_URL_END}",
    ),
    ("file", rf"{_LEFT}(?<!\.)(?:{_WORD}|[.-](?={_WORD})){{1,120}}\.(?i:{_FILE_ENDINGS}){_RIGHT}(?!\.?{_WORD})"),
    ("file", rf"(?<![\p{{L}}\p{{N}}_])[\p{{L}}\p{{N}}_-]{{1,60}}(?<!{_WORD})\.(?i:{_FILE_ENDINGS}){_RIGHT}"),
    ("handle", rf"{_LEFT}(?<![.@/-])@(?:{_WORD}|[.-](?={_WORD})){{1,60}}"),
    (
        "hashtag",
        rf"{_LEFT}(?<![&#/])#(?:\p{{Nd}}|{_WORD}){{1,60}}(?:-{_WORD}{{1,60}}){{0,8}}|{_LEFT}(?<![&#/])#[\p{{L}}\p{{M}}_]{{1,40}}",
    ),
    ("phone", rf"{_LEFT}\+{_D}(?:[\p{{Nd}}\u00a0]|[ ()/.-](?=[\p{{Nd}}(])|\)(?=[ /-]?{_D})){{6,22}}(?!{_D})"),
    ("identifier", rf"{_LEFT}[A-Z]{{2}}\d{{2}}(?: [A-Z0-9]{{4}}){{2,7}}(?: [A-Z0-9]{{1,4}})?{_RIGHT}"),
    ("identifier", r"(?<![\p{Nd}])(?:\d{4}[ -]){3}\d{4}(?!\p{Nd})"),
    ("date", rf"(?<!{_D}){_D}{{4}}-{_D}{{2}}-{_D}{{2}}(?:[T ]{_CLOCK}{_ZONE})?(?!{_D})"),
    ("date", rf"(?<![\p{{Nd}}.,]){_D}{{1,4}}(?P<dot>[./-]){_D}{{1,2}}(?P=dot){_D}{{2,4}}(?!{_D})"),
    ("date", rf"{_D}{{2,4}} ?[年년] ?{_D}{{1,2}} ?[月월](?: ?{_D}{{1,2}} ?[日号號일])?"),
    ("date", rf"{_D}{{1,2}} ?[月월] ?{_D}{{1,2}} ?[日号號일]"),
    ("time", rf"(?<![\p{{Nd}}:.,]){_CLOCK}(?:[ \u00a0]?(?i:[ap]\.?m\b\.?))?(?![\p{{Nd}}:])"),
    ("time", rf"{_LEFT}{_D}{{1,2}}[hH]{_D}{{2}}{_RIGHT}|{_LEFT}{_D}{{1,2}} ?(?i:[ap]m){_RIGHT}"),
    ("phone", rf"{_LEFT}(?<![.,/-])\(?0{_D}{{1,5}}\)?(?:[ /-]{_D}{{2,9}}){{1,6}}(?!{_D})"),
    (
        "money",
        rf"{_SIGN}(?:(?<!{_LETTER})(?:(?:US|CA|A|HK|R)?\$|{_ISO_CURRENCIES})[ \u00a0]?{_NUMBER}"
        rf"|[\p{{Sc}}--$][ \u00a0]?{_NUMBER}"
        rf"|{_LEFT}(?<!-){_NUMBER}[ \u00a0]?(?:[\p{{Sc}}元円圆圓원]|(?:{_ISO_CURRENCIES}){_RIGHT}))",
    ),
    # a code: letters and digits, or parts joined by signs of which one has a digit, or capitals joined by signs
    (
        "identifier",
        rf"{_LEFT}(?<!{_WORD}[-/.#+])(?={_RUN}{{0,60}}\p{{Nd}})(?={_RUN}{{0,60}}(?:{_LETTER}|[_-]))"
        rf"{_WORD}{{1,60}}(?:[-/.#+]{_WORD}{{1,60}}){{0,12}}",
    ),
    (
        "identifier",
        rf"(?<!{_WORD})[A-Z]+(?:[_-][A-Z]+)*_[A-Z_]+{_RIGHT}|(?<!{_WORD})[A-Z]{{2,}}-[A-Z]{{2,}}(?:-[A-Z]+)*{_RIGHT}",
    ),
    ("identifier", rf"(?<![{{<%]){_LEFT}[a-z]+(?:_[a-z]+)+{_RIGHT}"),
    ("name", rf"{_LEFT}(?:[a-z]{{1,3}}[A-Z][A-Za-z]+|[A-Z][a-z]+(?:[A-Z][a-z]+)+)(?<!Innen|In){_RIGHT}"),
    ("number", rf"{_SIGN}{_NUMBER}"),
    (
        "emoji",
        r"\p{RI}\p{RI}|[0-9#*]\ufe0f?\u20e3"
        r"|(?:\p{Emoji_Presentation}|\p{Extended_Pictographic}\ufe0f?)(?:[\U0001f3fb-\U0001f3ff]|\ufe0f|\u200d\p{Extended_Pictographic}\ufe0f?)*"
        r"|(?<![^\s])[:;]['’]?-?[()DPpOo|/\\](?![\p{L}\p{N}/])",
    ),
)


@dataclass(frozen=True, slots=True)
class KeptToken:
    """A part of a text that a translation keeps unchanged."""

    kind: Kind
    text: str
    start: int

    @property
    def end(self) -> int:
        """Where it ends in the text."""
        return self.start + len(self.text)


def find_tokens(text: str, names: Iterable[str] = ()) -> list[KeptToken]:
    """Return the protected tokens of a text in order; they do not overlap.

    Args:
        text: the text.
        names: names that are never translated, in any case.
    """
    found = list[KeptToken]()
    for match in _pattern(tuple(names)).finditer(text):
        kind = KINDS[int(match.lastgroup[1:3])]
        shown = _without_open_end(match[0]) if kind == "link" else match[0]
        found.append(KeptToken(kind, shown, match.start()))
    return found


def count_tokens(text: str, names: Iterable[str] = ()) -> Counter[str]:
    """Return how often each protected token occurs, in one Unicode form."""
    return Counter(comparable(token.text) for token in find_tokens(text, names))


def comparable(text: str) -> str:
    """Return a token in the form in which tokens are compared: composed, with plain spaces."""
    return str(regex.sub(r"[\u00a0\u2009\u202f]", " ", unicodedata.normalize("NFC", text)))


def without_tokens(text: str, tokens: Sequence[KeptToken]) -> str:
    """Return a text with a space in place of each token."""
    return replaced(text, tokens, [" "] * len(tokens))


def replaced(text: str, tokens: Sequence[KeptToken], by: Sequence[str]) -> str:
    """Return a text with each token replaced."""
    pieces, at = list[str](), 0
    for token, new in zip(tokens, by, strict=True):
        pieces += [text[at : token.start], new]
        at = token.end
    return "".join([*pieces, text[at:]])


def _without_open_end(link: str) -> str:
    """Return a link without closing brackets that it does not open, and the signs before them."""
    while link.endswith(")") and link.count(")") > link.count("("):
        link = link[:-1].rstrip(".,;:!?")
    return link


@lru_cache(maxsize=16)
def _pattern(names: tuple[str, ...]) -> regex.Pattern[str]:
    """Return the pattern of all tokens; a group's name has the number of its kind."""
    known = sorted({name for name in names if name.strip()}, key=len, reverse=True)[:_MAX_NAMES]
    patterns = list(_PATTERNS)
    if known:
        words = "|".join(_of_name(name) for name in known)
        patterns.insert(4, ("name", f"(?i:{words})"))
    groups = [f"(?P<k{KINDS.index(kind):02}_{at}>{pattern})" for at, (kind, pattern) in enumerate(patterns)]
    return regex.compile("|".join(groups), regex.V1 | regex.DOTALL)


def _of_name(name: str) -> str:
    """Return the pattern of a name: whole words where its script has spaces, any white space between its words."""
    inner = r"\s+".join(map(regex.escape, name.split()))
    left = _LEFT if regex.match(_WORD, name, regex.V1) else ""
    right = _RIGHT if regex.search(rf"{_WORD}\Z", name.rstrip(), regex.V1) else ""
    return f"{left}{inner}{right}"
