"""``qwendesk rooms``, and what the doctor and the log tell of operators' rooms."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from qwendesk.cli.main import app
from qwendesk.desk.operator_rooms.room import OperatorsRoom
from qwendesk.memory.memory import Memory
from qwendesk.room_checks import room_problems
from qwendesk.settings import load_settings
from tests.cli.test_webhooks import fail_delivery
from tests.databases import put_migrated
from tests.desk.tickets.operators import add_operator


@pytest.fixture(autouse=True)
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QWENDESK_HOME", str(tmp_path))
    put_migrated(tmp_path / "qwendesk.db")
    configure(tmp_path)


def configure(folder: Path, more: str = "", teams: str = "") -> None:
    channel = f'bot_token = "xoxb-1"\napp_token = "xapp-1"\noperators_room = "C77"\n{teams}'
    (folder / "qwendesk.toml").write_text(f"[channels.slack]\n{channel}\n{more}", "utf-8")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["rooms", *arguments])


def answered(*arguments: str) -> Any:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def test_a_failed_post_is_listed_and_made_again(tmp_path: Path) -> None:
    assert answered("list") == [
        {"channel": "slack", "room": "C77", "waiting": 0, "done": 0, "failed": 0, "last_error": None}
    ]
    assert answered("failed") == [] and "no failed deliveries" in run("failed").stderr
    asyncio.run(fail_delivery(tmp_path / "qwendesk.db", "operators_room:slack"))
    assert "1 failed\n    the server answers 500" in run("list").stdout
    (post,) = answered("failed")
    assert (post["channel"], post["kind"], post["attempts"]) == ("slack", "opened", 10)
    assert "slack: 10 tries; the server answers 500" in run("failed").stdout
    assert CliRunner().invoke(app, ["webhooks", "failed"]).stdout == "", "a webhook's are others"
    (problem,) = problems(tmp_path)["slack"]
    assert "1 posts" in problem and "'qwendesk rooms failed'" in problem
    wrong = run("retry", "no-such-id")
    assert wrong.exit_code == 1 and "'qwendesk rooms failed' lists them" in wrong.stderr
    assert answered("retry", post["id"]) == {"retried": 1} and answered("retry", "all") == {"retried": 0}
    assert answered("list")[0]["waiting"] == 1 and problems(tmp_path) == {}


def test_a_desk_without_rooms_tells_how_to_set_one_up(tmp_path: Path) -> None:
    (tmp_path / "qwendesk.toml").write_text("", "utf-8")
    assert "operators-rooms.md" in run("list").stderr and answered("list") == []


@pytest.mark.parametrize(
    ("settings", "team", "told"),
    [
        ("", "Biling", "Did you mean 'Billing'?"),
        ("", "Billing", ""),
        ('[hours.Sales]\nweek = { mon = "9-17" }\n[hours]\nzone = "Europe/Berlin"', "Sales", ""),
        ('[tickets]\nteams = ["Returns"]', "Returns", ""),
        ('[tickets]\nteams = ["Returns"]', "Billing", "Known: Returns."),
    ],
)
def test_a_team_that_there_is_not_is_named(tmp_path: Path, settings: str, team: str, told: str) -> None:
    configure(tmp_path, settings)
    found = problems(tmp_path, team)
    assert (told in found["slack"][0] and repr(team) in found["slack"][0]) if told else found == {}


def test_the_doctor_names_an_unknown_team(tmp_path: Path) -> None:
    configure(tmp_path, teams='operators_room_teams = ["Biling"]')
    shown = CliRunner().invoke(app, ["doctor"]).stdout
    assert "operators_room_teams in [channels.slack] has unknown teams 'Biling'" in " ".join(shown.split())


def problems(folder: Path, *teams: str) -> dict[str, list[str]]:
    async def look() -> dict[str, list[str]]:
        memory = Memory(f"sqlite+aiosqlite:///{folder / 'qwendesk.db'}")
        await memory.open()
        try:
            if teams:
                await add_operator(memory.scope, "ann", teams=["Billing"])
            return await room_problems(load_settings(), memory.scope, {"slack": OperatorsRoom("C77", teams)})
        finally:
            await memory.aclose()

    return asyncio.run(look())
