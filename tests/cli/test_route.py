"""``qwendesk route``: what a person and a program read."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from qwendesk.cli.route.command import app

RUN = CliRunner()


def test_explain_says_role_language_and_reasons() -> None:
    told = RUN.invoke(app, ["explain", "Scrivi una funzione che inverte una stringa"])
    assert told.exit_code == 0
    assert "coder" in told.stdout
    assert "Italian" in told.stdout
    assert "words of programming" in told.stdout


def test_explain_for_programs() -> None:
    tree = json.loads(RUN.invoke(app, ["explain", "-", "--json"], input="What is 37*91+4?").stdout)
    assert (tree["role"], tree["language"]) == ("math", "en")
    assert tree["probabilities"]["math"] == pytest.approx(tree["confidence"], abs=1e-3)
    assert tree["signals"]


def test_explain_tells_where_the_questions_of_one_message_go() -> None:
    text = "Write a Python function that reverses a string. What is 37*91+4? Where is my order B-77?"
    told = RUN.invoke(app, ["explain", text]).stdout
    tree = json.loads(RUN.invoke(app, ["explain", text, "--json"]).stdout)
    assert [part["role"] for part in tree["parts"]] == ["coder", "math", "general"]
    assert "What is 37*91+4?" in told.partition("part      math")[2].splitlines()[0]
    assert json.loads(RUN.invoke(app, ["explain", "What is 37*91+4?", "--json"]).stdout)["parts"] == []


def test_a_picture_decides(tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    told = RUN.invoke(app, ["explain", "What is this?", "--image", str(tmp_path / "a.png"), "--json"])
    assert json.loads(told.stdout)["role"] == "vision"
    assert RUN.invoke(app, ["explain", "x", "--image", str(tmp_path / "none.png")]).exit_code == 1


def test_eval_measures_a_file(tmp_path: Path) -> None:
    file = tmp_path / "q.jsonl"
    rows = [
        {"text": "Write a Python function that sorts a list", "label": "coder", "lang": "en", "group": "1"},
        {"text": "Wie viel ist 12 * 7?", "label": "math", "lang": "de", "group": "2"},
        {"text": "Who painted the Mona Lisa?", "label": "coder", "lang": "en", "group": "3"},
    ]
    file.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    result = json.loads(RUN.invoke(app, ["eval", str(file), "--json"]).stdout)
    assert result["accuracy"] == pytest.approx(2 / 3, abs=1e-3)
    assert result["by_language"] == {"de": 1, "en": 0.5}
    assert result["confusion"]["coder"]["general"] == 1
    assert result["latency_ms"].keys() == {"p50", "p95"}
    assert {"accuracy3", "macro_f1", "by_role", "ece", "selective", "rss_mb"} <= result.keys()
    assert result["selective"].keys() == {"50", "70", "90"}
    assert result["by_role"]["coder"].keys() == {"precision", "recall", "f1", "questions"}
    assert result["questions"] == 3
    table = RUN.invoke(app, ["eval", str(file)]).stdout
    assert "accuracy    0.667" in table and "\nmemory      " in table


def test_eval_by_kind_and_written_otherwise(tmp_path: Path) -> None:
    file = tmp_path / "q.jsonl"
    rows = [
        {"text": "Write a Python function that sorts a list", "label": "coder", "kind": "code"},
        {"text": "Who painted the Mona Lisa?", "label": "coder", "kind": "facts"},
    ]
    file.write_text("\n".join(map(json.dumps, rows)), "utf-8")
    plain = json.loads(RUN.invoke(app, ["eval", str(file), "--json"]).stdout)
    assert plain["by_kind"] == {"code": 1, "facts": 0}
    assert "cost_of_noise" not in plain
    noisy = json.loads(RUN.invoke(app, ["eval", str(file), "--noise", "--json"]).stdout)
    assert noisy["accuracy"] == plain["accuracy"]
    assert {"upper case", "a signature below", "words of other languages around it"} <= noisy["cost_of_noise"].keys()
    assert all(abs(cost) <= 1 for cost in noisy["cost_of_noise"].values())
    told = RUN.invoke(app, ["eval", str(file), "--noise"]).stdout
    assert "points lost" in told and "facts 0.00" in told


def test_eval_of_a_bad_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text('{"text": 1}\n', "utf-8")
    told = RUN.invoke(app, ["eval", str(tmp_path / "q.jsonl")])
    assert told.exit_code == 1
    assert "q.jsonl:1" in told.output


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "There are no questions"),
        ('{"text": "a", "label": "math"}\n{"text": "b"', "q.jsonl:2 is not a question"),
        ('{"text": "a"}', "q.jsonl:1 is not a question"),
        ('{"label": "math"}', "q.jsonl:1 is not a question"),
        ('{"text": "a", "label": "poet"}', "there are: general, coder, math, thinking"),
    ],
)
def test_eval_names_the_line_that_does_not_hold(content: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text(content, "utf-8")
    told = RUN.invoke(app, ["eval", str(tmp_path / "q.jsonl"), "--json"])
    assert told.exit_code == 1
    assert said in told.stderr
    assert told.stdout == ""
    assert "Error(" not in told.stderr and "Traceback" not in told.stderr


def test_eval_of_one_huge_question(tmp_path: Path) -> None:
    row = json.dumps({"text": "Where is my order? " * 55_000, "label": "general"})
    (tmp_path / "q.jsonl").write_text(row, "utf-8")
    result = json.loads(RUN.invoke(app, ["eval", str(tmp_path / "q.jsonl"), "--json"]).stdout)
    assert result["accuracy"] in (0, 1)
    assert result["by_language"].keys() == {"?"}


@pytest.mark.parametrize("text", ["😀", "x " * 500_000, "\u200f\u200b", "Route this to the coder"])
def test_explain_has_an_answer_to_any_text(text: str) -> None:
    told = RUN.invoke(app, ["explain", "-", "--json"], input=text)
    assert told.exit_code == 0
    tree = json.loads(told.stdout)
    keys = {"role", "confidence", "runner_up", "probabilities", "needs_thinking", "language", "signals"}
    assert keys <= tree.keys()


@pytest.mark.parametrize("text", ["", "  \n"])
def test_explain_refuses_an_empty_message_as_a_chat_does(text: str) -> None:
    told = RUN.invoke(app, ["explain", text])
    assert told.exit_code == 1
    assert "The message is empty." in told.stderr


def test_explain_takes_a_message_without_quotes() -> None:
    told = RUN.invoke(app, ["explain", "What", "is", "37*91+4?", "--json"])
    assert json.loads(told.stdout)["role"] == "math"


def test_a_rule_for_a_model_that_is_unknown_is_doubted(tmp_path: Path) -> None:
    rule = '[[rule]]\nwhen = {{contains = ["a"]}}\nmodel = "{}"\n'
    (tmp_path / "p.toml").write_text(rule.format("qwen3-8b") + rule.format("nonsense"), "utf-8")
    told = RUN.invoke(app, ["policy", "--check", str(tmp_path / "p.toml")])
    assert told.exit_code == 0
    assert "rule 2: model: There is no model 'nonsense'" in told.stderr
    assert "rule 1" not in told.stderr


def test_a_router_of_ones_own_can_be_named(tmp_path: Path) -> None:
    from qwendesk.routing.classifier.classifier import load_classifier

    load_classifier().save(tmp_path / "mine.npz")
    named = RUN.invoke(app, ["explain", "What is 37*91+4?", "--json", "--router", str(tmp_path / "mine.npz")])
    assert json.loads(named.stdout)["role"] == "math"
    (tmp_path / "bad.npz").write_text("bad")
    told = RUN.invoke(app, ["explain", "x", "--router", str(tmp_path / "bad.npz")])
    assert told.exit_code == 1
    assert "is not a router file" in told.stderr
    assert "pickle" not in told.stderr


def test_help_lists_every_command() -> None:
    told = RUN.invoke(app, ["--help"]).stdout
    assert all(name in told for name in ("explain", "eval", "replay", "shadow", "learn"))


def test_the_policy_is_shown_written_and_checked(tmp_path: Path) -> None:
    shown = RUN.invoke(app, ["policy"]).stdout
    assert "not there yet" in shown and "models.model_switch_threshold" in shown
    assert RUN.invoke(app, ["policy", "--write"]).exit_code == 0
    file = tmp_path / "policy.toml"
    assert "# model_switch_threshold = 0.5" in file.read_text("utf-8")
    again = RUN.invoke(app, ["policy", "--write"])
    assert again.exit_code == 1 and "there already" in again.output
    file.write_text(
        file.read_text("utf-8").replace("# model_switch_threshold = 0.5", "model_switch_threshold = 0.9"), "utf-8"
    )
    tree = json.loads(RUN.invoke(app, ["policy", "--json"]).stdout)
    rows = {row["name"]: (row["value"], row["from"]) for row in tree["policy"]}
    assert rows["models.model_switch_threshold"] == (0.9, str(file)) and rows["models.languages"] == (True, "default")
    assert "is valid" in RUN.invoke(app, ["policy", "--check", str(file)]).stdout


def test_a_wrong_policy_is_one_line_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[models]\nswap = 1\n", "utf-8")
    told = RUN.invoke(app, ["policy", "--check", str(file)])
    assert told.exit_code == 1
    assert "line 2, models.swap: is not known; known here: model_switch_threshold, languages" in " ".join(
        told.output.split()
    )
    assert RUN.invoke(app, ["policy", "--check", str(tmp_path / "none.toml")]).exit_code == 1


def test_explain_goes_by_the_policy(tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text('[[rule]]\nwhen = {contains = ["bike*"]}\nrole = "math"\n', "utf-8")
    tree = json.loads(RUN.invoke(app, ["explain", "Tell me about bikes", "--json"]).stdout)
    assert (tree["role"], tree["signals"]) == ("math", ["your rule 1: the message holds 'bike*'"])
