"""A question that reports a fault states wrong values, which are no examples of the function."""

import pytest

from qwendesk.agents.checks.question_examples import find_examples

FUNCTIONS = {"add": ("a", "b")}
REPORTS = [
    "My function add(2, 2) returns 5. It should return 4. Fix it.",
    "add(2, 2) gives 5, expected 4",
    "add(2, 2) returns 5, but it should return 4",
    "add(2, 2) = 5 (should be 4)",
    "add(2, 2) returns 5 (wrong)",
    "Why is add(2, 2) == 5 and not 4?",
    "add(2, 2) -> 5\nwanted: 4",
    ">>> add(2, 2)\n5\n\nI expect 4.",
    ">>> add(2, 2)\n5\n\nIt should be 4.",
    "assert add(2, 2) == 5  # this fails, should be 4",
    "assert add(2, 2) == 5\n\nThat must be 4.",
    "add(2, 2) == 5, not 4.",
    "I get add(2, 2) = 5 and do not see the reason.",
    "add(2, 2) returns 5. Where is the mistake?",
    "The code is supposed to add. add(2, 2) is 5.",
    "add(2, 2) currently returns 5.",
    "Input: a = 2, b = 2\nOutput: 5\nExpected: 4",
    "Meine Funktion add(2, 2) gibt 5 zurück. Sie soll 4 liefern.",
    "add(2, 2) liefert 5, aber richtig ist 4",
    "Warum gibt es hier 5? add(2, 2) gibt 5 zurück",
    "add(2, 2) gibt 5 zurück. Bitte den Fehler beheben.",
    "add(2, 2) devuelve 5, pero es 4",
    "add(2, 2) devuelve 5. ¿Por qué?",
    "add(2, 2) retorna 5, mas é 4",
    "add(2, 2) renvoie 5, mais c'est 4",
    "add(2, 2) renvoie 5. Attendu : 4.",
    "add(2, 2) restituisce 5, invece di 4",
    "add(2, 2) = 5, maar het moet 4 zijn",
    "add(2, 2) возвращает 5. Исправьте ошибку.",
    "add(2, 2) = 5, zamiast 4",
    "add(2, 2) = 5. Neden?",
    "add(2, 2) 返回 5，应该是 4",
    "为什么 add(2, 2) 返回 5？\nadd(2, 2) = 5",
    "add(2, 2) == 5。なぜ4にならないのですか",
    "add(2, 2) == 5. 왜 4가 아닌가요?",
    "add(2, 2) == 5. لماذا؟",
    "add(2, 2) == 5. क्यों?",
]


@pytest.mark.parametrize("question", REPORTS)
def test_the_wrong_value_of_a_report_is_no_example(question: str) -> None:
    assert find_examples(f"Write it.\n{question}", FUNCTIONS) == []


@pytest.mark.parametrize(
    "question",
    [
        "Fix it: add(2, 2) should return 4 but returns 5.",
        "add(2, 2) returns 5, add(2, 2) should return 4 instead.",
        "add(2, 2): expected 4, got 5",
        "add(2, 2) sollte 4 ergeben, aber es kommt 5 heraus.",
        "add(2, 2) debería devolver 4 pero devuelve 5",
        "add(2, 2) deveria retornar 4, mas retorna 5",
        "add(2, 2) devrait renvoyer 4 mais renvoie 5",
        "add(2, 2) dovrebbe restituire 4 ma restituisce 5",
        "add(2, 2) должна вернуть 4, но возвращает 5",
        "add(2, 2) 应该返回 4，但返回 5",
    ],
)
def test_the_value_that_a_call_has_to_have_is_an_example(question: str) -> None:
    assert [each.stated for each in find_examples(f"Write it.\n{question}", FUNCTIONS)] == ["add(2, 2) == 4"]


@pytest.mark.parametrize(
    "question",
    [
        "The function should return the sum of two numbers, but may not use the plus sign.\n\n>>> add(2, 2)\n4\n",
        "Write add, which must not use `+`.\n\nassert add(2, 2) == 4",
        "You should write add. For example:\nadd(2, 2) == 4",
    ],
)
def test_a_description_may_have_such_words_away_from_its_examples(question: str) -> None:
    assert [each.stated for each in find_examples(f"Write it.\n{question}", FUNCTIONS)] == ["add(2, 2) == 4"]


@pytest.mark.parametrize("question", ["add(2, 2) == 1, 2", "add(2, 2) returns 1, -2", "add(2, 2) -> 'a', None"])
def test_literals_with_commas_have_two_readings(question: str) -> None:
    assert find_examples(f"Write it.\n{question}", FUNCTIONS) == []


@pytest.mark.parametrize(
    "question",
    [
        "Can you spot the problem? add(2, 2) returns 5.",
        "add(2, 2) returns 5. What am I doing wrong?",
        "I have this function and add(2, 2) returns 5 every time, help!",
        "There's an off-by-one error: add(2, 2) == 5",
        "Something is off here: add(2, 2) -> 5",
        "add(2, 2) returns 5 when it ought to return 4",
        "For some reason add(2, 2) gives 5.",
        "add(2, 2) outputs 5. The right answer is 4.",
        "add(2, 2) = 5, which makes no sense",
        ">>> add(2, 2)\n5\n\nThat's not right.",
        "assert add(2, 2) == 5\n\nThis passes although it must not.",
        "Please repair this function, add(2, 2) is 5.",
        "Debug this: add(2, 2) => 5",
        "After the last change add(2, 2) returns 5.",
        "add(2, 2) returns 5; it used to return 4",
        "Was stimmt hier nicht? add(2, 2) gibt 5 zurück",
        "add(2, 2) gibt 5 zurück, obwohl 2 + 2 = 4 ist",
        "Mi función no funciona: add(2, 2) devuelve 5",
        "¿Qué está mal? add(2, 2) devuelve 5",
        "Ma fonction ne marche pas : add(2, 2) renvoie 5",
        "Il y a un problème, add(2, 2) renvoie 5",
        "La mia funzione non va: add(2, 2) restituisce 5",
        "Моя функция не работает: add(2, 2) возвращает 5",
        "我的函数有问题，add(2, 2) 返回 5",
        "哪里出错了？add(2, 2) 返回 5",
        "add(2, 2) == 5 になってしまいます。",
        "결과가 이상해요: add(2, 2) == 5",
        "Fonksiyonum çalışmıyor: add(2, 2) = 5",
        "Moja funkcja nie działa: add(2, 2) = 5",
        "Minha função não funciona: add(2, 2) retorna 5",
    ],
)
def test_a_question_that_asks_for_no_new_code_has_no_examples(question: str) -> None:
    assert find_examples(question, FUNCTIONS) == []
