"""``qwendesk route replay``, ``shadow`` and ``learn``, from stored turns to a router that has learned from them."""

import asyncio
import io
import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from qwendesk.cli.route import inputs
from qwendesk.cli.route.command import app
from qwendesk.cli.route.inputs import moment
from qwendesk.errors import ConfigError
from qwendesk.memory.memory import Memory
from qwendesk.memory.records import Rating
from qwendesk.messages import Inbound, Receipt, Reply, Role
from qwendesk.routing.training.dataset import load_questions
from qwendesk.routing.training.refit import TOLERANCE
from qwendesk.settings import load_settings

pytestmark = pytest.mark.slow

RUN = CliRunner()
NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
Turn = tuple[str, Role, Role | None, Rating | None]


def store(turns: Iterable[Turn]) -> None:
    """Store a conversation a turn: the question, who answered, the wish, the rating."""

    async def work() -> None:
        memory = Memory(load_settings().database)
        await memory.open()
        for number, (question, role, wish, rating) in enumerate(turns):
            receipt = Receipt(role, "m", "e", 0.7, None, ("why",), "en", False, (), 1, 1, 1.0, 1.0, (), 1.0)
            if wish:
                receipt = replace(
                    receipt, role=wish, confidence=1, signals=(), requested_role=wish, role_without_override=role
                )
            turn = await memory.turns.begin(Inbound(question, f"c{number}"))
            await memory.turns.finish(turn, Reply("answer", f"c{number}", receipt))
            if rating:
                await memory.feedback.rate(f"c{number}", rating)
        await memory.aclose()

    asyncio.run(work())


def run(*arguments: str) -> Result:
    return RUN.invoke(app, list(arguments))


@pytest.fixture
def few_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train on little, so that it takes no time."""
    few = load_questions()[::8]
    monkeypatch.setattr("qwendesk.routing.training.refit.TOLERANCE", {"accuracy": 0.03, "ece": 0.05})
    monkeypatch.setattr("qwendesk.routing.training.refit.load_questions", lambda: few)


@pytest.mark.parametrize(
    ("since", "wanted"),
    [
        ("24h", NOW - timedelta(hours=24)),
        ("7d", NOW - timedelta(days=7)),
        (" 2W ", NOW - timedelta(weeks=2)),
        ("2026-03-01T10:00+02:00", datetime(2026, 3, 1, 8, tzinfo=UTC)),
        ("2026-03-01", datetime(2026, 3, 1).astimezone(UTC)),
    ],
)
def test_since_is_a_span_or_a_date(since: str, wanted: datetime) -> None:
    assert moment(since, NOW) == wanted


@pytest.mark.parametrize("since", ["", "7", "7 years", "-1d", "yesterday", "999999w", "2026-13-01"])
def test_any_other_since_says_what_to_write(since: str) -> None:
    with pytest.raises(ConfigError, match="24h, 7d, 2w, or a date"):
        moment(since, NOW)


def test_with_nothing_stored_both_say_so() -> None:
    for command in ("replay", "learn"):
        told = run(command, "--since", "7d")
        assert told.exit_code == 0
        assert "No questions are stored" in told.stdout
    assert json.loads(run("replay", "--json").stdout)["turns"] == 0
    assert json.loads(run("learn", "--json").stdout) == {"turns": 0, "examples": 0, "left_out": {}, "file": None}


def test_replay_shows_what_would_change() -> None:
    store(
        [
            ("What is 37*91+4?", "general", None, Rating(-1)),
            ("Where is my order?", "general", None, None),
            ("Write a Python function that sorts a list", "general", "coder", None),
        ]
    )
    told = run("replay").stdout
    assert "3 questions, 3 of them answered; 2 would get another role." in told
    assert "general → math: 1 (1 rated down)" in told
    assert "What is 37*91+4? (was rated down)" in told
    assert "agreed with 0 then, with 1 now" in told
    tree = json.loads(run("replay", "--since", "1d", "--json").stdout)
    assert tree["changed"] == 2
    assert {(change["old"], change["new"]) for change in tree["changes"]} == {("general", "math"), ("general", "coder")}
    assert json.loads(run("replay", "--limit", "1", "--json").stdout)["turns"] == 1


def test_replay_tries_another_policy(own_home: Path) -> None:
    store([("Where is my invoice?", "general", None, None)])
    assert json.loads(run("replay", "--json").stdout)["changed"] == 0
    rules = own_home / "mine.toml"
    rules.write_text('[[rule]]\nwhen = {contains = ["invoice"]}\nrole = "math"\n', "utf-8")
    tree = json.loads(run("replay", "--policy", str(rules), "--json").stdout)
    assert [(change["old"], change["new"]) for change in tree["changes"]] == [("general", "math")]
    told = run("replay", "--policy", str(own_home / "none.toml"))
    assert told.exit_code == 1
    assert "none.toml" in told.stderr


def test_shadow_tells_what_another_policy_would_have_done(own_home: Path) -> None:
    store(
        [
            ("Where is my invoice?", "general", None, Rating(-1)),
            ("What is 37*91+4?", "general", None, None),
            ("And the invoice?", "general", "coder", None),
        ]
    )
    rules = own_home / "mine.toml"
    rules.write_text('[[rule]]\nwhen = {contains = ["invoice"]}\nrole = "thinking"\n', "utf-8")
    tree = json.loads(run("shadow", "--policy", str(rules), "--json").stdout)
    assert (tree["turns"], tree["compared"], tree["overrides"]) == (3, 2, 1)
    assert (tree["changed"], tree["by_policy"]) == (2, 1)
    by_role = {(change["old"], change["new"]): change["by_policy"] for change in tree["changes"]}
    assert by_role == {("general", "thinking"): 1, ("general", "math"): 0}
    assert tree["grounds"] == {"rule": 1, "classifier": 1}
    quiet, shown = run("shadow", "--policy", str(rules)).stdout, run("shadow", "--policy", str(rules), "--show").stdout
    assert "2 would get another role, 1 of them by this policy alone" in quiet
    assert "general → thinking: 1 (1 rated down)" in quiet
    assert "invoice" not in quiet and "Where is my invoice?" in shown


def test_shadow_needs_something_to_compare(own_home: Path) -> None:
    told = run("shadow")
    assert told.exit_code == 1
    assert "--policy FILE" in told.stderr
    nothing = run("shadow", "--router", "default")
    assert nothing.exit_code == 0
    assert "No questions are stored" in nothing.stdout


def test_many_turns_are_read_page_by_page_behind_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(inputs, "PAGE_TURNS", 10)
    monkeypatch.setattr(inputs, "STEP_TURNS", 5)
    monkeypatch.setattr(inputs, "SHORT_TURNS", 20)
    monkeypatch.setattr(inputs, "Console", lambda stderr: Console(file=screen, force_terminal=True, width=80))
    store([(f"Where is order {number}?", "general", None, None) for number in range(35)])
    assert json.loads(run("replay", "--json").stdout)["turns"] == 35
    assert "35/35" in screen.getvalue()
    screen.truncate(0)
    assert json.loads(run("replay", "--json", "--limit", "15").stdout)["turns"] == 15
    assert "15/15" not in screen.getvalue()


@pytest.mark.usefixtures("few_questions")
def test_learning_from_turns_to_a_router_and_back(own_home: Path) -> None:
    asked = "Please check the flurbo number {} of my gizmo"
    wanted: list[Turn] = [(asked.format(n), "general", "thinking", None) for n in range(12)]
    store([*wanted, ("my password is hunter2, who is Dante?", "general", None, Rating(1))])
    file = own_home / "examples.jsonl"
    told = run("learn", "--out", str(file))
    assert told.exit_code == 0
    assert f"qwendesk route learn --fit '{file}'" in told.stdout
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    assert len(rows) == 13
    assert rows[0].keys() == {"text", "label", "lang", "group", "reason"}
    assert "hunter2" not in file.read_text("utf-8")
    assert file.stat().st_mode & 0o077 == 0

    assert not (own_home / "router.npz").exists()
    fitted = run("learn", "--fit", str(file))
    assert fitted.exit_code == 0, fitted.output
    assert "your examples, each left out" in fitted.stdout
    assert (own_home / "router.npz").is_file()
    assert json.loads(run("explain", asked.format(3), "--json").stdout)["role"] == "thinking"

    assert "ships with Qwendesk is used again" in run("learn", "--undo").stdout
    assert json.loads(run("explain", asked.format(3), "--json").stdout)["role"] != "thinking"


@pytest.mark.usefixtures("few_questions")
def test_a_router_that_would_lose_is_refused(own_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("qwendesk.routing.training.refit.TOLERANCE", TOLERANCE)
    file = own_home / "wrong.jsonl"
    few = load_questions()[::8]
    rows = [{"text": question.text, "label": "math", "group": f"w{n}"} for n, question in enumerate(few)]
    file.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    told = run("learn", "--fit", str(file), "--json")
    assert told.exit_code == 1
    assert "The router was left as it is: accuracy falls" in told.stderr
    tree = json.loads(told.stdout)
    assert tree["installed"] is None
    assert tree["after"]["accuracy"] < tree["before"]["accuracy"]
    assert not (own_home / "router.npz").exists()


@pytest.mark.usefixtures("few_questions")
def test_apply_collects_and_trains_in_one_go(own_home: Path) -> None:
    store([("Who painted the Mona Lisa?", "general", None, Rating(1))])
    told = run("learn", "--apply", "--json")
    assert told.exit_code == 0, told.output
    tree = json.loads(told.stdout)
    assert tree["examples"] == 1
    assert Path(tree["installed"]) == own_home / "router.npz"
    assert Path(tree["file"]).parent == own_home


def test_a_file_that_was_looked_through_is_not_written_over(own_home: Path) -> None:
    store([("Who painted the Mona Lisa?", "general", None, Rating(1))])
    (own_home / "mine.jsonl").write_text("mine", "utf-8")
    told = run("learn", "--out", str(own_home / "mine.jsonl"))
    assert told.exit_code == 1
    assert "is there already" in told.stderr
    assert (own_home / "mine.jsonl").read_text("utf-8") == "mine"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["learn", "--fit", "none.jsonl"], "cannot be read"),
        (["learn", "--fit", "a", "--undo"], "Give one of"),
        (["learn", "--since", "soon"], "24h, 7d, 2w"),
        (["replay", "--router", "none.npz"], "There is no router 'none.npz'"),
    ],
)
def test_what_cannot_be_done_is_one_line(arguments: list[str], said: str) -> None:
    told = run(*arguments)
    assert told.exit_code == 1
    assert said in told.stderr
    assert told.stderr.count("\n") == 1
