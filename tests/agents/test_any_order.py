"""A question that leaves the order of a list open has no examples with one order."""

import pytest

from qwendesk.agents.checks.question_examples import find_examples

FUNCTIONS = {"pairs": ("numbers",)}
OPEN = [
    "You may return the answer in any order.",
    "The order does not matter.",
    "The order of the items doesn't matter.",
    "The order is irrelevant.",
    "Return them in no particular order.",
    "Return them regardless of order.",
    "The result is unordered.",
    "If there are many, return any of them.",
    "Die Ergebnisse in beliebiger Reihenfolge.",
    "Die Reihenfolge ist egal.",
    "Die Reihenfolge spielt keine Rolle.",
    "In willekeurige volgorde.",
    "De volgorde maakt niet uit.",
    "En cualquier orden.",
    "El orden no importa.",
    "Em qualquer ordem.",
    "A ordem não importa.",
    "In qualsiasi ordine.",
    "L'ordine non conta.",
    "Dans n'importe quel ordre.",
    "L'ordre n'a pas d'importance.",
    "В любом порядке.",
    "Порядок не важен.",
    "W dowolnej kolejności.",
    "Herhangi bir sırada.",
    "可以按任意顺序返回。",
    "顺序不限。",
    "順不同です。",
    "順序は問いません。",
    "순서는 상관없습니다.",
    "بأي ترتيب",
    "किसी भी क्रम में",
]


@pytest.mark.parametrize("sentence", OPEN)
def test_lists_are_no_examples_then(sentence: str) -> None:
    question = (
        f"{sentence}\n\nInput: [1, 2]\nOutput: [2, 1]\n\npairs([3]) == [3]\nassert pairs([4]) == [(4, 4)]\n"
        "assert pairs([5]) == list('5')\npairs([6]) == {'a': [6]}\n>>> pairs([7])\n(7,)\n"
    )
    assert find_examples(f"Write it.\n{question}", FUNCTIONS) == []


@pytest.mark.parametrize("sentence", OPEN[:3])
def test_other_values_are(sentence: str) -> None:
    question = f"{sentence}\npairs([1]) == 0, pairs([2]) == {{1, 2}}"
    assert [each.stated for each in find_examples(f"Write it.\n{question}", FUNCTIONS)] == [
        "pairs([1]) == 0",
        "pairs([2]) == {1, 2}",
    ]


@pytest.mark.parametrize(
    "sentence", ["Sort them in ascending order.", "Keep the order of the numbers.", "In umgekehrter Reihenfolge."]
)
def test_an_order_that_is_told_is_compared(sentence: str) -> None:
    question = f"{sentence}\npairs([2, 1]) == [1, 2]"
    assert [each.stated for each in find_examples(f"Write it.\n{question}", FUNCTIONS)] == ["pairs([2, 1]) == [1, 2]"]
