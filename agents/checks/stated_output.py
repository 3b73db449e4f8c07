"""Run the Python of an answer, and compare what it prints with the output that the answer states.

A model that cannot run code often writes some with its output, which it invents.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from qwendesk.agents.checks.arithmetic import correct_arithmetic
from qwendesk.agents.checks.equation_tokens import MAX_TEXT_CHARS, Token, decimals_of, number_value, tokens_of
from qwendesk.messages import Check, Inbound
from qwendesk.tools.sandbox import PythonSandbox

STATED_OUTPUT = "output of the code"
_PAIR = re.compile(
    r"```(?:python3?|py)[ \t]*\n(?P<code>[^`]*)```\s*(?P<lead>[^\n`]{0,80}\n\s*)?"
    r"```(?P<kind>\w*)[ \t]*\n(?P<output>[^`]*)```",
    re.IGNORECASE,
)
_LEAD = re.compile(
    r"output|prints?\b|result|ausgabe|ergebnis|résultat|sortie|salida|resultado|saída|вывод|输出|結果|出力|출력",
    re.IGNORECASE,
)
_CHANGING = re.compile(r"\b(?:random|time|datetime|uuid|secrets|input|id)\b")
_ONE_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_BOX = re.compile(r"\\boxed\s?\{")
_MAX_OUTPUT_CHARS = 1000
_MAX_SHOWN_CHARS = 80


@dataclass(frozen=True, slots=True)
class _Stated:
    """An output that an answer states."""

    code: str
    output: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class CorrectedOutput:
    """An answer with what its code prints."""

    text: str
    is_whole: bool
    """Whether what follows the output could be corrected too; otherwise it was cut."""
    printed: str


async def check_stated_output(text: str, sandbox: PythonSandbox, inbound: Inbound | None = None) -> list[Check]:
    """Compare each stated output with the printed one; code that the sandbox cannot run is not judged."""
    checks = []
    for stated in _stated_outputs(text):
        printed = await _printed(stated, sandbox, inbound)
        if printed is None:
            continue
        if _is_same(stated.output, printed):
            checks.append(Check(STATED_OUTPUT, "passed", _short(printed)))
        else:
            checks.append(Check(STATED_OUTPUT, "failed", f"it prints {_short(printed)}, not {_short(stated.output)}"))
    return checks


async def correct_stated_output(
    text: str, sandbox: PythonSandbox, inbound: Inbound, language: str | None
) -> CorrectedOutput | None:
    """Return the answer with the first wrong output replaced, and the numbers behind it that repeat it.

    Args:
        text: the answer.
        sandbox: runs the code.
        inbound: the message.
        language: the answer's language, for its number format.
    """
    for stated in _stated_outputs(text):
        printed = await _printed(stated, sandbox, inbound)
        if printed is None or _is_same(stated.output, printed):
            continue
        fence = text.index("```", stated.end) + 3
        head, tail = f"{text[: stated.start]}{printed}{text[stated.end : fence]}", text[fence:]
        found = _replacement(stated.output, printed)
        known = {found[0]: found[1]} if found and min(found) >= 0 else {}
        after = correct_arithmetic(tail, head, language, known).text
        if _BOX.search(after) is None or after != tail:
            return CorrectedOutput(head + after, True, printed)
        # the final answer does not repeat the output, so that it cannot be told whether it follows from it
        return CorrectedOutput(head, False, printed)
    return None


def _stated_outputs(text: str) -> Iterator[_Stated]:
    for found in _PAIR.finditer(text[:MAX_TEXT_CHARS]):
        is_output = found["kind"].casefold() == "output" or bool(_LEAD.search(found["lead"] or ""))
        if is_output and found["output"].strip() and not _CHANGING.search(found["code"]):
            output = found["output"]
            end = found.end("output") - len(output) + len(output.rstrip())
            yield _Stated(found["code"], output.strip(), found.start("output"), end)


async def _printed(stated: _Stated, sandbox: PythonSandbox, inbound: Inbound | None) -> str | None:
    result = await sandbox.run(stated.code, inbound=inbound)
    printed = result.output.strip()
    return printed if result.ok and printed and len(printed) <= _MAX_OUTPUT_CHARS else None


def _is_same(stated: str, printed: str) -> bool:
    """Return whether two outputs have the same numbers, which may be rounded in the stated one, or the same words."""
    if " ".join(stated.split()) == " ".join(printed.split()):
        return True
    ours, theirs = _numbers(stated), _numbers(printed)
    if not theirs:
        return not ours
    if stated.startswith("{") and printed.startswith("{"):
        # the items of a set and of a dictionary have no order
        return sorted(re.findall(r"[^\s{},]+", stated)) == sorted(re.findall(r"[^\s{},]+", printed))
    return len(ours) == len(theirs) and all(_rounds(one, other) for one, other in zip(ours, theirs, strict=True))


def _rounds(stated: Token, printed: Token) -> bool:
    one, other = number_value(stated, "point"), number_value(printed, "point")
    if one is None or other is None:
        return False
    return abs(one - other) < Fraction(1, 10 ** max(decimals_of(stated, "point"), 1))


def _replacement(stated: str, printed: str) -> tuple[Fraction, Fraction] | None:
    """Return the wrong and the right number, if each output is a single one."""
    if not (_ONE_NUMBER.fullmatch(stated) and _ONE_NUMBER.fullmatch(printed)):
        return None
    return Fraction(stated), Fraction(printed)


def _numbers(text: str) -> list[Token]:
    return [token for token in tokens_of(text) if token.kind == "number"]


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _MAX_SHOWN_CHARS else f"{line[:_MAX_SHOWN_CHARS]}…"
