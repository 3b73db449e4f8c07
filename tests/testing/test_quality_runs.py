"""Runs of the quality bench: arms, stored answers, figures."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from langchain_core.messages import BaseMessage
from langchain_core.tools import BaseTool

from qwendesk import Desk
from qwendesk.engines.base import QwenChat
from qwendesk.engines.scripted import SCRIPTED_MODELS, Script, ScriptedEngine
from qwendesk.errors import ConfigError, EngineFailed, EngineUnavailable
from qwendesk.memory.records import EVERYBODY
from qwendesk.testing.quality.arms import Arm, BareArm, DeskArm
from qwendesk.testing.quality.base import ARMS, Answer, Question, ScriptedTool, Suite, SuiteDocument
from qwendesk.testing.quality.comparison import bootstrap_interval, suite_figures, total_figures
from qwendesk.testing.quality.run_folder import RunFolder, RunSetup, all_runs, run_name
from qwendesk.testing.quality.runner import ask_suite, score_suite
from qwendesk.testing.quality.suites.all_suites import chosen_suites
from qwendesk.tools.sandbox import PythonSandbox
from tests.conftest import MakeDesk
from tests.testing.quality_rows import write_rows

SETUP = RunSetup("scripted:scripted-general", 1, 1024, 8192)
LOOK_UP = ScriptedTool(
    "look_up", "Look up an order.", {"type": "object", "properties": {"order": {"type": "string"}}}, "It is on its way."
)
CALL = '<tool_call>\n{"name": "look_up", "arguments": {"order": "17"}}\n</tool_call>'


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    made = RunFolder(tmp_path / "bench" / "run")
    made.begin(SETUP)
    return made


@pytest.fixture
def suite() -> Suite:
    return chosen_suites(["gsm8k"])[0]


@pytest.fixture
def questions(suite: Suite, tmp_path: Path) -> list[Question]:
    return suite.questions(write_rows(tmp_path / "data"))


async def chat_of(script: Script) -> tuple[ScriptedEngine, QwenChat]:
    engine = ScriptedEngine(script)
    return engine, await engine.load(SCRIPTED_MODELS[0].name)


async def test_the_bare_model_reads_the_question_alone(suite: Suite, questions: list[Question]) -> None:
    engine, chat = await chat_of(["It is 70000."])
    answer = await BareArm(suite, chat, 7, lambda text: 0.1).answer(questions[0])
    (_, messages, options), *others = engine.calls
    assert [message.text for message in messages] == [questions[0].text] and not others
    assert (options.seed, options.sampling.temperature, options.tools) == (7, 0.1, ())
    assert (answer.text, answer.error, answer.fingerprint) == ("It is 70000.", "", questions[0].fingerprint)
    assert answer.tokens_in > 5 and answer.tokens_out == 3 and answer.seconds > 0 and answer.version


async def test_the_bare_model_calls_tools_for_so_many_rounds(suite: Suite) -> None:
    engine, chat = await chat_of([CALL, "It is on its way.", CALL, CALL])
    arm = BareArm(suite, chat, 1)
    two = await arm.answer(Question("q", "Where is order 17?", tools=(LOOK_UP,), tool_rounds=2))
    assert [(call.name, call.arguments, call.round, call.result) for call in two.calls] == [
        ("look_up", {"order": "17"}, 1, "It is on its way.")
    ]
    assert two.text == "It is on its way."
    assert engine.calls[1][1][-1].text == "It is on its way." and engine.calls[0][2].tools
    one = await arm.answer(Question("q", "Where is order 17?", tools=(LOOK_UP,)))
    assert len(one.calls) == 1 and len(engine.calls) == 3


async def test_a_bare_model_that_fails_is_told_in_the_answer(suite: Suite, questions: list[Question]) -> None:
    _, chat = await chat_of([EngineFailed("broke off"), EngineUnavailable("gone")])
    arm = BareArm(suite, chat, 1)
    assert (await arm.answer(questions[0])).error == "broke off"
    with pytest.raises(EngineUnavailable):
        await arm.answer(questions[0])


class Opened:
    """Opens scripted desks and counts them."""

    def __init__(self, make_desk: MakeDesk, script: Script) -> None:
        self.make_desk = make_desk
        self.script = script
        self.desks: list[Desk] = []

    @asynccontextmanager
    async def open(self, tools: Sequence[BaseTool], documents: Sequence[SuiteDocument]) -> AsyncIterator[Desk]:
        async with self.make_desk(self.script, tools=tools, embedder="none") as desk:
            assert desk.knowledge
            for document in documents:
                await desk.knowledge.base.add_bytes(document.name, document.text.encode(), EVERYBODY)
            self.desks.append(desk)
            yield desk


def call_then_tell(messages: list[BaseMessage]) -> str:
    return "It is on its way." if messages[-1].type == "tool" else CALL


async def test_the_desk_is_asked_with_the_questions_tools(make_desk: MakeDesk, suite: Suite) -> None:
    opened = Opened(make_desk, call_then_tell)
    arm = DeskArm(suite, opened.open)
    try:
        answers = [await arm.answer(Question(f"q{n}", "Where is order 17?", tools=(LOOK_UP,))) for n in range(2)]
        without = await arm.answer(Question("q3", "Where is order 17?"))
    finally:
        await arm.aclose()
    assert len(opened.desks) == 2, "one for each set of tools"
    for answer in answers:
        assert [(call.name, call.arguments, call.result) for call in answer.calls] == [
            ("look_up", {"order": "17"}, "It is on its way.")
        ]
        assert answer.text == "It is on its way." and answer.notes[0].startswith("role ")
    assert not any(call.result == LOOK_UP.result for call in without.calls)


async def test_a_shops_desk_cites_its_documents(make_desk: MakeDesk) -> None:
    faq = chosen_suites(["faq"])[0]
    question = next(each for each in faq.questions(None) if each.id == "faq-en-0")

    def search(messages: list[BaseMessage]) -> str:
        if messages[-1].type == "tool":
            return "Standard shipping costs 4.90 euros [1]."
        return '<tool_call>{"name": "search_knowledge", "arguments": {"query": "standard shipping costs"}}</tool_call>'

    arm = DeskArm(faq, Opened(make_desk, search).open)
    try:
        answer = await arm.answer(question)
    finally:
        await arm.aclose()
    score = await faq.score(question, answer, PythonSandbox())
    assert score.right, (answer.text, score)


class CountingArm(Arm):
    """Answers from a list and counts what it is asked."""

    def __init__(self, name: str, texts: dict[str, str]) -> None:
        self.name = name
        self.texts = texts
        self.asked: list[str] = []

    async def _ask(self, question: Question) -> dict[str, object]:
        if question.id not in self.texts:
            raise EngineUnavailable("the server is gone")
        self.asked.append(question.id)
        return {"text": self.texts[question.id], "tokens_in": 10, "tokens_out": 2}


async def run(
    suite: Suite, questions: list[Question], folder: RunFolder, texts: dict[str, dict[str, str]]
) -> dict[str, CountingArm]:
    """Ask all questions of both arms; return the arms that were made."""
    made: dict[str, CountingArm] = {}

    def make(name: str, suite: Suite) -> Arm:
        made[name] = CountingArm(name, texts[name])
        return made[name]

    steps: list[None] = []
    await ask_suite(suite, questions, ARMS, folder, make, lambda: steps.append(None))
    assert len(steps) == len(questions) * len(ARMS)
    return made


async def test_a_run_goes_on_where_it_stopped(suite: Suite, questions: list[Question], folder: RunFolder) -> None:
    texts = {"bare": {"g1": "70000", "g2": "3"}, "desk": {"g1": "70000"}}
    with pytest.raises(EngineUnavailable):
        await run(suite, questions, folder, texts)
    texts["desk"]["g2"] = "2"
    made = await run(suite, questions, RunFolder(folder.path), texts)
    assert {name: arm.asked for name, arm in made.items()} == {"desk": ["g2"]}
    assert await run(suite, questions, folder, texts) == {}, "everything is answered"


async def test_another_question_of_the_same_id_is_asked_again(
    suite: Suite, questions: list[Question], folder: RunFolder
) -> None:
    texts = {arm: {"g1": "70000", "g2": "2"} for arm in ARMS}
    await run(suite, questions, folder, texts)
    changed = [questions[0], Question("g2", "2 + 0?", "en", row={"answer": "2"})]
    made = await run(suite, changed, folder, texts)
    assert {name: arm.asked for name, arm in made.items()} == {"bare": ["g2"], "desk": ["g2"]}


async def test_a_line_that_was_cut_off_is_asked_again(
    suite: Suite, questions: list[Question], folder: RunFolder
) -> None:
    texts = {arm: {"g1": "70000", "g2": "2"} for arm in ARMS}
    await run(suite, questions, folder, texts)
    file = folder.path / "gsm8k.desk.jsonl"
    file.write_bytes(file.read_bytes()[:-20])
    made = await run(suite, questions, folder, texts)
    assert {name: arm.asked for name, arm in made.items()} == {"desk": ["g2"]}
    assert folder.answers("gsm8k", "desk").keys() == {"g1", "g2"}


async def test_stored_questions_and_answers_are_read_back(folder: RunFolder, tmp_path: Path) -> None:
    bfcl = chosen_suites(["bfcl"])[0]
    kept = bfcl.questions(write_rows(tmp_path / "data"))
    folder.keep_questions("bfcl", kept[:1])
    folder.keep_questions("bfcl", kept)
    assert folder.questions("bfcl") == kept and folder.suites() == ["bfcl"]
    assert [question.fingerprint for question in folder.questions("bfcl")] == [each.fingerprint for each in kept]
    answer = Answer("b1", "f", "a\u2028b \ud800", notes=("role general",))
    folder.add("bfcl", "bare", answer)
    assert folder.answers("bfcl", "bare")["b1"].notes == ("role general",)
    folder.forget("bfcl", "bare")
    assert folder.answers("bfcl", "bare") == {}


def test_a_run_keeps_its_model_and_seed(folder: RunFolder, tmp_path: Path) -> None:
    folder.begin(SETUP)
    with pytest.raises(ConfigError, match="has seed 1, not 2: choose another --run"):
        folder.begin(RunSetup(SETUP.model, 2, 1024, 8192))
    assert [run.name for run in all_runs(tmp_path / "bench")] == ["run"]
    with pytest.raises(ConfigError, match="no run 'other'"):
        RunFolder(tmp_path / "bench" / "other").setup()
    (folder.path / "run.json").write_text("{")
    with pytest.raises(ConfigError, match="cannot be read"):
        folder.setup()
    assert run_name("llamacpp:/models/a b.gguf", 3) == "llamacpp-models-a-b.gguf-seed3"


def test_the_interval_of_known_numbers() -> None:
    assert bootstrap_interval([1.0] * 20) == (1.0, 1.0)
    low, high = bootstrap_interval([1.0] * 50 + [0.0] * 50)
    # the mean of 100 draws has a standard deviation of 0.05; 90 % lie within 1.645 of them
    assert low == pytest.approx(0.5 - 1.645 * 0.05, abs=0.011)
    assert high == pytest.approx(0.5 + 1.645 * 0.05, abs=0.011)
    assert bootstrap_interval([1.0, -1.0, 0.0] * 9) == bootstrap_interval([1.0, -1.0, 0.0] * 9)
    wide, narrow = bootstrap_interval([1, 0] * 10), bootstrap_interval([1, 0] * 40)
    assert wide[1] - wide[0] > 1.8 * (narrow[1] - narrow[0])
    assert bootstrap_interval([1, 0] * 10, confidence=0.5)[0] > wide[0]


async def test_figures_compare_the_arms_by_pairs(
    suite: Suite, questions: list[Question], folder: RunFolder, tmp_path: Path
) -> None:
    texts = {"bare": {"g1": "70000", "g2": "3"}, "desk": {"g1": "70000", "g2": "It is 2."}}
    await run(suite, questions, folder, texts)
    figures = suite_figures(await score_suite(suite, questions, ARMS, folder, PythonSandbox()))
    assert [(figures["arms"][arm]["right"], figures["arms"][arm]["scored"]) for arm in ARMS] == [(1, 2), (2, 2)]
    assert figures["arms"]["bare"]["tokens_in"] == 20 and figures["arms"]["bare"]["tokens_per_answer"] == 12
    assert figures["arms"]["desk"]["groups"] == {"en": {"right": 2, "scored": 2, "share": 1.0}}
    difference = figures["difference"]
    assert (difference["pairs"], difference["points"], difference["tokens_ratio"]) == (2, 50.0, 1.0)
    assert (difference["low"], difference["high"]) == (0.0, 100.0)
    assert total_figures({"gsm8k": figures})["desk"]["tokens_out"] == 4
    json.dumps(figures)


async def test_what_has_no_score_is_in_no_pair(folder: RunFolder, tmp_path: Path) -> None:
    ifeval = chosen_suites(["ifeval"])[0]
    asked = ifeval.questions(write_rows(tmp_path / "data"))
    for arm in ARMS:
        for question in asked:
            error = "broke off" if (arm, question.id) == ("bare", "i1") else ""
            folder.add("ifeval", arm, Answer(question.id, question.fingerprint, "tea is hot", error=error))
    figures = suite_figures(await score_suite(ifeval, asked, ARMS, folder, PythonSandbox()))
    bare = figures["arms"]["bare"]
    assert (bare["right"], bare["scored"], bare["not_scored"], bare["errors"]) == (0, 1, 1, 1)
    assert bare["marks"] == {"no answer": 1, "no check": 1}
    assert figures["difference"]["pairs"] == 1 and figures["difference"]["points"] == 100.0


async def test_one_arm_alone_has_no_difference(suite: Suite, questions: list[Question], folder: RunFolder) -> None:
    folder.add("gsm8k", "bare", Answer("g1", questions[0].fingerprint, "70000"))
    figures = suite_figures(await score_suite(suite, questions, ARMS, folder, PythonSandbox()))
    assert figures["difference"] is None and figures["arms"]["desk"]["share"] is None
