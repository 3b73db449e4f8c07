"""Work out questions of yearly growth or compound interest from the numbers of a message.

A message is taken only if each of its numbers has one part in the question: one rate, a number of years or two of them,
a first amount and perhaps a second one to be reached.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from importlib import resources
from typing import Any

from qwendesk.agents.algebra_answers import format_number
from qwendesk.agents.algebra_words import word_pattern
from qwendesk.agents.checks.equation_tokens import Token, number_value, plain_text, scale_of, tokens_of
from qwendesk.agents.phrases import phrase
from qwendesk.tools.number_formats import Convention, convention_of

MAX_CHARS = 600
_GROWS = re.compile(
    r"\b(?:grow|increas|rises?\b|rising|interest|compound|wächs|wachs|steig|zins|croî|croiss|augment|intérêt|crec|aument|"
    r"interés|cresc|juros|interess|groei|stijg|rente|rośn|wzrost|odset|вклад|раст|рост|увелич|зрос|процентн|büyü|artar|artıyor|faiz|yields?\b)|"
    r"增长|增加|利率|利息|年利|成長|増加|利子|金利|성장|증가|이자|ينمو|نمو|يزيد|فائدة|वृद्धि|बढ़|ब्याज",
    re.IGNORECASE,
)
_YEARLY = re.compile(
    r"\b(?:(?:each|every|per|a) year|annual|yearly|per annum|(?:jedes|pro|im) jahr|jährlich|par an\b|chaque année|"
    r"annuel|(?:cada|al|por) año|anual|(?:cada|ao|por) ano|all'anno|ogni anno|annu|(?:per|elk|ieder) jaar|jaarlijks|"
    r"rocznie|co roku|кажд\w+ год|в год|годовых|ежегодн|щорок|на рік|her yıl|yıllık|yılda)|每年|年增长|年利|毎年|"
    r"年間|年率|매년|연간|연 |سنويا|كل سنة|كل عام|प्रति वर्ष|हर साल|सालाना",
    re.IGNORECASE,
)
_YEARS = re.compile(
    r"\s*(?:-\s*)?(?:years?|jahren?|ans?\b|années?|años?|anos?|anni|anno|jaar|lat\b|lata|год|года|лет|років|роки|yıl|年|년|"
    r"سنوات|سنة|साल|वर्ष)",
    re.IGNORECASE,
)
_CURRENCY = re.compile(r"(?:US|A|C|HK|R|S|NZ)?[$€£¥₹₩₽฿]\s?\Z")
_MONEY = (
    r"(?:[$€£¥₹₩₽฿]|(?:de |di )?(?:dollars?|dólares|dollari|euros?|euro|pounds?|libras|долларов|доллара|евро|рублей|"
    r"USD|EUR|GBP|CHF)\b|美元|欧元|人民币|元|ドル|円|ユーロ|달러|원|유로)"
)
_BEHIND = re.compile(rf"\s?(?P<scale>百万|[万萬亿億]|백만|[만억]|[^\W\d_]+\.?)?(?P<money>\s?{_MONEY})?", re.IGNORECASE)
_ONLY_MONEY = re.compile(rf"\s?{_MONEY}", re.IGNORECASE)
_WORD_SIGNS = re.compile(r"['’]s\b|['’-]")
_MAX_YEARS = 200


@dataclass(frozen=True, slots=True)
class _Amount:
    value: Fraction
    """In the unit that the message writes, such as millions."""
    scale: int
    before: str
    behind: str

    def shown(self, value: Fraction, language: str | None) -> str:
        """Return another value in the same unit; a number of things has no decimals."""
        is_number = self.scale == 1 and not self.before and not self.behind and self.value.denominator == 1
        return f"{self.before}{format_number(value, language, 0 if is_number else 2)}{self.behind}"


@dataclass(frozen=True, slots=True)
class Growth:
    """A question of yearly growth."""

    start: _Amount
    rate: Fraction
    years: int
    last_year: int | None
    target: _Amount | None


def growth_answer(text: str, language: str | None) -> str | None:
    """Return the answer to a question of yearly growth; None if the message is no such question."""
    found = read_growth(text, language)
    return _stated(found, language) if found else None


def read_growth(text: str, language: str | None) -> Growth | None:
    """Return the question of growth that a message holds; None if it is another one."""
    if len(text) > MAX_CHARS or "?" not in text.replace("？", "?").replace("؟", "?"):
        return None
    if not (_GROWS.search(text) and _YEARLY.search(text)):
        return None
    reaches = bool(_reaches().search(text))
    if re.sub(r"[\W\d_]+", "", _known_words().sub(" ", _reaches().sub(" ", _WORD_SIGNS.sub(" ", text)))):
        return None
    return _read_numbers(text, language, reaches=reaches)


def _read_numbers(text: str, language: str | None, *, reaches: bool) -> Growth | None:
    """Return the question by the parts of its numbers; None if a number has no part or two."""
    plain = plain_text(text)
    convention: Convention = convention_of(language) if language else "point"
    tokens = tokens_of(text)
    if any(token.kind == "unknown" and token.text[:1].isdigit() for token in tokens):
        return None
    rates: list[Fraction] = []
    years: list[int] = []
    spans: list[int] = []
    amounts: list[_Amount] = []
    for index, token in enumerate(tokens):
        if token.kind != "number":
            continue
        value = number_value(token, convention)
        if value is None:
            return None
        following = tokens[index + 1] if index + 1 < len(tokens) else None
        ahead = tokens[index - 1] if index else None
        is_rate = following is not None and (following.kind == "%" or _is_percent(following.text))
        if is_rate or (ahead is not None and ahead.kind == "%" and ahead.end == token.start):
            rates.append(value)
        elif _YEARS.match(plain, token.end) and value.denominator == 1:
            (years if 1900 <= value <= 2200 else spans).append(int(value))
        elif 1900 <= value <= 2200 and re.fullmatch(r"\d{4}", token.text) and not _is_money(token, text):
            years.append(int(value))
        else:
            amounts.append(_amount(token, value, text))
    return _growth(rates, years, spans, amounts) if reaches == (len(amounts) > 1) else None


@cache
def _known_words() -> re.Pattern[str]:
    return word_pattern(word for words in _words().values() if isinstance(words, list) for word in words)


@cache
def _reaches() -> re.Pattern[str]:
    return word_pattern(_words()["reaches"]["words"])


@cache
def _words() -> dict[str, Any]:
    return tomllib.loads(resources.files("qwendesk.agents").joinpath("growth_words.toml").read_text("utf-8"))


def _growth(rates: list[Fraction], years: list[int], spans: list[int], amounts: list[_Amount]) -> Growth | None:
    if len(rates) != 1 or not 0 < rates[0] <= 1000 or len(amounts) not in (1, 2):
        return None
    if len(years) == 2 and not spans:
        number, last = years[1] - years[0], years[1]
    elif len(spans) == 1 and not years:
        number, last = spans[0], None
    else:
        return None
    start, target = amounts[0], amounts[1] if len(amounts) > 1 else None
    if not 0 < number <= _MAX_YEARS or start.value <= 0:
        return None
    if target and (target.before, target.scale > 1) != (start.before, start.scale > 1):
        return None
    return Growth(start, rates[0] / 100, number, last, target)


def _stated(found: Growth, language: str | None) -> str:
    start, target = found.start, found.target
    end = start.value * (1 + found.rate) ** found.years
    rate = format_number(found.rate * 100, language, 2)
    year = f" ({found.last_year})" if found.last_year else ""
    line = (
        f"{start.shown(start.value, language)} × (1 + {rate}%)^{found.years} ≈ **{start.shown(end, language)}**{year}"
    )
    if target is None:
        return f"{line} (+{start.shown(end - start.value, language)})"
    wanted = target.value * Fraction(target.scale, start.scale)
    reached = end >= wanted
    aim = target.shown(target.value, language)
    told = f"**{phrase('yes' if reached else 'no', language)}.** {line} {'≥' if reached else '<'} {aim}"
    if reached:
        return told
    needed = Fraction(float(wanted / start.value) ** (1 / found.years) - 1)
    ratio = f"({aim} / {start.shown(start.value, language)})^(1/{found.years}) - 1"
    return f"{told}\n\n{phrase('needed_growth', language)}: {ratio} ≈ **{format_number(needed * 100, language, 1)}%**"


def _amount(token: Token, value: Fraction, text: str) -> _Amount:
    before = found[0] if (found := _CURRENCY.search(text, max(0, token.start - 5), token.start)) else ""
    found = _BEHIND.match(text, token.end)
    scale = scale_of(found["scale"] or "") if found else 1
    found = found if scale > 1 else _ONLY_MONEY.match(text, token.end)
    behind = found[0] if found else ""
    return _Amount(value, scale, before, behind)


def _is_money(token: Token, text: str) -> bool:
    return bool(_CURRENCY.search(text, max(0, token.start - 5), token.start) or _ONLY_MONEY.match(text, token.end))


def _is_percent(word: str) -> bool:
    return word.casefold().startswith(("percent", "prozent", "procent", "процент"))
