"""Plain requests for algebra, which the tool answers without a model."""

import pytest

from qwendesk.agents.algebra_requests import algebra_requests
from qwendesk.agents.growth import growth_answer
from qwendesk.desk.turns.receipt import explain
from qwendesk.messages import Finished
from qwendesk.models.card import ModelCard
from tests.conftest import MakeDesk

SMALL = (ModelCard("small", roles=("general", "coder", "math"), parameters=0.5),)


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("What is 37*91+4?", [("evaluate", "37*91+4", "x")]),
        ("Wie viel ist 15% von 200?", [("evaluate", "15% von 200", "x")]),
        ("What is 12 x 14?", [("evaluate", "12 * 14", "x")]),
        ("Solve x² - 5x + 6 = 0", [("solve", "x^2 - 5x + 6 = 0", "x")]),
        ("Löse das Gleichungssystem 2x + y = 7 und x - y = 2", [("solve", "2x + y = 7; x - y = 2", "x, y")]),
        ("Résous l'équation x² - 4 = 0", [("solve", "x^2 - 4 = 0", "x")]),
        ("Resuelve la ecuación x^2 - 4 = 0", [("solve", "x^2 - 4 = 0", "x")]),
        ("Реши уравнение x^2 - 4 = 0", [("solve", "x^2 - 4 = 0", "x")]),
        ("解方程 x^2 - 4 = 0", [("solve", "x^2 - 4 = 0", "x")]),
        ("x^2 - 4 = 0 を解いてください", [("solve", "x^2 - 4 = 0", "x")]),
        ("x^2 - 4 = 0 방정식을 풀어 줘", [("solve", "x^2 - 4 = 0", "x")]),
        ("What are the roots of x^2 - 5x + 6?", [("solve", "x^2 - 5x + 6 = 0", "x")]),
        ("Find x if 2x + 3 = 7", [("solve", "2x + 3 = 7", "x")]),
        ("Integrate x^2 from 0 to 3", [("integral", "x^2", "x=0..3")]),
        ("∫ x² dx", [("integral", "x^2", "x")]),
        ("lim x→0 sin(x)/x", [("limit", "sin(x)/x", "x->0")]),
        ("Calcule la limite de (1+1/x)^x quand x tend vers ∞", [("limit", "(1+1/x)^x", "x->oo")]),
        ("Vereinfache (x²-1)/(x-1)", [("simplify", "(x^2-1)/(x-1)", "x")]),
        ("Factorise 360", [("factor", "360", "x")]),
        ("Leite x^3 ab.", [("derivative", "x^3", "x")]),
        ("Derivative of t^3", [("derivative", "t^3", "t")]),
        ("What is 100-40?", [("evaluate", "100-40", "x")]),
        ("Wie lautet die Ableitung von x^2 + 3x?", [("derivative", "x^2 + 3x", "x")]),
        ("y = x^2 - 4x, find dy/dx", [("derivative", "x^2 - 4x", "x")]),
        ("Calculate the integral of 1/x dx", [("integral", "1/x", "x")]),
        ("Oblicz całkę z x^2", [("integral", "x^2", "x")]),
        ("What is the square root of 144?", [("evaluate", "sqrt(144)", "x")]),
        ("Was ist 3 hoch 4?", [("evaluate", "3^4", "x")]),
        ("分解因式 x^2 - 9", [("factor", "x^2 - 9", "x")]),
        ("2x + 4 = 10 を解け", [("solve", "2x + 4 = 10", "x")]),
        ("Tính 12 * 5", [("evaluate", "12 * 5", "x")]),
        (
            "Let f(x) = x^3 - 3x. Find f'(x) and the critical points.",
            [("derivative", "x^3 - 3x", "x"), ("critical points", "x^3 - 3x", "x")],
        ),
        ("What is the derivative of e^(2x) at x = 0?", [("derivative", "e^(2x)", "x=0")]),
        ("أوجد مشتقة x^3 + 2x", [("derivative", "x^3 + 2x", "x")]),
        ("x^3 + 2x का अवकलज ज्ञात कीजिए", [("derivative", "x^3 + 2x", "x")]),
        ("f(x) = x^2 + 3x fonksiyonunun türevini bul", [("derivative", "x^2 + 3x", "x")]),
        (
            "Trova la derivata di f(x) = x^3 - x e i punti critici",
            [("derivative", "x^3 - x", "x"), ("critical points", "x^3 - x", "x")],
        ),
        (
            "求 f(x) = x^3 - 3x 的导数和临界点",
            [("derivative", "x^3 - 3x", "x"), ("critical points", "x^3 - 3x", "x")],
        ),
    ],
)
def test_a_plain_request_is_read_as_calls(text: str, calls: list[tuple[str, str, str]]) -> None:
    assert [(one.operation, one.expression, one.variable) for one in algebra_requests(text)] == calls


@pytest.mark.parametrize(
    "text",
    [
        "Explain the derivative of x^2",
        "What is 2+2 and why?",
        "Is 2+2=5?",
        "What is 2+2 in French?",
        "Call me at 555-1234",
        "What happened on 9/11?",
        "What is 24/7 support?",
        "Write a function f(x) = x^2 in Python",
        "I have 3 apples and 2 pears, how many?",
        "Solve 3x + 2y = 12",
        "Hello",
        "Where is my order B-77?",
        "x = 3",
        "24/7",
        "9/11",
        "What is 9/11?",
        "10-4",
        "2024-2025",
        "Hello 5!",
        "4 x 4",
        "50/50",
        "Solve sin(x) = 0",
        "tan(x) = 1",
        "(" * 300,
        "x^" * 150,
    ],
)
def test_what_asks_for_something_else_is_left_to_a_model(text: str) -> None:
    assert algebra_requests(text) == []


async def test_derivative_and_critical_points_are_stated_without_a_model(make_desk: MakeDesk) -> None:
    async with make_desk(["must not be asked"], cards=SMALL) as desk:
        reply = await desk.ask("Find the derivative of f(x) = x³ + 2x² - 5x + 3 and its critical points.")
        german = await desk.ask("Bestimme die Ableitung von f(x) = x^3 - 3x und die kritischen Punkte.")
        assert desk.script.calls == []
    assert "f'(x) = **3x² + 4x - 5**" in reply.text and "-2.1196" in reply.text and "0.7863" in reply.text
    assert "Kritische Punkte" in german.text and "**x = -1** (f(x) = 2, lokales Maximum)" in german.text
    assert [use.name for use in reply.receipt.tools] == ["algebra", "algebra"]


async def test_results_are_written_in_the_format_of_the_language(make_desk: MakeDesk) -> None:
    async with make_desk(["must not be asked"], cards=SMALL) as desk:
        english = await desk.ask("What is 2000000 * 1.15^5?")
        german = await desk.ask("Wie viel ist 2000000 * 1,15^5?")
    assert english.text.endswith("**4,022,714.38**") and german.text.endswith("**4.022.714,38**")


async def test_a_tool_of_the_program_may_be_what_the_request_is_for(make_desk: MakeDesk) -> None:
    async def integrate(expression: str) -> str:
        """Integrate."""
        return expression

    async with make_desk(["The program's way."], cards=SMALL, tools=[integrate]) as desk:
        assert (await desk.ask("Integrate x^2 from 0 to 3")).text == "The program's way."


@pytest.mark.parametrize(
    ("question", "parts"),
    [
        ("What is 2^100?", ["1,267,650,600,228,229,401,496,703,205,376"]),
        ("12345678901234567890 * 98765432109876543210 = ?", ["1,219,326,311,370,217,952,237,463,801,111,263,526,900"]),
        ("Cuánto es 1.500 * 2", ["- 1.500 = 1500 → **3000**", "- 1.500 = 1.5 → **3**"]),
        ("Solve x^2 + 4 = 0", ["**x = -2i**", "**x = 2i**"]),
        ("Integrate 5^x", ["ln(5)"]),
    ],
)
async def test_results_of_other_kinds_are_written_in_signs(
    make_desk: MakeDesk, question: str, parts: list[str]
) -> None:
    async with make_desk(["must not be asked"], cards=SMALL) as desk:
        reply = await desk.ask(question)
    assert all(part in reply.text for part in parts)


async def test_a_large_model_and_a_request_that_fails_go_the_usual_way(make_desk: MakeDesk) -> None:
    async with make_desk(["It is 3371."]) as desk:
        assert (await desk.ask("What is 37*91+4?")).text == "It is 3371."
    async with make_desk(["No way."] * 3, cards=SMALL) as desk:
        assert (await desk.ask("What is 12345 mod (1,5)?")).text.startswith("No way.")


@pytest.mark.parametrize(
    ("question", "says"),
    [
        ("What is 10/0?", "This is undefined: it divides by zero."),
        ("What is (3-3)/(2-2)?", "This is undefined: it divides by zero."),
        ("Wie viel ist 7/(5-5)?", "Das ist nicht definiert: Es wird durch null geteilt."),
        ("7/0", "This is undefined: it divides by zero."),
        ("10÷0等于多少？", "这没有定义：除数为零。"),
    ],
)
async def test_an_undefined_result_is_told_without_a_model(make_desk: MakeDesk, question: str, says: str) -> None:
    async with make_desk(["must not be asked"], cards=SMALL) as desk:
        reply = await desk.ask(question)
        assert desk.script.calls == []
    assert reply.text == says


@pytest.mark.parametrize(
    ("question", "what"),
    [
        ("What is 37*91+4?", "algebra"),
        ("Wie viel ist 10/0?", "algebra"),
        ("I invest $1000 at 5% interest per year. How much will I have after 3 years?", "a calculation"),
    ],
)
async def test_why_names_what_answered_without_a_model(make_desk: MakeDesk, question: str, what: str) -> None:
    async with make_desk(["must not be asked"], cards=SMALL) as desk:
        reply = await desk.ask(question)
    told = explain(reply.receipt.as_dict())
    assert reply.receipt.answered_by == what and reply.receipt.fallback is None
    assert f"answered by {what} alone; no model was asked." in told
    assert "small" not in told and "fallback" not in told and "tokens in" not in told


GROWTH = (
    "A company's revenue grows by 15% each year. With $2 million in 2020, will it reach $5 million by 2025? "
    "If not, what growth rate would it need?"
)


async def test_a_question_of_growth_is_answered_in_each_part(make_desk: MakeDesk) -> None:
    async with make_desk(["must not be asked"], cards=SMALL) as desk:
        reply = await desk.ask(GROWTH)
    assert reply.text.startswith("**No.**") and "**$4.02 million**" in reply.text and "**20.1%**" in reply.text
    assert all(check.outcome == "passed" for check in reply.receipt.checks)


@pytest.mark.parametrize(
    ("text", "language", "parts"),
    [
        (GROWTH.replace("15%", "25%"), "en", ["**Yes.**", "$6.1 million", "≥ $5 million"]),
        (
            "Der Umsatz wächst jedes Jahr um 15 %. Mit 2 Mio. € im Jahr 2020, erreicht er bis 2025 5 Mio. €?",
            "de",
            ["**Nein.**", "4,02 Mio. €", "20,1%"],
        ),
        ("公司收入每年增长15%。2020年为200万美元，到2025年能达到500万美元吗？", "zh", ["402.27万美元", "20.1%"]),
        (
            "Выручка растёт на 15% в год. Если в 2020 году она 2 млн, достигнет ли она 5 млн к 2025 году?",
            "ru",
            ["4,02 млн"],
        ),
        ("我有10000元，年利率3%，每年复利，5年后有多少？", "zh", ["11592.74元"]),
        (
            "Bir şirketin geliri her yıl %15 büyüyor. 2020'de 2 milyon ise 2025'te 5 milyona ulaşır mı?",
            "tr",
            ["4,02 milyon"],
        ),
        ("I invest $1,000 at 5% annual interest for 10 years. How much will I have?", "en", ["$1628.89", "+$628.89"]),
    ],
)
def test_growth_is_worked_out_in_the_units_of_the_message(text: str, language: str, parts: list[str]) -> None:
    answer = growth_answer(text, language) or ""
    assert all(part in answer for part in parts)


@pytest.mark.parametrize(
    "text",
    [
        "Sales grow 5% each month. From $100, what are they after 3 years?",
        "The value of a car falls by 10% each year. It cost $20,000. What is it worth after 3 years?",
        "Prices rise 3% each year. Why?",
        "My rent of $1200 rises 5% every year. What is it after 3 years, and how much do I pay in total?",
        "The company grows 15% each year and has 200 people, 3 offices and 5 cars. How many people in 2 years?",
        "I save 1000 euros at 5% interest a year and add 100 every year. What do I have after 10 years?",
        "Sales grow 10% a year for 3 years and reached 500. How many were there at the start?",
        "The company grows 10% a year and has 20 employees. How many employees after 3 years?",
        "Revenue grew by 15% a year from $2 million in 2020 to $4 million in 2025.",
    ],
)
def test_other_questions_of_growth_are_left_to_a_model(text: str) -> None:
    assert growth_answer(text, "en") is None


CALL = '<tool_call>{"name": "python", "arguments": {"code": "2000000 * 1.15**5"}}</tool_call>'


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Yes, the company will reach $5 million by 2025.", "Calculated: **4,022,714.37**"),
        ("No, it is about $4.02 million then.", "No, it is about $4.02 million then."),
        ("It becomes a large sum.", "It becomes a large sum.\n\nCalculated: **4,022,714.37**"),
    ],
)
async def test_no_claim_stands_beside_a_result_that_it_does_not_state(
    make_desk: MakeDesk, said: str, shown: str
) -> None:
    async with make_desk([CALL, said]) as desk:
        events = [
            event async for event in desk.stream("Will $2 million become $5 million by 2025 at 15%?", role="math")
        ]
    finished = events[-1]
    assert isinstance(finished, Finished) and finished.reply.text == shown


async def test_a_long_answer_of_a_larger_model_keeps_what_it_says(make_desk: MakeDesk) -> None:
    said = "The plan has 3 steps, and each needs care. " * 12
    async with make_desk([CALL, said]) as desk:
        reply = await desk.ask("Make a plan with a growth of 15% in mind.", role="math")
    assert reply.text == f"{said.strip()}\n\nCalculated: **4,022,714.37**"


@pytest.mark.parametrize("question", ["What is ln(0)?", "What is the integral of 1/x from -1 to 1?"])
async def test_what_is_undefined_for_another_reason_is_left_to_the_model(make_desk: MakeDesk, question: str) -> None:
    async with make_desk(["The model says why."] * 3, cards=SMALL) as desk:
        assert "divides by zero" not in (await desk.ask(question)).text
