import os

import pytest

from qwendesk.errors import ConfigError
from qwendesk.prompts import render
from qwendesk.prompts.rendering import built_in

ROLES = ["audio", "coder", "general", "math", "thinking", "vision"]
OTHERS = ["passages", "report", "route", "system_context", "tools", "translate", "word_program"]
"""Translations, programs, where a message is sorted, tools, and whose desk it is."""
MEMORY = ["background", "documents", "facts", "summary"]
"""What goes in from the memory, and what makes it."""


def test_every_role_has_a_template():
    assert built_in() == sorted(ROLES + OTHERS + MEMORY)


@pytest.mark.parametrize("name", ROLES)
def test_the_language_is_named_when_it_is_known(name):
    assert "Answer in Chinese unless" in render(name, language="Chinese", tools=True)
    assert "Answer in the person's language" in render(name, language=None, tools=True)


@pytest.mark.parametrize("name", ROLES)
def test_a_prompt_is_lean_and_has_no_blank_lines(name):
    text = render(name, language="Portuguese", tools=True)
    assert len(text) < 560
    assert all(line.strip() for line in text.splitlines())


def test_mathematics_asks_for_steps_and_a_box():
    text = render("math", language=None, tools=True)
    assert "step by step" in text
    assert "\\boxed{}" in text


def test_a_prompt_is_the_same_each_time_so_that_it_can_be_cached():
    assert render("general", language="English", tools=True) == render("general", language="English", tools=True)


def test_an_unknown_template_is_named():
    with pytest.raises(ConfigError, match=r"'poet'.*coder, .*general"):
        render("poet")


def test_a_missing_value_is_named():
    with pytest.raises(ConfigError, match="language"):
        render("general")


def test_an_own_template_comes_before_the_built_in_one(tmp_path):
    (tmp_path / "general.jinja").write_text("You sell tea.\n{% include '_language.jinja' %}", "utf-8")
    assert render("general", folder=tmp_path, language="Thai", tools=True).startswith("You sell tea.\nAnswer in Thai")
    assert "mathematician" in render("math", folder=tmp_path, language=None, tools=True)


def test_a_changed_own_template_is_read_again(tmp_path):
    file = tmp_path / "general.jinja"
    for number, text in enumerate(["one", "two"]):
        file.write_text(text, "utf-8")
        # the timestamps of a file system may not distinguish two writes
        os.utime(file, ns=(number, number))
        assert render("general", folder=tmp_path) == text


def test_a_wrong_own_template_is_a_clear_error(tmp_path):
    (tmp_path / "general.jinja").write_text("{% if %}", "utf-8")
    with pytest.raises(ConfigError, match="'general' cannot be rendered"):
        render("general", folder=tmp_path)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/../../secret"])
def test_templates_outside_the_folder_are_not_read(tmp_path, name):
    (tmp_path / "secret.jinja").write_text("secret", "utf-8")
    (tmp_path / "own").mkdir()
    with pytest.raises(ConfigError):
        render(name, folder=tmp_path / "own")


def test_values_are_not_read_as_templates():
    assert "{{ 7 * 7 }}" in render("general", language="{{ 7 * 7 }}", tools=True)


def test_a_small_model_is_asked_for_code_in_fewer_words():
    short = render("coder", language="English", small=True)
    assert "one fenced block" in short and len(short) < 0.6 * len(render("coder", language="English"))
