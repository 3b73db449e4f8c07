"""Find the equations that a text states, such as ``12 eggs × 3 = 36 eggs``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from qwendesk.agents.checks.equation_tokens import CONVENTIONS, Token, equation_words, scale_of, tokens_of
from qwendesk.agents.checks.expressions import EquationSide, value_of

_MAX_CLAUSE_TOKENS = 400
_MAX_RUN_TOKENS = 80
"""Maximum number of pieces of one side."""
_MAX_UNIT_WORDS = 5
_NEAR_WORDS = 3
"""Number of words before an expression that may belong to it."""


@dataclass(frozen=True, slots=True)
class Equation:
    """Two sides that a text says are equal."""

    left: EquationSide
    right: EquationSide
    loose: bool
    """Whether the text says that they are about equal."""
    doubtful: bool = False
    """Whether something before or in it may change its meaning, so that a difference proves nothing."""


def find_equations(text: str) -> list[Equation]:
    """Return the equations of a text, in its order; a chain gives one for each sign."""
    return [equation for run in _runs(tokens_of(text)) for equation in _equations_of(run)]


def _runs(tokens: Sequence[Token]) -> Iterator[list[Token]]:
    """Yield the clauses that have an equals sign."""
    run: list[Token] = []
    for token in [*tokens, Token("end", "", 0, 0)]:
        if token.kind != "end":
            run.append(token)
            continue
        if len(run) <= _MAX_CLAUSE_TOKENS and any(one.kind == "=" for one in run):
            yield _without_units(_expanded(run))
        run = []


def _expanded(run: Sequence[Token]) -> list[Token]:
    """Split a raised digit into its sign and its number, and drop stars that only emphasise."""
    result: list[Token] = []
    for index, token in enumerate(run):
        if token.kind == "sign" and token.text[0] == "^" and len(token.text) > 1:
            result += [replace(token, text="^"), Token("number", token.text[1:], token.start, token.end)]
            continue
        if token.text == "*" and token.kind == "sign":
            follows = run[index + 1] if index + 1 < len(run) else None
            if not result or result[-1].kind in ("=", "sign", "(") or follows is None or follows.kind in ("=", ")"):
                continue
        result.append(token)
    # a list's mark
    return result[1:] if len(result) > 1 and result[0].text == "-" and result[1].start > result[0].end else result


def _without_units(run: Sequence[Token]) -> list[Token]:
    """Drop the units behind numbers, and join other words to gaps."""
    result: list[Token] = []
    index = 0
    while index < len(run):
        token = run[index]
        if token.kind != "word":
            result.append(token)
            index += 1
            continue
        end = index
        while end < len(run) and run[end].kind == "word":
            end += 1
        words = run[index:end]
        follows = run[end] if end < len(run) else None
        result = _with_words(result, words, follows)
        index = end
    return result


def _with_words(before: list[Token], words: Sequence[Token], follows: Token | None) -> list[Token]:
    last = before[-1] if before else None
    is_operand = last is not None and last.kind in ("number", ")", "%")
    text = " ".join(word.text for word in words).casefold()
    if is_operand and last is not None:
        if last.kind == "number":
            before = [*before[:-1], _with_unit(last, words)]
        ends = follows is None or follows.kind == ")" or (follows.kind == "=" and len(words) <= _MAX_UNIT_WORDS)
        if ends or (follows is not None and follows.kind == "sign" and len(words) <= _MAX_UNIT_WORDS):
            return before
        if text in equation_words()["of"] and (last.kind == "%" or _ends_with_fraction(before)):
            return [*before, Token("sign", "*", words[0].start, words[-1].end)]
    elif last is not None and last.text == "/" and len(before) > 1 and before[-2].kind in ("number", ")"):
        # a unit such as $5/hour
        return before[:-1] if follows is None or follows.kind in ("=", ")", "sign") else [*before, _gap(words)]
    return [*before, _gap(words)]


def _with_unit(number: Token, words: Sequence[Token]) -> Token:
    scale = scale_of(words[0].text)
    units = [word.text.casefold() for word in words[scale > 1 :]]
    return replace(number, scale=scale, unit=number.unit or (units[0] if units else ""))


def _gap(words: Sequence[Token]) -> Token:
    return Token("gap", " ".join(word.text for word in words), words[0].start, words[-1].end)


def _ends_with_fraction(tokens: Sequence[Token]) -> bool:
    return [token.text if token.kind == "sign" else token.kind for token in tokens[-3:]] == ["number", "/", "number"]


def _equations_of(run: Sequence[Token]) -> Iterator[Equation]:
    signs = [index for index, token in enumerate(run) if token.kind == "="]
    starts, ends = [0, *(sign + 1 for sign in signs)], [*signs, len(run)]
    parts = [list(run[start:end])[:_MAX_RUN_TOKENS] for start, end in zip(starts, ends, strict=True)]
    for number, sign in enumerate(signs):
        left, right = _suffix(parts[number]), _prefix(parts[number + 1])
        if left is None or right is None or ends[number] - starts[number] > _MAX_RUN_TOKENS:
            continue
        side, doubtful = left
        yield Equation(side, right, run[sign].text == "≈", doubtful or _adds_percent(side))


def _suffix(part: Sequence[Token]) -> tuple[EquationSide, bool] | None:
    """Return the longest expression at the end of a part, and whether its beginning is doubtful."""
    for start in range(len(part)):
        if start and not _may_begin(part, start):
            continue
        if _is_expression(part[start:]):
            return EquationSide(tuple(part[start:])), start > 0 and _is_doubtful(part, start)
    return None


def _may_begin(part: Sequence[Token], start: int) -> bool:
    token, before = part[start], part[start - 1]
    if token.kind not in ("number", "(", "fraction", "root"):
        return False
    return before.kind in ("gap", "(", ")") or (before.kind == "number" and token.kind == "number")


def _is_doubtful(part: Sequence[Token], start: int) -> bool:
    before = part[start - 1]
    if before.kind == "(":
        # what stands before the opening bracket is another expression
        return False
    if before.kind == "gap":
        ahead = part[start - 2] if start > 1 else None
        if ahead is not None and ahead.kind in ("sign", "%", "unknown"):
            return True
        # words between two numbers may be a sign in any language: "5 por 3 + 1"
        words = before.text.casefold().split()
        is_between = ahead is not None and ahead.kind in ("number", ")") and len(words) <= _MAX_UNIT_WORDS
        return (is_between and words[-1] not in equation_words()["copulas"]) or changes_meaning(before.text)
    return True


def changes_meaning(words: str) -> bool:
    """Return whether words before an expression may be a part of it, such as ``half of``."""
    table = equation_words()
    last = re.findall(r"[^\W\d_]+", words.casefold())[-_NEAR_WORDS:]
    if not last or last[-1] in table["copulas"]:
        return False
    return not table["doubtful"].isdisjoint(last) or any(part in "".join(last) for part in table["doubtful_parts"])


def _prefix(part: Sequence[Token]) -> EquationSide | None:
    """Return the longest expression at the beginning of a part; None if what follows may belong to it."""
    for end in range(len(part), 0, -1):
        if part[end - 1].kind in ("sign", "gap", "unknown", "(") or not _is_expression(part[:end]):
            continue
        follows = part[end] if end < len(part) else None
        return None if follows is not None and follows.kind in ("sign", "unknown") else EquationSide(tuple(part[:end]))
    return None


def _is_expression(tokens: Sequence[Token]) -> bool:
    if not tokens or any(token.kind in ("gap", "unknown", "word", "=") for token in tokens):
        return False
    side = EquationSide(tuple(tokens))
    return bool(side.numbers) and any(value_of(side, convention) is not None for convention in CONVENTIONS)


def _adds_percent(side: EquationSide) -> bool:
    """Return whether a percentage is added, which may mean a share of what stands before it."""
    tokens = side.tokens
    return any(
        token.kind == "%" and index > 1 and tokens[index - 2].text in ("+", "-") for index, token in enumerate(tokens)
    )
