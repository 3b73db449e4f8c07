"""Conversations of customers, operators and the bot, each on a desk of its own; the files beside hold them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qwendesk.cli.tickets.simulation import play_scenario
from qwendesk.errors import ConfigError
from qwendesk.testing.ticket_scenario import TicketScenario, read_scenarios

FOLDER = Path(__file__).parent
QUICK = 6
"""Scenarios of which one is played each time; the others are slow in all."""


def scenarios() -> Iterator[Any]:
    for number, scenario in enumerate(read_scenarios(FOLDER)):
        marks = [] if number % QUICK == 0 else [pytest.mark.slow]
        yield pytest.param(scenario, id=scenario.name, marks=marks)


@pytest.mark.parametrize("scenario", list(scenarios()))
async def test_a_scenario_goes_as_expected(scenario: TicketScenario, tmp_path: Path) -> None:
    assert await play_scenario(scenario, tmp_path) == []


@pytest.mark.slow
@pytest.mark.model
@pytest.mark.timeout(600)
@pytest.mark.parametrize("scenario", [pytest.param(one, id=one.name) for one in read_scenarios(FOLDER / "starter")])
async def test_a_scenario_on_the_starter_model(scenario: TicketScenario, tmp_path: Path) -> None:
    assert await play_scenario(scenario, tmp_path) == []


def read(tmp_path: Path, text: str) -> list[TicketScenario]:
    file = tmp_path / "s.yaml"
    file.write_text(text, "utf-8")
    return read_scenarios(file)


FAULTY = """
name: nothing is as expected
operators: [{name: ada}]
steps:
  - customer: "hello"
    expect: {state: human, held_by: ada, tickets: 2, silent: true, gets: ["a", "b"], told: csat_thanks, by: operator,
             never: ["OK"], events: [opened, resolved]}
  - operator: ada
    does: hand_back
"""


async def test_what_does_not_hold_is_told(tmp_path: Path) -> None:
    (scenario,) = read(tmp_path, FAULTY)
    failures = await play_scenario(scenario, tmp_path)
    told = "\n".join(failures)
    for part in ("the state is 'bot'", "the holder is ''", "tickets is 1", "the customer got ['OK 1.']", "csat_thanks"):
        assert part in told
    for part in ("not by the operator", "got 'OK'", "no event 'resolved'", "ada was refused"):
        assert part in told
    assert len(failures) == 10


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name: x", "steps: Field required"),
        ("- {name: x, steps: [{}]}", "one of customer, operator"),
        ("- {name: x, steps: [{customer: a, operator: b}]}", "one of customer, operator"),
        (
            "- {name: x, steps: [{customer: a, expect: {stat: bot}}]}",
            "1.expect.stat: there is no such key. Did you mean 'state'",
        ),
        (
            "- {name: x, steps: [{customer: a, expect: {told: no_oprator}}]}",
            "no text 'no_oprator'. Did you mean 'no_operator'",
        ),
        ("- {name: x, steps: [{wait: soon}]}", "a time such as"),
        ("hello", "has to be a mapping"),
        ("a: [", "is not YAML"),
    ],
)
def test_a_mistake_in_a_file_is_named(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        read(tmp_path, text)


async def test_a_mistake_in_the_settings_is_named(tmp_path: Path) -> None:
    (scenario,) = read(tmp_path, "{name: x, settings: {tickets: {anounce: true}}, steps: [{customer: hi}]}")
    with pytest.raises(ConfigError, match=r"x: settings.tickets.anounce: there is no such setting"):
        await play_scenario(scenario, tmp_path)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        read_scenarios(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="no file that ends in"):
        read_scenarios(tmp_path)


async def test_the_scenario_of_the_documentation(tmp_path: Path) -> None:
    page = Path(__file__).parents[2] / "docs" / "how-to" / "ticket-scenarios.md"
    (scenario,) = read(tmp_path, page.read_text("utf-8").split("```yaml\n")[1].split("```")[0])
    assert await play_scenario(scenario, tmp_path) == []


async def test_the_settings_of_the_folder_and_the_environment_do_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "qwendesk.toml").write_text('[tickets]\nenabled = "off"\n')
    monkeypatch.setenv("QWENDESK_CONFIG", str(tmp_path / "qwendesk.toml"))
    (scenario,) = read(tmp_path, "{name: x, operators: [{name: ada}], steps: [{customer: hi, expect: {tickets: 1}}]}")
    assert await play_scenario(scenario, tmp_path) == []
