"""``qwendesk operators``: accounts from the command line, with passwords that no argument holds."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from qwendesk.cli.main import app
from tests.databases import put_migrated

PASSWORD = "correct horse battery"


@pytest.fixture(autouse=True)
def migrated(own_home: Path) -> None:
    put_migrated(own_home / "qwendesk.db")


def run(*arguments: str, typed: str | None = None) -> Result:
    return CliRunner().invoke(app, ["operators", *arguments], input=typed)


def add(name: str, *options: str) -> Result:
    return run("add", name, *options, typed=f"{PASSWORD}\n")


def test_accounts_are_added_listed_and_changed() -> None:
    assert "adds the first" in run("list").stderr
    assert "role 'admin'" in add("Ann", "--language", "German", "--team", "Billing").stdout
    shown = json.loads(add("ken", "--role", "viewer", "--display-name", "健", "--json").stdout)
    assert (shown["name"], shown["role"], shown["display_name"], shown["state"]) == ("ken", "viewer", "健", "offline")
    assert run("role", "ken", "operator").exit_code == 0
    assert run("edit", "ken", "--language", "ja", "--language", "en", "--team", "").exit_code == 0
    listed = json.loads(run("list", "--json").stdout)
    assert [(one["name"], one["role"], one["languages"]) for one in listed] == [
        ("ann", "admin", ["de"]),
        ("ken", "operator", ["ja", "en"]),
    ]
    assert "languages      ja, en" in run("show", "KEN").stdout
    assert json.loads(run("show", "ann", "--json").stdout)["sessions"] == []
    for command, told in (
        (("disable", "ken"), "disabled"),
        (("enable", "ken"), "enabled"),
        (("password", "ken"), "new password"),
        (("totp", "ken"), "no second factor"),
        (("totp", "ken", "--reset"), "no second factor"),
        (("logout", "ken"), "0 sessions"),
    ):
        done = run(*command, typed="another long password\n")
        assert done.exit_code == 0 and told in done.stdout, done.output
    log = run("audit", "--action", "operator").stdout
    assert "command line  operator.disable  operator:ken" in log and "another" not in log and PASSWORD not in log


@pytest.mark.parametrize(
    ("arguments", "typed", "told"),
    [
        (("add", "bob"), "", "There is no password"),
        (("add", "bob"), "short\n", "5 characters"),
        (("add", "bob"), "\n\n", "There is no password"),
        (("add", "a b"), PASSWORD, "not a log-in name"),
        (("add", "ann"), PASSWORD, "already"),
        (("add", "bob", "--role", "boss"), PASSWORD, "no role 'boss'"),
        (("add", "bob", "--language", "Germn"), PASSWORD, "Did you mean"),
        (("password", "anne"), PASSWORD, "Did you mean 'ann'"),
        (("role", "ann", "viewer"), None, "No admin would be left"),
        (("edit", "ann"), None, "nothing to change"),
        (("edit", "ann", "--display-name", ""), None, "is empty"),
    ],
)
def test_mistakes_are_one_line(arguments: tuple[str, ...], typed: str | None, told: str) -> None:
    add("ann")
    refused = run(*arguments, typed=typed)
    assert refused.exit_code == 1 and told in refused.stderr and refused.stdout == ""
    assert refused.stderr.startswith("Error: ") and refused.stderr.count("\n") == 1
    assert [one["name"] for one in json.loads(run("list", "--json").stdout)] == ["ann"]


def test_the_last_admin_can_be_disabled_here_with_a_warning() -> None:
    add("ann")
    done = run("disable", "ann")
    assert done.exit_code == 0 and "there is no admin now" in done.stderr


def test_on_a_terminal_the_password_is_asked_for_twice_and_not_shown(own_home: Path) -> None:
    ours, theirs = pty.openpty()
    program = [sys.executable, "-m", "qwendesk", "operators", "add", "ann"]
    process = subprocess.Popen(
        program, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True, cwd=own_home
    )
    os.close(theirs)
    shown = ""
    for asked, typed in (
        ("Password of ann: ", "short"),
        ("Once more: ", "short"),
        ("Password of ann: ", PASSWORD),
        ("Once more: ", PASSWORD),
    ):
        begun = len(shown)  # the blank behind a prompt is written when the terminal shows no more what is typed
        while asked not in shown[begun:]:
            shown += os.read(ours, 1000).decode()
        os.write(ours, f"{typed}\n".encode())
    while "is added" not in shown:
        shown += os.read(ours, 1000).decode()
    assert process.wait(30) == 0
    os.close(ours)
    assert "5 characters" in shown and PASSWORD not in shown


def test_an_operator_is_linked_with_a_channel(own_home: Path) -> None:
    add("ann")
    assert "no channel 'slack'" in run("link", "ann", "slack").stderr
    (own_home / "qwendesk.toml").write_text('[channels.slack]\nbot_token = "x"\napp_token = "y"\n', "utf-8")
    assert "set operators_room" in run("link", "ann", "slack").stderr
    with (own_home / "qwendesk.toml").open("a", encoding="utf-8") as file:
        file.write('operators_room = "C1"\n')
    made = json.loads(run("link", "ann", "slack", "--json").stdout)
    assert run("link", "ann", "slack").stdout.startswith("!link ")
    assert made["code"] not in run("audit").stdout
    assert json.loads(run("list", "--json").stdout)[0]["links"] == []
    assert run("unlink", "ann", "slack").exit_code == 0
    assert "is not linked" in run("unlink", "ann", "slack").stderr
    assert "operator.link_code" in run("audit").stdout
