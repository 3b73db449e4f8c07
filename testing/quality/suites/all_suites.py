"""The list of suites."""

from __future__ import annotations

from collections.abc import Sequence

from qwendesk.errors import ConfigError, no_such
from qwendesk.testing.quality.base import Suite
from qwendesk.testing.quality.suites.asked_language import AskedLanguage
from qwendesk.testing.quality.suites.code import HumanEval, Mbpp
from qwendesk.testing.quality.suites.examples import Examples
from qwendesk.testing.quality.suites.faq import ShopQuestions
from qwendesk.testing.quality.suites.function_calls import FunctionCalls, Irrelevance
from qwendesk.testing.quality.suites.handover import Handover
from qwendesk.testing.quality.suites.injection import Injection
from qwendesk.testing.quality.suites.instructions import Instructions
from qwendesk.testing.quality.suites.retail import Retail
from qwendesk.testing.quality.suites.word_problems import WordProblems

SUITES: tuple[Suite, ...] = (
    WordProblems("gsm8k", "Word problems in English: the last number of the answer, or the one in a box."),
    WordProblems("mgsm", "Word problems in nine other languages, scored like gsm8k."),
    HumanEval(),
    Mbpp(),
    FunctionCalls(),
    Irrelevance(),
    AskedLanguage(),
    Instructions(),
    ShopQuestions(),
    Examples(),
    Injection(),
    Retail(),
    Handover(),
)
"""All suites."""
ALL = "all"


def chosen_suites(names: Sequence[str]) -> list[Suite]:
    """Return the suites of these names; ``all`` stands for all of them.

    Raises:
        ConfigError: there is no such suite.
    """
    known = {suite.name: suite for suite in SUITES}
    if ALL in names:
        return list(SUITES)
    if unknown := [name for name in names if name not in known]:
        raise ConfigError(no_such("There is no suite", unknown[0], known, otherwise=f", or {ALL}"))
    return [known[name] for name in dict.fromkeys(names)]
