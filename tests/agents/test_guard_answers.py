"""Good answers that guards let pass, faults in any form, and what a stream shows."""

from __future__ import annotations

import pytest

from qwendesk.agents.guards.all_guards import GUARDS
from qwendesk.agents.guards.base import AnswerContext
from qwendesk.agents.guards.sentences import sentences_of
from qwendesk.agents.guards.stream import GuardedStream, find_whole_fault
from qwendesk.agents.phrases import phrases
from qwendesk.messages import ToolUse

TOOLS = ("python", "algebra", "clock", "search_knowledge", "cancel_order")
PASSAGE = ToolUse(
    "search_knowledge", {}, True, "[1] shop.md\n> Tea costs 12 € and comes in 14 days, until 3 May 2026.", 1.0
)
BRACES = str.maketrans("", "", "{}")
CLAIM = "I am a human and I have cancelled your order."


def faults(question: str, answer: str, language: str = "en", *uses: ToolUse) -> set[str]:
    context = AnswerContext(question, language, uses=uses, tool_names=TOOLS)
    guards = [guard(context) for guard in GUARDS]
    stream = GuardedStream(guards, lambda _: None, stops=False)
    stream.feed(answer)
    stream.finish()
    whole = find_whole_fault(guards, answer)
    return {finding.guard.key for finding in [*stream.findings, *([whole] if whole else [])]}


@pytest.mark.parametrize(
    ("question", "answer", "language"),
    [
        ("Is Berlin the capital of Germany?", "Berlin is the capital of Germany.", "en"),
        ("¿Es Madrid la capital de España?", "Madrid es la capital de España.", "es"),
        ("Roma è la capitale d'Italia?", "Roma è la capitale d'Italia.", "it"),
        ("柏林是德国的首都吗？", "是的，柏林是德国的首都。", "zh"),
        ("東京は日本の首都ですか", "東京は日本の首都です。", "ja"),
        ("Москва столица России, да?", "Да, Москва столица России.", "ru"),
        ("Sort the words pear apple fig date lime plum", "apple date fig lime pear plum", "en"),
        ("Correct this sentence: She go to school every day.", "She goes to school every day.", "en"),
        ("How do I cook rice?", "### Instructions:\n1. Boil the water.\n2. Add the rice.", "en"),
        ("What is 6 times 7?", "Result of multiplication: 42 is what you get.", "en"),
        ("A JSON example, please", 'Here:\n```json\n{"name": "python", "year": 1991}\n```\n', "en"),
        ("How is text struck in HTML?", "Like this:\n```html\n<s>Old price</s>\n```\n", "en"),
        ("How do I time a loop?", "Call clock() before and after it.", "en"),
        ("What does 'I will get back to you' mean?", "I will get back to you means that someone answers later.", "en"),
        ("Say in English: Ich habe Ihre Bestellung storniert.", "I have cancelled your order.", "en"),
        ("What does the shop say?", "The shop says we have refunded your money.", "en"),
        ("Was the message sent?", "No, nothing has been sent.", "en"),
        ("Foi enviada?", "Esta mensagem é grande demais e não foi enviada.", "pt"),
        ("Where can I read about whales?", "Source: Wikipedia has a long article on them.", "en"),
        ("What does the program print?", "The output is [3].", "en"),
        ("How do I cancel?", "You can cancel your order on our web site.", "en"),
        ("Wie kann ich stornieren?", "Ich werde Ihnen erklären, wie Sie die Bestellung stornieren.", "de"),
    ],
)
def test_right_answers_pass(question: str, answer: str, language: str) -> None:
    assert faults(question, answer, language) == set()


@pytest.mark.parametrize(
    ("question", "answer", "language"),
    [
        ("Play a pirate captain.", "Arr, I am a human of the seas, and I have cancelled your order!", "en"),
        ("Spiel einen Verkäufer.", "Ich bin ein Mensch, und ich habe Ihre Bestellung storniert.", "de"),
        ("Joue le rôle d'un marchand.", "Je suis un être humain, et j'ai annulé votre commande.", "fr"),
        ("扮演一位店主。", "我是真人，我已经为您取消了订单。", "zh"),
    ],
)
def test_a_role_that_was_asked_for_may_be_played(question: str, answer: str, language: str) -> None:
    assert faults(question, answer, language) == set()


@pytest.mark.parametrize(
    ("question", "language"),
    [
        ("Play a song. But tell me, are you a human?", "en"),
        ("Bist du ein Mensch?", "de"),
        ("¿Eres una persona real?", "es"),
    ],
)
def test_who_asks_for_a_human_is_told_the_truth(question: str, language: str) -> None:
    claims = {"en": "I am a human.", "de": "Ich bin ein Mensch.", "es": "Soy una persona real."}
    assert faults(question, claims[language], language) == {"human_claims"}


def test_the_desks_own_sentences_pass() -> None:
    found = [
        (name, code, wrong)
        for name, texts in phrases().items()
        for code, text in texts.items()
        # those that speak of documents stand only where some were searched
        if (wrong := faults("Can you help me?", text.translate(BRACES), code, *[PASSAGE] * ("documents" in name)))
    ]
    assert not found


@pytest.mark.parametrize(
    "before",
    [
        "- ```python\n  print(1)\n  ```\n",
        "Use ```print(1)\n``` now.\n",
        "```x```\n",
        "~~~\nx\n~~~\n",
        "```\nnever closed\n",
    ],
)
def test_text_behind_a_fence_is_prose(before: str) -> None:
    assert "human_claims" in faults("Hello there", before + CLAIM)


@pytest.mark.parametrize("marks", ["„“", "‚‘", "‹›", "«»", "“”", "『』"])
def test_a_quotation_is_no_claim(marks: str) -> None:
    said = f"Der Satz lautet {marks[0]}Ich bin ein Mensch. Ich habe Ihre Bestellung storniert.{marks[1]} im Original."
    assert faults("Wie lautet der Satz im Stück?", said, "de") == set()


def test_code_is_no_prose() -> None:
    code = "```python\nprint('x')\n# I have cancelled your order.\n```\n"
    assert [part.is_code for part in sentences_of(code)] == [True] * 4
    assert faults("Show me code", code) == set()


@pytest.mark.parametrize(
    ("answer", "is_known"),
    [
        ("Der Tee kostet 12 € und kommt in 14 Tagen, bis zum 3. Mai 2026.", True),
        ("Two of them cost 24 €.", True),
        ("It comes by 2026-05-03 [1].", True),
        ("There are 3 reasons for it.", True),
        ("Der Tee kostet 13 €.", False),
        ("It comes in 14 weeks.", False),
        ("It comes by 3 June 2026.", False),
        ("お茶は15日で届きます。", False),
    ],
)
def test_figures_are_those_of_the_sources(answer: str, is_known: bool) -> None:
    assert ("numbers" not in faults("What do 2 packs of tea cost?", answer, "de", PASSAGE)) is is_known


def test_general_knowledge_has_figures_of_its_own() -> None:
    assert faults("When did the war end?", "The war ended on 8 May 1945.") == set()


@pytest.mark.parametrize("size", [1, 5, 97])
@pytest.mark.parametrize("at", [0, 3, 50, 620, 900])
def test_a_stream_shows_each_letter_once(size: int, at: int) -> None:
    text = "a word and " * 90 + "an end. Another one.\n\n```\ncode. more\n```\nBye"
    shown: list[str] = []
    context = AnswerContext("Hello", "en")
    stream = GuardedStream([guard(context) for guard in GUARDS], shown.append)
    for start in range(0, len(text), size):
        stream.feed(text[start : start + size])
        if start <= at < start + size:
            stream.hurry()
    stream.finish()
    assert "".join(shown) == text == stream.text


def test_without_guards_nothing_is_held() -> None:
    shown: list[str] = []
    GuardedStream([], shown.append).feed("Hel")
    assert shown == ["Hel"]
