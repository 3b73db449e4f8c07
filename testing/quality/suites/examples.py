"""Example conversations, each with a program that looks at the content of the answer."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from qwendesk.routing.signals.language import identify_language, letters_in
from qwendesk.testing.quality.base import Answer, Question, Score, Suite
from qwendesk.testing.quality.suites.code import written_code
from qwendesk.tools.number_formats import plain_digits
from qwendesk.tools.sandbox import PythonSandbox

Scorer = Callable[[str, PythonSandbox], Awaitable[Score]]
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹−–", "0123456789--")
_MIN_LETTERS = 40
"""Letters of a part of an answer that count as an answer in its language; dense scripts need a quarter."""
_CODE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class _Example:
    id: str
    text: str
    score: Scorer


class Examples(Suite):
    """Questions of the kinds that the model family is made for, without those that need a model that sees."""

    name = "examples"
    summary = "Example conversations: algebra, growth, code that runs, several languages, a decision, explanations."

    def questions(self, data: Path | None) -> list[Question]:
        """Return the questions; none needs a file."""
        return [Question(example.id, example.text) for example in _EXAMPLES]

    async def score(self, question: Question, answer: Answer, sandbox: PythonSandbox) -> Score:
        """Run the program of the question."""
        example = next(one for one in _EXAMPLES if one.id == question.id)
        return await example.score(answer.text, sandbox)


def _lacking(wanted: dict[str, bool]) -> Score:
    missing = [name for name, is_there in wanted.items() if not is_there]
    return Score(not missing, f"lacks {', '.join(missing)}" if missing else "holds all that was asked")


async def _score_derivative(text: str, sandbox: PythonSandbox) -> Score:
    plain = re.sub(r"[\s*\\{}$()]|cdot", "", plain_digits(text).translate(_RAISED).replace("**", "^")).replace("^", "")
    roots = re.sub(r"\s", "", plain_digits(text).translate(_RAISED))
    exact = bool(re.search(r"√19|sqrt\{?\(?19|√76|sqrt\{?\(?76", roots))
    return _lacking(
        {
            "3x² + 4x - 5": "3x2+4x-5" in plain,
            "the point near 0.79": exact or bool(re.search(r"0[.,]7(?:86|9)", roots)),
            "the point near -2.12": exact or bool(re.search(r"-2[.,]1[12]", roots)),
        }
    )


async def _score_growth(text: str, sandbox: PythonSandbox) -> Score:
    plain = plain_digits(text)
    says_yes = bool(re.search(r"^\W*yes\b|\bwill reach\b(?! \$?4)|\bdoes reach\b", plain, re.IGNORECASE))
    says_no = bool(re.search(r"\bno\b|\bnot\b|n't\b|fall(?:s)? short|less than|below|<", plain, re.IGNORECASE))
    return _lacking(
        {
            "no": says_no and not says_yes,
            "about $4.02 million": bool(re.search(r"4[.,]02(?!\d{4})|4[.,]?02\d[.,]?\d{3}", plain)),
            "about 20.1 %": bool(re.search(r"20[.,]1|0[.,]201", plain)),
        }
    )


def _languages(*wanted: str) -> Scorer:
    async def score(text: str, sandbox: PythonSandbox) -> Score:
        found = set()
        for part in re.split(r"\n+", text):
            if letters_in(part) >= _MIN_LETTERS and (language := identify_language(part)):
                found.add(language)
        return _lacking({language: language in found for language in wanted})

    return score


def _program(part: str, tests: str) -> Scorer:
    """Return the scorer that calls the first function whose name has that part."""

    async def score(text: str, sandbox: PythonSandbox) -> Score:
        found = re.search(rf"^ *def (\w*{part}\w*)\(", text, re.MULTILINE)
        if found is None:
            return Score(False, "no such function")
        code = f"{written_code(text, found[1])}\n{tests.replace('CALL', found[1])}\n'all passed'"
        result = await sandbox.run(code, timeout=_CODE_SECONDS)
        if result.unsupported:
            return Score(None, f"not run: {result.error}", ("not run",))
        return Score(result.ok and "all passed" in (result.value or ""), result.error or "the tests passed")

    return score


def _mentions(least: int, *words: str) -> Scorer:
    async def score(text: str, sandbox: PythonSandbox) -> Score:
        held = {word: bool(re.search(word, text, re.IGNORECASE)) for word in words}
        enough = sum(held.values()) >= least and len(text) >= 200
        return Score(enough, f"{sum(held.values())} of {len(words)} ideas, {least} are needed")

    return score


_BINARY_SEARCH = """
assert CALL([1, 3, 5, 7, 9], 7) == 3
assert CALL([1, 3, 5, 7, 9], 1) == 0
assert CALL([1, 3, 5, 7, 9], 4) in (-1, None)
assert CALL([], 4) in (-1, None)
"""
_MEDIAN = """
assert CALL([3, 1, 2]) == 2
assert CALL([4, 1, 3, 2]) == 2.5
try:
    assert not CALL([])
except (ValueError, IndexError):
    pass
"""
_EXAMPLES = (
    _Example(
        "derivative",
        "Find the derivative of f(x) = x³ + 2x² - 5x + 3 and its critical points.",
        _score_derivative,
    ),
    _Example(
        "two-languages",
        "Explain the concept of artificial intelligence in both English and Chinese.",
        _languages("en", "zh"),
    ),
    _Example(
        "binary-search",
        "Create a Python function to implement a binary search algorithm with detailed comments.",
        _program("search", _BINARY_SEARCH),
    ),
    _Example(
        "growth",
        "A company's revenue grows by 15% each year. With $2 million in 2020, will it reach $5 million by 2025? "
        "If not, what growth rate would it need?",
        _score_growth,
    ),
    _Example(
        "cache",
        "Create a Python class that manages a simple in-memory cache with TTL: thread-safe, with a default TTL, "
        "cleanup of expired items and custom serialisation.",
        _mentions(4, r"class \w*cache", r"\block\b", r"ttl", r"expir|clean", r"serial|pickle|json"),
    ),
    _Example(
        "startup",
        "A startup with a learning app must choose one way to grow: B2B sales to schools, direct-to-consumer "
        "marketing, or a partnership with a publisher. Which would you choose, and why?",
        _mentions(
            4, r"schools?", r"consumer|parents|direct", r"partner|publisher", r"risk|cost|budget", r"because|since"
        ),
    ),
    _Example(
        "three-languages",
        "What are the benefits of renewable energy for the environment? Answer in English, Chinese and Spanish.",
        _languages("en", "zh", "es"),
    ),
    _Example(
        "median",
        "Create a Python function that takes a list of numbers and returns the median. Handle empty lists, and use "
        "type hints.",
        _program("median", _MEDIAN),
    ),
    _Example(
        "introduction",
        "Give me a short introduction to large language models.",
        _mentions(3, r"text|language", r"train", r"data", r"neural|transformer|model", r"predict|generat|understand"),
    ),
    _Example(
        "simple-terms",
        "Explain quantum computing in simple terms.",
        _mentions(
            3,
            r"qubit|quantum bit",
            r"superposition|same time|at once",
            r"entangl",
            r"classical|ordinary",
            r"faster|problem",
        ),
    ),
)
