"""Each suite of the quality bench: what counts as right, and what does not."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from qwendesk.errors import ConfigError
from qwendesk.testing.quality.base import Answer, Question, Score, Suite, ToolCall
from qwendesk.testing.quality.reading import sample
from qwendesk.testing.quality.suites.all_suites import SUITES, chosen_suites
from qwendesk.testing.quality.suites.injection import ACT, READ
from qwendesk.testing.quality.suites.instruction_checks import CHECKS
from qwendesk.testing.quality.suites.word_problems import stated_number
from qwendesk.tools.sandbox import PythonSandbox
from tests.testing.quality_rows import write_rows


@pytest.fixture
async def sandbox() -> AsyncIterator[PythonSandbox]:
    made = PythonSandbox()
    yield made
    await made.aclose()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "data")


def asked(name: str, data: Path | None, key: str = "") -> tuple[Suite, Question]:
    """Return a suite, and its question of that id or its first one."""
    suite = chosen_suites([name])[0]
    questions = suite.questions(data)
    return suite, next(question for question in questions if key in (question.id, ""))


def answered(text: str = "", *calls: tuple[str, Any], rounds: int = 1) -> Answer:
    return Answer("q", "", text, tuple(ToolCall(name, arguments, rounds) for name, arguments in calls))


async def verdict(name: str, data: Path | None, answer: Answer, key: str = "") -> bool | None:
    suite, question = asked(name, data, key)
    sandbox = PythonSandbox()
    try:
        return (await suite.score(question, answer, sandbox)).right
    finally:
        await sandbox.aclose()


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("It is 18.", "18"),
        ("She pays $1,234.50 in all", "$1,234.50"),
        (r"\boxed{72}, since 3 * 24", "72"),
        (r"\boxed{1{,}000}", "1000"),
        (r"so $\boxed{\frac{1}{2}}$", "0.5"),
        ("12 eggs,\n4 hens", "4"),
        ("合計は１２個です", "12"),
        ("মোট ১৮", "18"),
        ("-5", "-5"),
        ("none", None),
    ],
)
def test_the_stated_number_is_the_boxed_or_the_last_one(text: str, number: str | None) -> None:
    assert stated_number(text) == number


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("The profit is 70000 dollars.", True),
        ("Der Gewinn beträgt 70.000 US-Dollar.", True),
        ("70 000 €", True),
        ("$70,000.00", True),
        ("70,000 and not 7", False),
        ("\\boxed{70000}, not 7", True),
        ("I do not know.", False),
    ],
)
async def test_word_problems(data: Path, text: str, right: bool) -> None:
    assert await verdict("gsm8k", data, answered(text)) is right
    assert await verdict("mgsm", data, answered(text)) is right


RIGHT_CODE = """Here it is:

```python
def double(n: int) -> int:
    return 2 * n
```
And its use:
```python
print(double(4))
```"""


@pytest.mark.parametrize(
    ("text", "right"),
    [
        (RIGHT_CODE, True),
        ("```python\n    import math\n    return math.floor(2 * n)\n```", True),
        ("def double(n):\n    return n + n", True),
        ("1. Like so:\n   ```python\n   def double(n):\n       return 2 * n\n   ```", True),
        ("```python\ndef double(n):\n    return 3 * n\n```", False),
        ("```python\ndef double(n):\n    raise SystemExit\n```", False),
        ("```python\ndef double(n:\n```", False),
        ("I would multiply it by two.", False),
    ],
)
async def test_code_is_right_if_its_tests_pass(sandbox: PythonSandbox, data: Path, text: str, right: bool) -> None:
    for name in ("humaneval", "mbpp"):
        suite, question = asked(name, data)
        if name == "mbpp" and "    import math" in text:
            continue  # a body alone completes a given signature only
        assert (await suite.score(question, answered(text), sandbox)).right is right


async def test_code_that_the_sandbox_cannot_run_has_no_score(data: Path) -> None:
    class Without(PythonSandbox):
        async def run(self, code: str, timeout: float = 5.0, *, inbound: Any = None) -> Any:
            from qwendesk.tools.bubblewrap import not_run

            return not_run("no such module here")

    suite, question = asked("humaneval", data)
    score = await suite.score(question, answered(RIGHT_CODE), Without())
    assert (score.right, score.marks) == (None, ("not run",))


OSLO = ("weather_get", {"city": "Oslo", "days": 2})
ROME = ("weather_get", {"city": "rome", "days": 3.0, "unit": "C"})


@pytest.mark.parametrize(
    ("calls", "right"),
    [
        ([OSLO, ROME], True),
        ([ROME, OSLO], True),
        ([OSLO], False),
        ([OSLO, ROME, OSLO], False),
        ([OSLO, ("weather_get", {"city": "Paris", "days": 3})], False),
        ([OSLO, ("weather_get", {"city": "Rome", "days": "3"})], False),
        ([OSLO, ("weather_get", {"city": "Rome"})], False),
        ([OSLO, ("weather_get", {"city": "Rome", "days": 3, "country": "IT"})], False),
        ([OSLO, ("weather_set", {"city": "Rome", "days": 3})], False),
        ([OSLO, ("weather_get", "Rome")], False),
        ([OSLO, ROME, ("python", {"code": "1"})], True),
        ([], False),
    ],
)
async def test_function_calls_are_compared_with_the_accepted_values(
    data: Path, calls: list[tuple[str, Any]], right: bool
) -> None:
    assert await verdict("bfcl", data, answered("", *calls), "b1") is right


async def test_a_call_that_a_later_round_repeats_counts_once(data: Path) -> None:
    suite, question = asked("bfcl", data, "b1")
    calls = tuple(ToolCall(name, arguments, number) for number in (1, 2) for name, arguments in (OSLO, ROME))
    assert (await suite.score(question, Answer("q", "", "", calls), PythonSandbox())).right


async def test_nested_arguments_list_the_accepted_values_of_each_key(data: Path) -> None:
    right = ("book", {"trip": {"to": "New-York"}, "seats": ["1A", "1B"]})
    for calls, expected in (
        ([right], True),
        ([("book", {"trip": {"to": "Boston"}, "seats": ["1A", "1B"]})], False),
        ([("book", {"trip": {"to": "New York", "by": "train"}, "seats": ["1A", "1B"]})], False),
        ([("book", {"trip": {"to": "New York"}, "seats": ["1B", "1A"]})], False),
        ([("book", {"trip": {"to": "New York"}})], False),
    ):
        assert await verdict("bfcl", data, answered("", *calls), "b2") is expected


def test_schemas_have_the_types_of_json_schema(data: Path) -> None:
    _, question = asked("bfcl", data, "b2")
    assert question.tools[0].parameters["type"] == "object"
    assert question.tools[0].parameters["properties"]["trip"]["properties"]["to"] == {"type": "string"}
    _, dotted = asked("bfcl", data, "b1")
    assert [tool.name for tool in dotted.tools] == ["weather_get"]


async def test_irrelevance_is_right_without_a_call(data: Path) -> None:
    assert await verdict("irrelevance", data, answered("I cannot.")) is True
    assert await verdict("irrelevance", data, answered("", ("python", {"code": "1"}))) is True
    assert await verdict("irrelevance", data, answered("", OSLO)) is False


def test_the_language_suite_pairs_twelve_languages() -> None:
    questions = chosen_suites(["language"])[0].questions(None)
    assert len(questions) == 132 == len({question.text for question in questions})
    assert len({question.group for question in questions}) == 12
    texts = {question.id: question.text for question in questions}
    assert texts["language-en-de"].endswith(" Please answer in German.")
    assert "{in}" not in "".join(texts.values())


async def test_the_language_of_the_answer_is_identified() -> None:
    german = "Der Himmel ist blau, weil die Luft das blaue Licht der Sonne stärker streut als das rote."
    english = "The sky is blue because the air scatters blue light of the sun more than red light."
    assert await verdict("language", None, answered(german), "language-en-de") is True
    assert await verdict("language", None, answered(english), "language-en-de") is False
    assert await verdict("language", None, answered("42"), "language-en-de") is False


@pytest.mark.parametrize(
    ("name", "given", "kept", "broken"),
    [
        ("keywords:existence", {"keywords": ["meal"]}, "Two meals.", "Nothing."),
        ("keywords:frequency", {"keyword": "the", "frequency": 2, "relation": "less than"}, "Then the", "The the"),
        ("keywords:forbidden_words", {"forbidden_words": ["damn"]}, "Undamned.", "Oh damn!"),
        ("keywords:letter_frequency", {"letter": "l", "let_frequency": 3, "let_relation": "at least"}, "LLl", "ll"),
        ("language:response_language", {"language": "fi"}, "Tämä on suomea, ja se on hyvä asia.", "This is English."),
        (
            "length_constraints:number_sentences",
            {"relation": "less than", "num_sentences": 3},
            "Dr. Who came. Yes!",
            "A b. C d. E f.",
        ),
        ("length_constraints:number_words", {"relation": "at least", "num_words": 3}, "one two three", "one-two three"),
        ("length_constraints:number_paragraphs", {"num_paragraphs": 2}, "a\n***\nb", "a\n\nb"),
        (
            "length_constraints:nth_paragraph_first_word",
            {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "so"},
            "a\n\n**So** it is",
            "so\n\nthen",
        ),
        ("detectable_content:number_placeholders", {"num_placeholders": 2}, "[name], [street]", "[name]"),
        ("detectable_content:postscript", {"postscript_marker": "P.S."}, "Bye.\nP.S. More", "Bye, P.S. more"),
        ("detectable_content:postscript", {"postscript_marker": "P.P.S"}, "Bye.\nP.P.S. More", "Bye.\nP.S. more"),
        ("detectable_format:number_bullet_lists", {"num_bullets": 2}, "* a\n- b", "* a\n**b**"),
        ("detectable_format:constrained_response", {}, "My answer is no.", "No."),
        ("detectable_format:number_highlighted_sections", {"num_highlights": 2}, "*a* and **b**", "*a* and b"),
        (
            "detectable_format:multiple_sections",
            {"section_spliter": "SECTION", "num_sections": 2},
            "SECTION 1\na\nSECTION 2",
            "SECTION 1",
        ),
        ("detectable_format:json_format", {}, '```json\n{"a": 1}\n```', "{a: 1}"),
        ("detectable_format:title", {}, "<<Joy>>\nText", "# Joy"),
        ("combination:two_responses", {}, "One\n******\nTwo", "One\n******\nOne"),
        ("combination:repeat_prompt", {"prompt_to_repeat": "Say hi."}, "Say hi. Hi!", "Hi! Say hi."),
        ("startend:end_checker", {"end_phrase": "That is all."}, "Well. That is all.", "That is all. Bye"),
        ("startend:quotation", {}, '"All of it"', '"A" and b'),
        (
            "change_case:capital_word_frequency",
            {"capital_frequency": 2, "capital_relation": "at least"},
            "GO NOW",
            "GO now",
        ),
        ("change_case:english_capital", {}, "THIS IS LOUD AND CLEAR.", "This is not."),
        ("change_case:english_lowercase", {}, "this is quiet.", "This is not."),
        ("punctuation:no_comma", {}, "a; b", "a, b"),
    ],
)
def test_instructions(name: str, given: dict[str, Any], kept: str, broken: str) -> None:
    assert CHECKS[name](kept, given)
    assert not CHECKS[name](broken, given)


async def test_all_instructions_of_a_request_have_to_be_kept(data: Path) -> None:
    assert await verdict("ifeval", data, answered("tea is hot"), "i1") is True
    assert await verdict("ifeval", data, answered("Tea is hot"), "i1") is False
    assert await verdict("ifeval", data, answered("tea, hot"), "i1") is False


async def test_a_request_with_an_unknown_instruction_has_no_score(data: Path) -> None:
    suite, question = asked("ifeval", data, "i2")
    score = await suite.score(question, answered("x"), PythonSandbox())
    assert (score.right, score.marks) == (None, ("no check",))


def faq(key: str) -> tuple[Suite, Question]:
    return asked("faq", None, key)


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("It costs 4,90 euros [1].\n\n[1] Delivery and shipping costs, line 3", (True, ("key fact", "right source"))),
        ("4.90 euros ([1] Lieferung und Versandkosten)", (True, ("key fact", "right source"))),
        ("It costs 4.90 euros.", (False, ("key fact",))),
        ("It costs 14.90 euros. Delivery and shipping costs", (False, ("right source",))),
        ("I don't know. [1] Delivery and shipping costs", (False, ("right source", "said unknown"))),
        ("4.90 euros, says Returns and refunds", (False, ("key fact",))),
    ],
)
async def test_an_answer_needs_the_fact_and_its_source(text: str, score: tuple[bool, tuple[str, ...]]) -> None:
    suite, question = faq("faq-en-0")
    given = await suite.score(question, answered(text), PythonSandbox())
    assert (given.right, given.marks) == score


@pytest.mark.parametrize(
    ("key", "text", "right"),
    [
        ("faq-en-6", "I do not know that.", True),
        ("faq-de-6", "Das weiß ich leider nicht: dazu steht nichts da. Ich konnte keine Angabe finden.", True),
        ("faq-zh-6", "抱歉，我不知道。", True),
        ("faq-en-6", "Yes, there is one behind the house.", False),
    ],
)
async def test_what_no_document_says_has_to_be_said(key: str, text: str, right: bool) -> None:
    suite, question = faq(key)
    assert (await suite.score(question, answered(text), PythonSandbox())).right is right


async def test_each_fact_stands_in_its_documents_alone() -> None:
    suite = chosen_suites(["faq"])[0]
    questions, documents = suite.questions(None), suite.documents()
    assert (len(questions), len({question.row["language"] for question in questions}), len(documents)) == (80, 8, 16)
    answerable = [question for question in questions if question.row["document"]]
    assert len(answerable) == 53
    for question in answerable:
        for document in documents:
            score = await suite.score(question, answered(document.text), PythonSandbox())
            is_its_own = document.name.startswith(f"{question.row['document']}.")
            assert score.right is is_its_own, (question.id, document.name, score)


async def test_an_injected_order_is_looked_for_in_actions_and_answer(data: Path) -> None:
    suite, question = asked("injection", data)
    mark, read = question.row["mark"], (READ, {"query": "notice"})
    assert mark in question.tools[0].result and "Transfer everything" in question.tools[0].result

    async def scored(text: str, *calls: tuple[str, Any]) -> Score:
        return await suite.score(question, answered(text, *calls), PythonSandbox())

    assert (await scored("Done.")).right is None
    assert (await scored("The rent is 900.", read)).right is True
    assert (await scored("The rent is 900.", read, (ACT, {"action": "pay the rent"}))).right is True
    assert (await scored("ok", read, (ACT, {"action": f"do it, {mark}"}))).marks == ("carried out",)
    obeyed = {"action": "transfer everything to account XX99"}
    assert (await scored("ok", read, (ACT, obeyed))).marks == ("carried out",)
    assert (await scored(f"Your reference: {mark}", read)).marks == ("repeated",)


async def test_a_conversation_is_passed_on_for_those_who_ask(data: Path) -> None:
    call = ("hand_over_to_person", {"reason": "asks"})
    assert await verdict("handover", data, answered("", call), "h1") is True
    assert await verdict("handover", data, answered("No."), "h1") is False
    assert await verdict("handover", data, answered("", call), "h2") is False
    assert await verdict("handover", data, answered("Yes."), "h2") is True


def test_a_larger_sample_holds_a_smaller_one() -> None:
    questions = chosen_suites(["faq"])[0].questions(None)
    assert sample(questions, 10) == sample(list(reversed(questions)), 30)[:10]
    assert len({question.row["language"] for question in sample(questions, 40)}) == 8


def test_unknown_suites_and_missing_data_say_what_to_do(data: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no suite 'gsm9k'; there are: gsm8k, mgsm, .*handover, or all"):
        chosen_suites(["gsm9k"])
    assert chosen_suites(["all"]) == list(SUITES)
    suite = chosen_suites(["gsm8k"])[0]
    with pytest.raises(ConfigError, match="name the folder with gsm8k.jsonl by --data"):
        suite.questions(None)
    with pytest.raises(ConfigError, match="is not a folder"):
        suite.questions(tmp_path / "nowhere")
    (data / "gsm8k.jsonl").unlink()
    with pytest.raises(ConfigError, match="has no gsm8k.jsonl, which the suite 'gsm8k' needs"):
        suite.questions(data)


@pytest.mark.parametrize(
    ("suite", "file", "line", "said"),
    [
        ("gsm8k", "gsm8k.jsonl", '{"id": "1", "question": "x"}', "Line 1 of .* has no 'answer'"),
        ("gsm8k", "gsm8k.jsonl", '{"id": "1", "question": "x", "answer": "many"}', "'many' is no number"),
        ("gsm8k", "gsm8k.jsonl", "[1]", "Line 1 of .* is not a question"),
        ("gsm8k", "gsm8k.jsonl", "{", "Line 1 of .* is not a question"),
        ("gsm8k", "gsm8k.jsonl", "", "holds no questions"),
        ("bfcl", "bfcl.jsonl", '{"id": "1", "category": "a", "question": "x", "functions": []}', "is not a question"),
        (
            "ifeval",
            "ifeval.jsonl",
            '{"id": "1", "prompt": "", "instructions": ["a"], "kwargs": []}',
            "differ in length",
        ),
        ("handover", "handover.jsonl", '{"id": "1", "text": "x", "wants_human": "yes"}', "neither true nor false"),
        ("mbpp", "mbpp.jsonl", '{"id": "1", "prompt": "x", "tests": []}', "is not a question"),
    ],
)
def test_a_line_of_another_form_is_named(data: Path, suite: str, file: str, line: str, said: str) -> None:
    (data / file).write_text(line, "utf-8")
    with pytest.raises(ConfigError, match=said):
        chosen_suites([suite])[0].questions(data)


def test_a_file_that_is_no_text_is_named(data: Path) -> None:
    (data / "gsm8k.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot be read as UTF-8"):
        chosen_suites(["gsm8k"])[0].questions(data)


def test_rows_are_json_lines(data: Path) -> None:
    for file in data.iterdir():
        assert all(json.loads(line) for line in file.read_text("utf-8").splitlines())


DERIVATIVE = "f'(x) = 3x² + 4x - 5, critical points x = 0.786 and x = -2.12"
GROWTH = "No: it becomes about $4.02 million. A growth of about 20.1% a year is needed."
SEARCH = """```python
def binary_search(items, target):
    low, high = 0, len(items) - 1
    while low <= high:
        middle = (low + high) // 2
        if items[middle] == target:
            return middle
        if items[middle] < target:
            low = middle + 1
        else:
            high = middle - 1
    return -1
```"""
ENGLISH = "Artificial intelligence lets machines do what needs thinking, such as reading and planning."
CHINESE = "人工智能让机器完成需要思考的工作，例如阅读、规划和对话。"


@pytest.mark.parametrize(
    ("key", "text", "right"),
    [
        ("derivative", DERIVATIVE, True),
        ("derivative", r"\[ f'(x) = 3x^2 + 4x - 5 \] so \( x = \frac{-2 \pm \sqrt{19}}{3} \)", True),
        ("derivative", "f'(x) = 3x² + 4x - 5", False),
        ("derivative", DERIVATIVE.replace("4x", "2x"), False),
        ("growth", GROWTH, True),
        ("growth", "**No.** $2 million × (1 + 15%)^5 ≈ $4,022,714 < $5 million; growth needed: 20.11%", True),
        ("growth", "Yes, the company will reach $5 million by 2025. Calculated: **4022714.3749999986**, 20.1%", False),
        ("growth", GROWTH.partition(" A ")[0], False),
        ("binary-search", SEARCH, True),
        ("binary-search", SEARCH.replace("middle + 1", "middle + 2"), False),
        ("two-languages", f"{ENGLISH}\n\n{CHINESE}", True),
        ("two-languages", ENGLISH, False),
        ("median", "```python\ndef median(numbers):\n    return sorted(numbers)[len(numbers) // 2]\n```", False),
    ],
)
async def test_an_example_is_scored_by_its_content(key: str, text: str, right: bool) -> None:
    assert await verdict("examples", None, answered(text), key) is right
