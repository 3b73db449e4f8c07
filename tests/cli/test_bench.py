"""``qwendesk bench``: what a person and a program read."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from qwendesk import Desk, Settings
from qwendesk.cli.bench.command import app
from qwendesk.settings import STARTER_MODEL
from tests.testing.quality_rows import write_rows

RUN = CliRunner()
MODEL = ("--model", "scripted:scripted-general")


@pytest.fixture(autouse=True)
def scripted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QWENDESK_ENGINE", "scripted")
    monkeypatch.setenv("QWENDESK_EMBEDDER", "none")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_rows(tmp_path / "data")


def bench(*arguments: str | Path) -> str:
    done = RUN.invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


def refused(*arguments: str | Path) -> str:
    done = RUN.invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == 1 and "Traceback" not in done.output, done.output
    return done.stderr.strip()


def test_both_arms_are_asked_and_compared(data: Path, own_home: Path) -> None:
    asked = ("quality", "--suite", "gsm8k", "--suite", "irrelevance", "--data", data, *MODEL)
    figures = json.loads(bench(*asked, "--json"))
    assert figures["model"] == "scripted:scripted-general" and figures["seed"] == 1
    assert figures["suites"].keys() == {"gsm8k", "irrelevance"}
    gsm8k = figures["suites"]["gsm8k"]
    assert [gsm8k["arms"][arm]["scored"] for arm in ("bare", "desk")] == [2, 2]
    assert figures["suites"]["irrelevance"]["difference"]["points"] == 0
    assert figures["totals"]["bare"]["answers"] == 3 and figures["totals"]["desk"]["tokens_in"] > 0
    folder = own_home / "bench" / figures["run"]
    before = {file: file.read_bytes() for file in folder.iterdir()}
    table = bench(*asked)
    assert {file: file.read_bytes() for file in folder.iterdir()} == before, "nothing is asked twice"
    assert "gsm8k" in table and "difference" in table and "irrelevance  1    1 (100.0%)     1 (100.0%)" in table


def test_a_limit_an_arm_and_a_run_of_its_own(data: Path) -> None:
    one = ("quality", "--suite", "gsm8k", "--data", data, "--run", "mine", "--json", *MODEL)
    first = json.loads(bench(*one, "--limit", "1", "--arm", "bare"))
    assert first["suites"]["gsm8k"]["arms"].keys() == {"bare"} and first["suites"]["gsm8k"]["difference"] is None
    both = json.loads(bench(*one))
    assert both["suites"]["gsm8k"]["difference"]["pairs"] == 2
    assert [run["run"] for run in json.loads(bench("show", "--json"))] == ["mine"]
    assert json.loads(bench("show", "mine", "--json"))["suites"] == both["suites"]


def test_again_asks_again(data: Path, own_home: Path) -> None:
    one = ("quality", "--suite", "gsm8k", "--data", data, "--run", "mine", *MODEL)
    bench(*one)
    file = own_home / "bench" / "mine" / "gsm8k.desk.jsonl"
    file.write_text(file.read_text("utf-8").replace("This is", "That was"), "utf-8")
    bench(*one, "--again", "--arm", "desk")
    assert "That was" not in file.read_text("utf-8")


def test_transcripts_show_question_answer_and_verdict(data: Path) -> None:
    bench("quality", "--suite", "handover", "--data", data, "--run", "mine", *MODEL)
    shown = bench("show", "mine", "--suite", "handover", "--arm", "bare", "--only", "right")
    assert "== h2, bare: right (not passed on)" in shown and "> Can a person live on Mars?" in shown
    assert "[offered: hand_over_to_person]" in shown and "h1" not in shown and "You said: Can a person" in shown
    rows = json.loads(bench("show", "mine", "--suite", "handover", "--question", "h1", "--json"))
    assert [(row["arm"], row["score"]["right"]) for row in rows] == [("bare", False), ("desk", False)]
    assert bench("show", "mine", "--suite", "handover", "--only", "differing") == "No answer is like that.\n"
    assert "mine  scripted:scripted-general, seed 1: handover" in bench("show")


def test_what_is_not_there_is_named_with_the_next_step(data: Path, tmp_path: Path) -> None:
    assert "There is no suite 'gsm9k'; there are: gsm8k," in refused("quality", "--suite", "gsm9k")
    assert "There is no arm 'naked'" in refused("quality", "--suite", "language", "--arm", "naked")
    assert "by --data" in refused("quality", "--suite", "gsm8k", *MODEL)
    assert "is not a folder" in refused("quality", "--suite", "gsm8k", "--data", tmp_path / "none", *MODEL)
    asked = ("quality", "--suite", "gsm8k", "--data", data)
    assert "scripted has no model 'other'; there are: scripted-general" in refused(*asked, "--model", "other")
    assert "leave out slashes" in refused(*asked, *MODEL, "--run", "../up")
    assert "There is no run 'none'" in refused("show", "none")
    bench(*asked, *MODEL, "--run", "mine")
    assert "has no 'mgsm'; it has: gsm8k" in refused("show", "mine", "--suite", "mgsm")
    assert "has no question 'x'" in refused("show", "mine", "--suite", "gsm8k", "--question", "x")
    assert "--only 'good'" in refused("show", "mine", "--suite", "gsm8k", "--only", "good")
    assert "has seed 1, not 2" in refused(*asked, *MODEL, "--run", "mine", "--seed", "2")


def test_a_model_that_is_not_fetched_says_how_to_get_it(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QWENDESK_ENGINE", "llamacpp")
    asked = ("quality", "--suite", "gsm8k", "--data", data)
    told = refused(*asked, "--model", "qwen2.5-coder-0.5b")
    assert "has not been fetched: 'qwendesk models pull qwen2.5-coder-0.5b'" in told
    assert "qwendesk models pull" in refused(*asked)


@pytest.mark.slow
@pytest.mark.model
@pytest.mark.timeout(600)
def test_a_real_model_is_measured(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fetch() -> None:
        async with Desk(Settings()) as desk:
            await desk.pool.choose("general")

    monkeypatch.setenv("QWENDESK_ENGINE", "llamacpp")
    monkeypatch.setenv("QWENDESK_MAX_OUTPUT_TOKENS", "48")
    asyncio.run(fetch())
    asked = ("quality", "--suite", "irrelevance", "--suite", "bfcl", "--limit", "1", "--data", data, "--json")
    figures = json.loads(bench(*asked, "--model", STARTER_MODEL))
    assert figures["run"] == f"llamacpp-{STARTER_MODEL}-seed1"
    for suite in figures["suites"].values():
        assert suite["difference"]["pairs"] == 1
        for arm in suite["arms"].values():
            assert arm["errors"] == 0 and arm["tokens_in"] > 20 and arm["tokens_out"] > 0 and arm["seconds"] > 0


def test_the_suites_are_listed_and_described() -> None:
    rows = json.loads(bench("suites", "--json"))
    page = (Path(__file__).parents[2] / "docs" / "explanation" / "quality.md").read_text("utf-8")
    assert len(rows) == 13 and rows[0]["files"] == ["gsm8k.jsonl"]
    listed = bench("suites")
    for row in rows:
        assert f"`{row['name']}`" in page and row["summary"] in listed
        assert all(f"`{file}`" in page for file in row["files"])


def test_no_run_says_how_to_make_one() -> None:
    done = RUN.invoke(app, ["show"])
    assert done.exit_code == 0 and "There are no runs yet" in done.stderr
