"""``qwendesk route``: what a person and a program read."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from qwendesk.cli.route import app

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
    assert "accuracy    0.667" in RUN.invoke(app, ["eval", str(file)]).stdout


def test_eval_of_a_bad_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "q.jsonl").write_text('{"text": 1}\n', "utf-8")
    told = RUN.invoke(app, ["eval", str(tmp_path / "q.jsonl")])
    assert told.exit_code == 1
    assert "q.jsonl:1" in told.output


def test_the_policy_is_shown_written_and_checked(tmp_path: Path) -> None:
    shown = RUN.invoke(app, ["policy"]).stdout
    assert "not there yet" in shown and "models.swap_gain" in shown
    assert RUN.invoke(app, ["policy", "--write"]).exit_code == 0
    file = tmp_path / "policy.toml"
    assert "# swap_gain = 0.5" in file.read_text("utf-8")
    again = RUN.invoke(app, ["policy", "--write"])
    assert again.exit_code == 1 and "there already" in again.output
    file.write_text(file.read_text("utf-8").replace("# swap_gain = 0.5", "swap_gain = 0.9"), "utf-8")
    tree = json.loads(RUN.invoke(app, ["policy", "--json"]).stdout)
    rows = {row["name"]: (row["value"], row["from"]) for row in tree["policy"]}
    assert rows["models.swap_gain"] == (0.9, str(file)) and rows["models.languages"] == (True, "default")
    assert "holds" in RUN.invoke(app, ["policy", "--check", str(file)]).stdout


def test_a_wrong_policy_is_one_line_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[models]\nswap = 1\n", "utf-8")
    told = RUN.invoke(app, ["policy", "--check", str(file)])
    assert told.exit_code == 1
    assert "line 2, models.swap: is not known; known here: swap_gain, languages" in " ".join(told.output.split())
    assert RUN.invoke(app, ["policy", "--check", str(tmp_path / "none.toml")]).exit_code == 1


def test_explain_goes_by_the_policy(tmp_path: Path) -> None:
    (tmp_path / "policy.toml").write_text('[[rule]]\nwhen = {contains = ["bike*"]}\nrole = "math"\n', "utf-8")
    tree = json.loads(RUN.invoke(app, ["explain", "Tell me about bikes", "--json"]).stdout)
    assert (tree["role"], tree["signals"]) == ("math", ["your rule 1: the message holds 'bike*'"])
