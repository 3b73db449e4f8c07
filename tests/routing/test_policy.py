"""The policy: which claim wins, without any model."""

import json
import time
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from qwendesk.agents.model_selection import plan_thinking, refine_selection, supports_language
from qwendesk.cli.route.policy import default_text, in_force
from qwendesk.errors import ConfigError
from qwendesk.messages import Attachment
from qwendesk.models.card import ModelCard, SelectedModel
from qwendesk.routing.base import ConversationContext, Decision, Signals
from qwendesk.routing.classifier.trained_router import TrainedRouter
from qwendesk.routing.policy.decision import decide
from qwendesk.routing.policy.policy_file import ModelPolicy, RoutingPolicy, SplitPolicy, load_policy, read_policy
from qwendesk.routing.policy.subquestions import split_message
from qwendesk.routing.signals.followup import is_follow_up, refers_to_missing_picture
from qwendesk.routing.signals.language import identify_language

ROUTER = TrainedRouter()
PICTURE = (Attachment("image", "image/png", b"x"),)
CODE = ConversationContext(
    "coder", ("Write a Python function that reverses a string.",), "```python\ndef reverse(s): return s[::-1]\n```"
)
SUM = ConversationContext("math", ("What is 37*91+4?",), "37 * 91 + 4 = 3371")
SEEN = ConversationContext("vision", ("What is this?",), "A red square on a table.", PICTURE, 1)
LATER = ConversationContext("general", ("What is this?", "Tell me a joke"), "A joke.", PICTURE, 2)
QUESTIONS = [
    json.loads(line)
    for line in resources.files("qwendesk.routing.training")
    .joinpath("data/questions.jsonl")
    .read_text("utf-8")
    .splitlines()
]


def policy_of(tmp_path: Path, text: str) -> RoutingPolicy:
    file = tmp_path / "policy.toml"
    file.write_text(text, "utf-8")
    return read_policy(file)


@pytest.mark.parametrize(
    "text",
    [
        "and why?",
        "make it faster",
        "add type hints",
        "explain the second step",
        "rewrite it in Rust",
        "why does this fail?",
    ]
    + ["Mach es schneller", "rends-le plus rapide", "hazlo más rápido", "e perché?", "сделай быстрее", "改成递归"]
    + ["もっと速くしてください", "더 빠르게 해줘", "ولماذا؟", "और क्यों?", "ve neden?", "go on"],
)
def test_a_short_follow_up_stays_with_the_role(text: str) -> None:
    decision = decide(Signals(text, identify_language(text), conversation_context=CODE), ROUTER)
    assert decision.role == "coder"
    assert decision.decided_by == "classifier" or decision.signals == ("stayed with coder: a short follow-up",)


def test_a_follow_up_stays_with_mathematics_too() -> None:
    assert decide(Signals("und jetzt mit 5?", conversation_context=SUM), ROUTER).role == "math"
    assert decide(Signals("und jetzt mit 5?"), ROUTER).role != "math"


@pytest.mark.parametrize(
    "text",
    ["Who painted the Mona Lisa?", "And who painted the Mona Lisa?", "Thanks!", "thank you, that was great", "Danke!"]
    + ["What is the capital of France?", "Where is my order B-77?", "Explain photosynthesis", "谢谢", "今天天气怎么样"]
    + ["It is raining today, what should I wear?", "Recommend a good restaurant", "Какая столица Франции?"],
)
def test_a_new_topic_leaves_the_role(text: str) -> None:
    assert decide(Signals(text, identify_language(text), conversation_context=CODE), ROUTER).role == "general"


def test_clear_words_lead_from_one_role_to_another() -> None:
    assert decide(Signals("And what is 37*91+4?", conversation_context=CODE), ROUTER).role == "math"
    assert decide(Signals("now write it as a Python function", conversation_context=SUM), ROUTER).role == "coder"


def test_sticky_roles_can_be_turned_off(tmp_path: Path) -> None:
    policy = policy_of(tmp_path, "[conversation]\nsticky_roles = false\n")
    assert decide(Signals("make it faster", conversation_context=CODE), ROUTER, policy).role == "general"


def test_questions_of_their_own_are_seldom_taken_for_follow_ups() -> None:
    wrong = [q["text"] for q in QUESTIONS if q["label"] != "coder" and is_follow_up(q["text"], CODE, q["lang"])]
    assert len(wrong) < 0.015 * len(QUESTIONS)


@pytest.mark.parametrize(
    "text",
    ["what colour was it?", "and what is in the background?", "how many people are there?", "is it expensive?"]
    + ["welche Farbe hatte es?", "quelle couleur était-ce ?", "¿de qué color era?", "di che colore era?", "ما لونه؟"]
    + ["какого цвета он был?", "什么颜色?", "何色でしたか?", "무슨 색이었어?", "was steht auf dem Schild?"],
)
def test_what_is_asked_of_a_picture_recalls_it(text: str) -> None:
    decision = decide(Signals(text, identify_language(text), conversation_context=SEEN), ROUTER)
    assert (decision.role, decision.recalls_picture) == ("vision", True)
    assert decision.signals == ("the picture from your earlier message",)


@pytest.mark.parametrize("text", ["what colour was it?", "What was in the picture?", "照片里有什么?"])
def test_a_picture_is_recalled_over_other_turns(text: str) -> None:
    assert decide(Signals(text, identify_language(text), conversation_context=LATER), ROUTER).recalls_picture


@pytest.mark.parametrize(
    ("text", "role"),
    [
        ("Thanks!", "general"),
        ("Write a Python function that sorts a list", "coder"),
        ("What is 37*91+4?", "math"),
        ("Who painted the Mona Lisa?", "general"),
        ("Draw me a picture of a cat", "general"),
        ("How do I resize an image with Pillow?", "general"),
    ],
)
def test_after_a_picture_text_is_text_again(text: str, role: str) -> None:
    decision = decide(Signals(text, identify_language(text), conversation_context=SEEN), ROUTER)
    assert (decision.role, decision.recalls_picture) == (role, False)


@pytest.mark.parametrize(
    "text",
    ["In the picture I sent, what is on the left?", "What is in this image?", "Was ist auf dem Bild zu sehen?"]
    + ["Que voit-on sur la photo ?", "¿Qué hay en la imagen?", "Cosa c'è nella foto?", "Что на картинке?"]
    + [
        "图片里有什么？",
        "この写真に何が写っていますか？",
        "사진에 뭐가 있어?",
        "ماذا يوجد في الصورة؟",
        "Co jest na zdjęciu?",
    ],
)
def test_a_picture_that_was_never_sent_is_missed(text: str) -> None:
    decision = decide(Signals(text, identify_language(text)), ROUTER)
    assert (decision.role, decision.lacks_picture) == ("vision", True)


@pytest.mark.parametrize(
    "text", ["What is a picture frame?", "Draw a picture of a cat", "How do I take better photos?", "docker image size"]
)
def test_pictures_as_a_topic_are_not_missed(text: str) -> None:
    assert not decide(Signals(text), ROUTER).lacks_picture


def test_no_labelled_question_is_taken_to_miss_a_picture() -> None:
    assert [
        q["text"] for q in QUESTIONS if refers_to_missing_picture(q["text"], ConversationContext(), q["lang"])
    ] == []


def test_the_order_of_claims(tmp_path: Path) -> None:
    policy = policy_of(tmp_path, '[[rule]]\nwhen = {contains = ["faster"]}\nrole = "thinking"\n')
    text = "make it faster"
    assert (
        decide(Signals(text, images=1, role="math", conversation_context=CODE), ROUTER, policy).decided_by == "override"
    )
    assert decide(Signals(text, images=1, conversation_context=CODE), ROUTER, policy).decided_by == "attachment"
    assert (
        decide(Signals(text, identify_language(text), conversation_context=CODE), ROUTER, policy).decided_by == "rule"
    )
    assert (
        decide(Signals(text, identify_language(text), conversation_context=CODE), ROUTER).decided_by == "conversation"
    )
    assert decide(Signals(text), ROUTER).decided_by == "classifier"


def test_too_little_is_an_abstention_and_a_threshold_can_be_raised(tmp_path: Path) -> None:
    class Unsure:
        def route(self, signals: Signals) -> Decision:
            return Decision("coder", 0.5, runner_up="math", probabilities={"general": 0.2, "coder": 0.5})

    assert decide(Signals("x"), Unsure()).role == "coder"
    decision = decide(Signals("x"), Unsure(), policy_of(tmp_path, "[abstain]\nmin_confidence = 0.6\n"))
    assert (decision.role, decision.decided_by, decision.confidence) == ("general", "abstention", 0.2)
    assert (decision.abstained, decision.runner_up) == (True, "coder")


@pytest.mark.parametrize(
    ("when", "text", "fits"),
    [
        ('contains = ["invoice*"]', "Both INVOICES are wrong", True),
        ('contains = ["invoice"]', "Both invoices are wrong", False),
        ('contains = ["art"]', "where do I start", False),
        ('contains = ["tax return", "refund"]', "a tax  return", True),
        ('contains = ["退款"]', "我想退款可以吗", True),
        ('contains = ["café"]', "the CAFE", True),
        ('language = "de"', "x", True),
        ('language = ["fr", "it"]', "x", False),
        ('channel = "web"', "x", True),
        ('channel = "web", contains = ["y"]', "x", False),
    ],
)
def test_a_rule_fits_when_all_its_conditions_hold(tmp_path: Path, when: str, text: str, fits: bool) -> None:
    policy = policy_of(
        tmp_path, f'[[rule]]\nwhen = {{{when}}}\nrole = "math"\nmodel = "m"\nthink = true\nreason = "mine"\n'
    )
    decision = decide(Signals(text, "de", channel="web"), ROUTER, policy)
    assert (decision.decided_by == "rule") is fits
    if fits:
        assert (decision.role, decision.model, decision.think, decision.signals) == ("math", "m", True, ("mine",))


def test_a_rule_may_leave_the_role_to_the_words(tmp_path: Path) -> None:
    policy = policy_of(tmp_path, '[[rule]]\nwhen = {contains = ["python"]}\nthink = true\n')
    decision = decide(Signals("Write a Python function"), ROUTER, policy)
    assert (decision.role, decision.think) == ("coder", True)
    assert "your rule 1: the message holds 'python'" in decision.signals


def test_no_rule_takes_long(tmp_path: Path) -> None:
    policy = policy_of(tmp_path, '[[rule]]\nwhen = {contains = ["a* a* a* a* b"]}\nrole = "math"\n')
    begun = time.process_time()
    decide(Signals("a" * 8000), ROUTER, policy)
    decide(Signals("a " * 4000), ROUTER, policy)
    assert time.process_time() - begun < 2


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "[split]\nmin_confidence = 3\n",
            "line 2, split.min_confidence: input should be less than or equal to 1 (got 3)",
        ),
        ("[thinking]\n\nbudge = 3\n", "line 3, thinking.budge: is not known; known here: threshold, budget"),
        ("[foo]\na = 1\n", "line 1, foo: is not known; known here: conversation, abstain"),
        ('[[rule]]\nwhen = {contains = ["a"]}\nrole = "poet"\n', "line 3, rule 1: role: write general, coder"),
        (
            '[[rule]]\nwhen = {contains = ["a"]}\nrole = "vision"\n',
            "write general, coder, math or thinking, not 'vision'",
        ),
        (
            '[[rule]]\nwhen = {channel = "x"}\nrole = "math"\n[[rule]]\nwhen = {contains = "x"}\nrole = "math"\n',
            'line 5, rule 2: when.contains: write a list: ["x"]',
        ),
        (
            '[[rule]]\nwhen = {language = ["german"]}\nrole = "math"\n',
            "'german' is not a supported language: write 'de'",
        ),
        ('[[rule]]\nwhen = {language = "xx"}\nrole = "math"\n', "write an ISO 639-1 code such as 'de'"),
        ('[[rule]]\nwhen = {contains = ["a*b"]}\nrole = "coder"\n', "'*' only at the end of a word"),
        ('[[rule]]\nwhen = {regex = "a"}\nrole = "coder"\n', "known here: contains, language, channel"),
        ('[[rule]]\nwhen = {contains = ["a"]}\n', "at least one of role, model, think"),
        ("x =", "is not valid TOML"),
    ],
)
def test_a_wrong_file_is_told_by_line_and_field(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        policy_of(tmp_path, text)
    assert told in str(error.value)


def test_the_file_to_begin_with_changes_nothing(tmp_path: Path) -> None:
    assert policy_of(tmp_path, default_text()) == RoutingPolicy() == load_policy(tmp_path / "none.toml")
    assert {row["from"] for row in in_force(tmp_path / "policy.toml")} == {"default"}


def test_where_a_value_comes_from_is_told(tmp_path: Path) -> None:
    policy_of(tmp_path, "[split]\nmax_questions = 3\n")
    rows = {row["name"]: row for row in in_force(tmp_path / "policy.toml")}
    assert (rows["split.max_questions"]["value"], rows["split.max_questions"]["from"]) == (
        3,
        str(tmp_path / "policy.toml"),
    )
    assert rows["split.min_confidence"]["from"] == "default"


CARDS = [
    ModelCard("small", roles=("general", "coder"), parameters=4, languages=119),
    ModelCard("large", roles=("general", "coder"), parameters=8, languages=119),
    ModelCard("code", roles=("coder",), parameters=7),
    ModelCard("two", roles=("math",), parameters=7, languages=2),
]


@pytest.mark.parametrize(
    ("role", "best", "loaded", "language", "model"),
    [
        ("general", "large", {"small"}, "en", "small"),
        ("general", "large", {"small", "large"}, "en", "large"),
        ("coder", "code", {"two"}, "en", "code"),
        ("math", "two", set(), "en", "two"),
        ("math", "two", set(), "sw", "large"),
        ("math", "two", set(), None, "two"),
    ],
)
def test_costs_and_languages_weigh(role: Any, best: str, loaded: set[str], language: str | None, model: str) -> None:
    by_name = {card.name: card for card in CARDS}
    chosen = refine_selection(
        role, SelectedModel("e", by_name[best]), CARDS, frozenset(loaded), language, ModelPolicy()
    )
    assert chosen.choice is not None and chosen.choice.card.name == model
    assert bool(chosen.reasons) is (model != best)


def test_a_swap_that_costs_nothing_is_always_made() -> None:
    large = SelectedModel("e", CARDS[1])
    assert (
        refine_selection(
            "general", large, CARDS, frozenset({"small"}), "en", ModelPolicy(model_switch_threshold=0)
        ).choice
        == large
    )


@pytest.mark.parametrize(("series", "expected"), [("qwen2.5-coder", "large"), ("another", "small"), ("", "small")])
def test_a_loaded_model_gives_way_to_a_larger_one_of_its_series(series: str, expected: str) -> None:
    small = ModelCard("small", series=series, parameters=0.5)
    large = ModelCard("large", series="qwen2.5-coder" if series else "", parameters=1.5)
    found = refine_selection(
        "general", SelectedModel("e", large), [small, large], frozenset({"small"}), "en", ModelPolicy()
    )
    assert found.choice is not None and found.choice.card.name == expected


def test_models_of_few_languages_do_not_speak_all() -> None:
    few = ModelCard("few", languages=12)
    assert supports_language(few, "zh") and supports_language(few, None) and not supports_language(few, "sw")
    assert supports_language(ModelCard("many", languages=119), "sw")


HYBRID = ModelCard("m", thinking="hybrid")


@pytest.mark.parametrize(
    ("needs", "wish", "rule", "setting", "expected"),
    [
        (0.5, None, None, "auto", 384),
        (1.0, None, None, "auto", 768),
        (0.4, None, None, "auto", None),
        (0.4, True, None, "auto", 768),
        (0.9, False, True, "on", None),
        (0.4, None, True, "off", 384),
        (0.9, None, None, "off", None),
    ],
)
def test_difficulty_decides_on_thinking_and_its_budget(
    needs: float, wish: bool | None, rule: bool | None, setting: Any, expected: int | None
) -> None:
    decision = Decision("math", 0.9, needs_thinking=needs, think=rule)
    tries = plan_thinking(decision, HYBRID, wish, setting, RoutingPolicy(), 768)
    assert (tries.think, tries.budget) == (expected is not None, expected)


def test_an_abstention_is_thought_about() -> None:
    unsure = Decision("general", 0.3, abstained=True)
    assert plan_thinking(unsure, HYBRID, None, "auto", RoutingPolicy(), 1024).think
    calm = RoutingPolicy.model_validate({"abstain": {"think": False}})
    assert not plan_thinking(unsure, HYBRID, None, "auto", calm, 1024).think


def parts(text: str, language: str = "en") -> list[str]:
    return [question.decision.role for question in split_message(Signals(text, language), ROUTER, SplitPolicy())]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Write a Python function that reverses a string, and also what is 37*91+4, and where is my order B-77?", "en"),
        ("Write a Python function that reverses a string. What is 37*91+4? Where is my order B-77?", "en"),
        (
            "Please do three things:\n- Write a Python function that reverses a string\n- calculate 37*91+4\n"
            "- Tell me the status of order B-77",
            "en",
        ),
        ("Schreibe eine Python-Funktion, die eine Liste umkehrt. Was ist 37*91+4? Wo ist meine Bestellung B-77?", "de"),
        ("Scrivi una funzione Python che inverte una stringa, calcola 37*91+4 e dimmi dov'è il mio ordine B-77", "it"),
        ("Écris une fonction Python qui inverse une chaîne. Combien font 37*91+4 ? Où est ma commande B-77 ?", "fr"),
        ("Escribe una función en Python que invierta una cadena. ¿Cuánto es 37*91+4? ¿Dónde está mi pedido?", "es"),
        ("Напиши функцию на Python, которая переворачивает строку. Сколько будет 37*91+4? Где мой заказ B-77?", "ru"),
        ("写一个Python函数来反转字符串。计算37*91+4。我的订单B-77在哪里？", "zh"),
        ("Pythonで文字列を反転する関数を書いて。37*91+4を計算して。私の注文B-77はどこですか？", "ja"),
    ],
)
def test_several_questions_are_cut_apart(text: str, language: str) -> None:
    assert parts(text, language) == ["coder", "math", "general"]


@pytest.mark.parametrize(
    ("text", "language", "roles"),
    [
        (
            "1. Write a Python function that adds numbers 2. What is 37*91? 3. Who was Goethe?",
            "en",
            "coder math general",
        ),
        ("Who was Goethe? What is 37*91? Write a Python function that adds numbers", "en", "general math coder"),
        (
            "Wer war Goethe? Schreibe eine Python-Funktion, die zwei Zahlen addiert. Was ist 12*13?",
            "de",
            "general coder math",
        ),
        (
            "Schreibe eine Python-Funktion, die zwei Zahlen addiert, berechne 12*13, wer war Goethe?",
            "de",
            "coder math general",
        ),
        ("1. Write a Python function that adds numbers 3. What is 37*91?", "en", ""),
        ("Write a Python class. Write a unit test for that class.", "en", ""),
    ],
)
def test_lists_in_one_line_and_names_are_cut_apart(text: str, language: str, roles: str) -> None:
    assert parts(text, language) == roles.split()


@pytest.mark.parametrize(
    "text",
    [
        "Write a Python function that computes 3*4+5 and explain how it works.",
        "Explain recursion and write an example in Python.",
        "What is a derivative? Calculate the derivative of x^2.",
        "I have 3 apples. I buy 4 more. How many do I have?",
        "Write a function that adds two numbers. What is its complexity?",
        "Where is my order B-77 and when will it arrive?",
        "Write a SQL query that sums the prices. How many rows will it return?",
        "Write a class and also write tests.",
        "Write a SQL query that lists all customers. Tell me about the history of customer service.",
        "Write a Python script that calculates 15% of 300 and prints the result",
        "Should I use Python or Java? Which is faster?",
        "What is 12*7? What is 13*8?",
        "```python\nprint(1)\n```\nWhat is 37*91+4? Where is my order B-77?",
        "route this to the coder. route this to math.",
    ],
)
def test_one_topic_stays_whole(text: str) -> None:
    assert parts(text) == []


def test_labelled_questions_are_not_split() -> None:
    cut = [q["text"] for q in QUESTIONS if split_message(Signals(q["text"], q["lang"]), ROUTER, SplitPolicy())]
    assert len(cut) < 0.01 * len(QUESTIONS)


def test_splitting_can_be_turned_off() -> None:
    text = "Write a Python function that reverses a string. What is 37*91+4? Where is my order B-77?"
    assert split_message(Signals(text, "en"), ROUTER, SplitPolicy(enabled=False)) == ()
    assert split_message(Signals(text, "en"), ROUTER, SplitPolicy(max_questions=2)) == ()


@pytest.mark.parametrize("piece", ["and ", "a. ", "1. ", "what? ", "，", "it, ", "- x\n", "。"])
def test_no_message_takes_long(piece: str) -> None:
    text = piece * (8000 // len(piece))
    begun = time.process_time()
    decide(Signals(text, "en", conversation_context=SEEN), ROUTER)
    split_message(Signals(text[:1500], "en"), ROUTER, SplitPolicy())
    assert time.process_time() - begun < 2


@pytest.mark.parametrize(
    "text",
    ["", " ", "🎉🎉", "x" * 1_000_000, "\u200f\u200b", "\ud800 it", "5", "?", "...", "1. ", "> it\n> that", "and"]
    + ["route this to the coder", "İ ﷺ ﬁ ß", "\x00 and \x1b[31m", "- \n- \n- ", "。。。", "¿¿¿ ???"],
)
@pytest.mark.parametrize("past", [ConversationContext(), CODE, SEEN, LATER], ids=["new", "code", "seen", "later"])
def test_any_text_is_decided(text: str, past: ConversationContext) -> None:
    signals = Signals(text, conversation_context=past)
    assert decide(signals, ROUTER).role in ("general", "coder", "math", "thinking", "vision")
    assert split_message(signals, ROUTER, SplitPolicy()) == ()
