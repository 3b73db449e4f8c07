"""The numbers of an answer to a word problem: those that it calculates with, and the one that it concludes with."""

import pytest

from qwendesk.agents.checks.conclusion import correct_conclusion
from qwendesk.agents.checks.final_answer import fill_boxes
from qwendesk.agents.checks.operands import compare_operands
from qwendesk.agents.nodes.vote import PROGRAM
from qwendesk.messages import Role
from tests.conftest import MakeDesk

SHEEP = "A farmer has 17 sheep and buys 23 more. Each sheep eats 3 kg of hay a day. How much hay do they eat in a week?"


@pytest.mark.parametrize(
    ("question", "language", "answer"),
    [
        (SHEEP, "en", "17 + 23 = 40 sheep. 40 * 3 = 120 kg a day. 120 * 7 = 840 kg."),
        ("A pack of 24 costs $18.60 with 15% off. What was the price?", "en", "18.60 / 0.85 = 21.88"),
        ("A pack of 24 costs $18.60 before 15% off. What is it now?", "en", "18.60 * (1 - 0.15) = 15.81"),
        ("A film lasts 2 hours. Each ad lasts 8 minutes. How many fit in?", "en", "2 * 60 = 120, and 120 / 8 = 15"),
        ("A dozen eggs cost twenty-five cents, 36 eggs cost how much?", "en", "36 / 12 = 3, so 3 * 25 = 75 cents"),
        ("Anna hat 1.500 Äpfel und verkauft 350 davon. Wie viele bleiben?", "de", "1500 - 350 = 1150 Äpfel"),
        ("Un train roule à 96,5 km/h pendant 4 heures. Quelle distance ?", "fr", "96,5 × 4 = 386 km"),
        ("У Маши двадцать пять яблок и ещё 18 груш, сколько всего?", "ru", "25 + 18 = 43"),
        ("小明有18个苹果，小红的苹果是他的3倍，两人一共有多少个？", "zh", "18 × 3 = 54，54 + 18 = 72"),
        ("りんごが24個あり、6人で分けます。一人いくつですか。", "ja", "24 ÷ 6 = 4"),
        ("لدى أحمد ٤٥ تفاحة وأعطى ١٩ منها لصديقه، كم بقي؟", "ar", "٤٥ - ١٩ = ٢٦"),
        ("The sum of two numbers is 57, one is 13 more. Which?", "en", "2x + 13 = 57\n2x = 44\nx = 44 / 2 = 22"),
        ("A rope of 100 m is cut in 3 parts, then 18 m are sold.", "en", "100 / 3 = 33.33 and 33.33 - 18 = 15.33"),
        ("A tank holds 40 litres, 5 are used by 12 pm.", "en", "4 * 60 / 5 = 4 * 12 = 48"),
    ],
)
def test_numbers_of_the_question_and_of_earlier_steps_are_known(question: str, language: str, answer: str) -> None:
    compared = compare_operands(answer, question, language)
    assert compared is not None and compared.number and not compared.strange


@pytest.mark.parametrize(
    ("answer", "strange"),
    [
        ("17 + 23 = 40 sheep. 40 * 5 = 200 kg a day.", ("5",)),
        ("17 + 29 = 46 sheep.", ("29",)),
        ("17 + 23 = 40. 45 * 3 = 135. 135 * 7 = 945.", ("45",)),
        (r"\[ \frac{17 + 23}{8} = 5 \]", ("8",)),
        ("17 + 23 = 40, and 40 × 3 × 365 × 19 = 832,200", ("19",)),
    ],
)
def test_numbers_from_nowhere_are_found(answer: str, strange: tuple[str, ...]) -> None:
    compared = compare_operands(answer, SHEEP, "en")
    assert compared is not None and compared.strange == strange


def test_numbers_that_code_calculates_are_not_compared() -> None:
    assert compare_operands("```python\nprint(17 + 23)\n```\nSo 39 * 5 = 195.", SHEEP, "en") is None


@pytest.mark.parametrize(
    ("language", "question", "answer"),
    [
        ("de", "Ein Zug fährt 84 km in der Stunde. Wie weit kommt er in 5 Stunden?", "84 * 6 = 504 km"),
        ("es", "Un tren recorre 84 km cada hora. ¿Qué distancia recorre en 5 horas?", "84 * 6 = 504 km"),
        ("zh", "一列火车每小时行驶84公里，5小时一共行驶多少公里？请算一算。", "84 × 6 = 504"),
        ("ar", "يسير قطار سريع 84 كيلومترا في الساعة الواحدة. كم يسير في 5 ساعات؟", "84 × 6 = 504"),
    ],
)
async def test_a_number_from_nowhere_is_tried_again_and_then_marked(
    language: str, question: str, answer: str, make_desk: MakeDesk
) -> None:
    async with make_desk([answer, answer]) as desk:
        reply = await desk.ask(question, role="math")
    assert answer in reply.text and "⚠" in reply.text.partition(answer)[2] and "6" in reply.text.partition("⚠")[2]
    assert reply.receipt.language == language and "6" in (reply.receipt.escalation or "")


async def test_a_second_try_with_the_own_numbers_stands_alone(make_desk: MakeDesk) -> None:
    async with make_desk(["40 * 5 = 200 kg.", "17 + 23 = 40. 40 * 3 = 120. 120 * 7 = 840 kg."]) as desk:
        reply = await desk.ask(SHEEP, role="math")
    assert reply.text.endswith("840 kg.") and "⚠" not in reply.text


CONCLUSIONS = [
    ("en", "12 * 4 = 48. 48 + 5 = 53.\nThe answer is 58.", "12 * 4 = 48. 48 + 5 = 53.\nThe answer is 53."),
    (
        "en",
        r"12 * 400 = 4,800. So it costs \(\boxed{\$4,900}\).",
        r"12 * 400 = 4,800. So it costs \(\boxed{\$4,800}\).",
    ),
    ("en", "12 * 4 = 48\n\n**50 apples**", "12 * 4 = 48\n\n**48 apples**"),
    ("en", "12 * 4 = 48\n#### 49", "12 * 4 = 48\n#### 48"),
    ("en", "12 * 4 = 48. 48 / 2 = 24. The answer is 48.", "12 * 4 = 48. 48 / 2 = 24. The answer is 24."),
    ("en", "12 * 4 = 48 apples. So he has 46 apples.", "12 * 4 = 48 apples. So he has 48 apples."),
    ("de", "12 * 1.500,50 = 18.006.\nDie Antwort ist 18.060 €.", "12 * 1.500,50 = 18.006.\nDie Antwort ist 18.006 €."),
    ("fr", "12 × 4,5 = 54.\nDonc le résultat est 56 euros.", "12 × 4,5 = 54.\nDonc le résultat est 54 euros."),
    ("es", "12 × 4 = 48.\nPor lo tanto, la respuesta es 46.", "12 × 4 = 48.\nPor lo tanto, la respuesta es 48."),
    ("pt", "12 × 4 = 48.\nPortanto, a resposta é 46.", "12 × 4 = 48.\nPortanto, a resposta é 48."),
    ("it", "12 × 4 = 48.\nQuindi la risposta è 46.", "12 × 4 = 48.\nQuindi la risposta è 48."),
    ("ru", "12 × 4 = 48.\nОтвет: 46 яблок.", "12 × 4 = 48.\nОтвет: 48 яблок."),
    ("pl", "12 × 4 = 48.\nOdpowiedź: 46 jabłek.", "12 × 4 = 48.\nOdpowiedź: 48 jabłek."),
    ("tr", "12 × 4 = 48.\nCevap 46 elmadır.", "12 × 4 = 48.\nCevap 48 elmadır."),
    ("zh", "12 × 4 = 48。所以答案是46个。", "12 × 4 = 48。所以答案是48个。"),
    ("ja", "12 × 4 = 48。答えは46個です。", "12 × 4 = 48。答えは48個です。"),
    ("ko", "12 × 4 = 48. 따라서 답은 46개입니다.", "12 × 4 = 48. 따라서 답은 48개입니다."),
    ("ar", "١٢ × ٤ = ٤٨.\nالإجابة هي ٤٦.", "١٢ × ٤ = ٤٨.\nالإجابة هي ٤٨."),
    ("hi", "12 × 4 = 48।\nउत्तर 46 है।", "12 × 4 = 48।\nउत्तर 48 है।"),
]


@pytest.mark.parametrize(("language", "answer", "corrected"), CONCLUSIONS)
def test_a_conclusion_is_the_last_result(language: str, answer: str, corrected: str) -> None:
    assert correct_conclusion(answer, "", language) == (corrected, True)
    assert correct_conclusion(corrected, "", language) == (corrected, True)


@pytest.mark.parametrize(
    ("box", "corrected"),
    [
        (r"\boxed{46 \text{ apples}}", r"\boxed{48 \text{ apples}}"),
        (r"\boxed{\text{46 apples}}", r"\boxed{\text{48 apples}}"),
        (r"\boxed{46\%}", r"\boxed{48\%}"),
        (r"\boxed{46^\circ}", r"\boxed{48^\circ}"),
        (r"\boxed{46 \, \mathrm{cm}^2}", r"\boxed{48 \, \mathrm{cm}^2}"),
        (r"\boxed{46 km/h}", r"\boxed{48 km/h}"),
        (r"\boxed{x = 46}", r"\boxed{x = 48}"),
        (r"\boxed{-46}", r"\boxed{48}"),
        (r"\boxed{46元}", r"\boxed{48元}"),
        (r"\boxed{٤٦}", r"\boxed{٤٨}"),
        (r"$$\boxed{4{,}600}$$", r"$$\boxed{48}$$"),
        (r"\boxed{46x}", r"\boxed{46x}"),
        (r"\boxed{46\pi}", r"\boxed{46\pi}"),
        (r"\boxed{46\sqrt{2}}", r"\boxed{46\sqrt{2}}"),
        (r"\boxed{46/2}", r"\boxed{46/2}"),
        (r"\boxed{46!}", r"\boxed{46!}"),
        (r"\boxed{4.6 \times 10^1}", r"\boxed{4.6 \times 10^1}"),
        (r"\boxed{4 \text{ hours and } 6 \text{ minutes}}", r"\boxed{4 \text{ hours and } 6 \text{ minutes}}"),
        (r"\boxed{\text{no}}", r"\boxed{\text{no}}"),
    ],
)
def test_a_box_keeps_its_unit(box: str, corrected: str) -> None:
    answer, right = (f"12 * 4 = 48.\nTherefore the answer is {one}." for one in (box, corrected))
    assert correct_conclusion(answer, "", "en") == (right, True)


@pytest.mark.parametrize(
    ("answer", "filled"),
    [
        (r"3 * 4 = 12 km, so \boxed{\text{ km}}", r"3 * 4 = 12 km, so \boxed{12\text{ km}}"),
        (r"3 * 4 = 12 so the final answer is: \[ \boxed{} \]", r"3 * 4 = 12 so the final answer is: \[ \boxed{12} \]"),
        (r"3 * 4 = 12. \boxed{\,\text{cm}^2}", r"3 * 4 = 12. \boxed{12\,\text{cm}^2}"),
        (r"3 * 4 = 12。所以答案是 \boxed{}", r"3 * 4 = 12。所以答案是 \boxed{12}"),
        (r"3 * 4 = 12. Die Antwort ist \boxed{ }", r"3 * 4 = 12. Die Antwort ist \boxed{12}"),
        (r"3 * 4 = 12. La respuesta es \boxed{}", r"3 * 4 = 12. La respuesta es \boxed{12}"),
        (r"3 * 4 = 12. So \boxed{\text{yes}}", r"3 * 4 = 12. So \boxed{\text{yes}}"),
        (r"3 * 4 = 12. So \boxed{\text{no solution}}", r"3 * 4 = 12. So \boxed{\text{no solution}}"),
        (r"3 * 4 = 12. \boxed{\text{A}}", r"3 * 4 = 12. \boxed{\text{A}}"),
        (r"3 * 4 = 12. This is wrong: \boxed{}", "3 * 4 = 12. This is wrong: "),
    ],
)
def test_an_empty_box_is_filled_and_a_word_is_no_unit(answer: str, filled: str) -> None:
    assert fill_boxes(answer) == filled


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("", "90 * 4 = 360 minutes. The answer is 6 hours."),
        ("", "2 * 1234 = 2468 m. The answer is 2.468 km."),
        ("", "7 * 35 = 245 cents. The answer is $2.45."),
        ("", "40 / 250 = 0.16. The answer is 16%."),
        ("", "2,000,000 * 2.0113571875 = 4,022,714.375. The answer is $4.02 million."),
        ("", "45 / 12 = 3.75. The answer is 4 buses."),
        ("", "100 / 3 = 33.333. The answer is about 33.3."),
        ("", "20 - 50 = -30. The answer is a loss of $30."),
        ("", "12 * 4 = 48. Check: 48 / 4 = 12. The answer is 48."),
        ("", "12 * 4 = 48. Half of them are red, so the answer is 24."),
        ("", "12 * 4 = 48. He gets 10% off, so the answer is 43.2."),
        ("", "3 * 4 = 12 and 2 * (3 + 4) = 14. The answer is 12 and 14."),
        ("She has 15 pens.", "12 * 4 = 48, which is enough for all. The answer is 15."),
        ("", "12 * 4 = 48. Is the answer 46?"),
        ("", r"12 * 4 = 48. So \(\boxed{\frac{1}{2}}\) of it."),
        ("", r"12 * 4 = 48. So \(\boxed{3x + 5}\)."),
        ("", "12 * 4 = 48.\n```python\nprint(46)\n```\nThe answer is 46."),
        ("", "The answer is 46."),
        ("", "12 * 4 = 48. Therefore, she needs 1 more box."),
        ("", "12 * 4 = 48 apples. The answer is 2 carts."),
        ("", "12 * 4 = 48 apples. So the farmer buys 2 carts for them."),
        ("", "12 * 4 = 48 Äpfel. Also braucht er noch 2 Kisten."),
        ("", "The store opens at 7:30. 3 * 5 = 15. So it closes at 8:45."),
    ],
)
def test_a_conclusion_that_may_be_right_stays(question: str, answer: str) -> None:
    assert correct_conclusion(answer, question, "en") == (answer, True)


async def test_a_wrong_conclusion_is_rewritten(make_desk: MakeDesk) -> None:
    async with make_desk(["12 * 4 = 48 apples.\n\nThe answer is \\boxed{46}."]) as desk:
        reply = await desk.ask("How many apples are in 4 boxes of 12?", role="math")
    assert reply.text == "12 * 4 = 48 apples.\n\nThe answer is \\boxed{48}."
    assert any("46" in note for note in reply.receipt.notes)


async def test_a_verdict_from_a_wrong_conclusion_is_left_out(make_desk: MakeDesk) -> None:
    async with make_desk(["12 * 4 = 48 apples. Yes, that is enough.\nThe answer is **56**."]) as desk:
        reply = await desk.ask("Are 4 boxes of 12 apples enough for a class?", role="math")
    assert "enough" not in reply.text and reply.text.endswith("The answer is **48**.")


async def test_a_conclusion_behind_a_line_that_cannot_be_proved_is_withheld(make_desk: MakeDesk) -> None:
    answer = "half of 9 + 4 = 11 pears.\n12 * 4 = 48 apples.\nThe answer is 46."
    async with make_desk([answer]) as desk:
        reply = await desk.ask("How many apples are in 4 boxes of 12?", role="math")
    assert "46." not in reply.text.partition("⚠")[0] and "The answer is ?." in reply.text and "⚠" in reply.text


PROBLEM = "A farmer has 17 sheep and buys 23 more. Each of them eats 3 kg of hay a day. How much hay is that a day?"


def program(result: str) -> str:
    return f"```python\ndef solution():\n    return {result}\n```"


@pytest.mark.parametrize(
    ("answers", "shown", "calls", "outcome"),
    [
        (["The answer is 90.", program("45 * 2")], "The answer is 90.", 2, "passed"),
        (["The answer is 33.3.", program("100 / 3")], "The answer is 33.3.", 2, "passed"),
        (["The answer is 25%.", program("1 / 4")], "The answer is 25%.", 2, "passed"),
        (["The answer is 90.", program("10**400"), "The answer is 90."], "The answer is 90.", 3, None),
        (["The answer is 90.", program("'1e2000000'"), "The answer is 90."], "The answer is 90.", 3, None),
        (["The answer is 90.", program("120"), "The answer is 120 kg."], "The answer is 120 kg.", 3, "passed"),
        (["The answer is 90.", program("120"), "The answer is 90 kg."], "The answer is 90.", 3, None),
        (["The answer is 90.", program("100"), "The answer is 120."], "The answer is 90.", 3, "failed"),
        (["The answer is 90.", "I cannot tell.", "The answer is 90."], "The answer is 90.", 3, None),
        (["The answer is 90.", program("1 / 0"), "The answer is 120."], "The answer is 90.", 3, None),
        (["The answer is 90.", program("None"), "The answer is 90."], "The answer is 90.", 3, None),
        (["I cannot tell.", program("90"), "The answer is 90."], "The answer is 90.", 3, "passed"),
        ([f"The answer is 1{'0' * 400}.", program("90"), "The answer is 90."], "The answer is 90.", 3, "passed"),
    ],
)
async def test_a_result_is_compared_with_that_of_a_program(
    answers: list[str], shown: str, calls: int, outcome: str | None, make_desk: MakeDesk
) -> None:
    async with make_desk(answers, self_consistency=3) as desk:
        reply = await desk.ask(PROBLEM, role="math")
    assert reply.text.startswith(shown) and len(desk.script.calls) == calls
    assert ("did not pass a check" in reply.text) == (outcome == "failed")
    compared = [check.outcome for check in reply.receipt.checks if check.name == PROGRAM]
    assert compared == ([outcome] if outcome else [])


async def test_one_number_against_one_decides_nothing(make_desk: MakeDesk) -> None:
    async with make_desk(["The answer is 90.", program("120")], self_consistency=2) as desk:
        reply = await desk.ask(PROBLEM, role="math")
    assert reply.text == "The answer is 90." and len(desk.script.calls) == 2
    assert any("90, 120" in note for note in reply.receipt.notes)


@pytest.mark.parametrize(("text", "role"), [("What is 3 times 4?", "math"), (PROBLEM, "general")])
async def test_other_answers_are_not_compared(text: str, role: Role, make_desk: MakeDesk) -> None:
    async with make_desk(["The answer is 90.", program("90")], self_consistency=3) as desk:
        await desk.ask(text, role=role)
    assert len(desk.script.calls) == 1


async def test_answers_are_compared_only_where_the_setting_says_so(make_desk: MakeDesk) -> None:
    async with make_desk(["The answer is 90.", program("90")]) as desk:
        await desk.ask(PROBLEM, role="math")
    assert len(desk.script.calls) == 1
