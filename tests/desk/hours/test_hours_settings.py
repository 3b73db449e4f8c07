"""Opening hours that cannot be read are refused with the setting, its value and the next step."""

from __future__ import annotations

from pathlib import Path

import pytest

from qwendesk.errors import ConfigError
from qwendesk.settings import Settings, load_settings


def loaded(text: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    file = folder / "qwendesk.toml"
    file.write_text(text, "utf-8")
    monkeypatch.setenv("QWENDESK_CONFIG", str(file))
    return load_settings()


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ('zon = "UTC"', "There is no setting hours.zon ('FILE', line 2). Did you mean 'zone'?"),
        ('zone = "Europe/Berln"', "hours.zone ('FILE', line 2) is 'Europe/Berln', and has to be a time zone such as"),
        ('zone = "Europe/Berln"', "; the closest name is 'Europe/Berlin'."),
        ('zone = "Tokyo"', "; the closest name is 'Asia/Tokyo'."),
        ('zone = "../etc/passwd"', "and has to be a time zone such as 'Europe/Berlin'"),
        ('week = {mon = "9-17"}', "hours.zone (QWENDESK_HOURS__ZONE) is '', and has to be set where hours are"),
        ('country = "DE"', "hours.zone (QWENDESK_HOURS__ZONE) is '', and has to be set where hours are"),
        (
            'zone = "UTC"\nweek = {mon = "9-12-13"}',
            "hours.week.mon.0 ('FILE', line 3) is '9-12-13', and has to be times",
        ),
        ('zone = "UTC"\nweek = {mon = "9:00-9:75"}', "and has to be times such as '09:00-12:30'."),
        ('zone = "UTC"\nweek = {mon = "25:00-26:00"}', "with a start before 24:00 and an end up to 48:00."),
        ('zone = "UTC"\nweek = {mon = "9-9"}', "has to be times whose end is after the start; a whole day is"),
        ('zone = "UTC"\nweek = {mon = "12:30-9"}', "until the next day is '12:30-33:00'."),
        ('zone = "UTC"\nweek = {mon = "10-47"}', "has to be times of at most 24 hours."),
        (
            'zone = "UTC"\nweek = {mon = ["9-12", "11-13"]}',
            "hours.week.mon ('FILE', line 3) is ['9-12', '11-13'], and has to be times that do not overlap, as "
            "'09:00-12:00' and '11:00-13:00' do.",
        ),
        ('zone = "UTC"\nweek = {sun = "22-2", mon = "1-5"}', "do not overlap, as '22:00-26:00' and '01:00-05:00' do."),
        ('zone = "UTC"\nweek = {mo = "9-12"}', "hours.week ('FILE', line 3) has 'mo', which has to be days such as"),
        ('zone = "UTC"\nweek = {mon = "9-12", "mon-fri" = "9-10"}', "names each day once, and 'mon' is named twice."),
        ('zone = "UTC"\nweek = "never"', "hours.week ('FILE', line 3) is 'never', and has to be a table."),
        ('zone = "UTC"\ncountry = "Germany"', "has to be a country's code such as 'DE' or 'JP'; 'Germany' is 'DE'."),
        ('zone = "UTC"\ncountry = "XX"', "hours.country ('FILE', line 3) is 'XX', and has to be a country's code"),
        ('zone = "UTC"\ncountry = "DE"\nsubdivision = "CA"', "has to be a subdivision of DE: 'BB', 'BE',"),
        ('zone = "UTC"\nsubdivision = "BY"', "is 'BY', and has to be beside a country, such as country = 'DE'."),
        ('zone = "UTC"\ncountry = "DE"\n[hours.b]\nsubdivision = "CA"', "hours.b.subdivision ('FILE', line 5) is 'CA'"),
        (
            'zone = "UTC"\nclosed = ["2026-02-30"]',
            "hours.closed.0 ('FILE', line 3) is '2026-02-30', and has to be days",
        ),
        ('zone = "UTC"\nclosed = ["2026-12-24..2026-12-01"]', "with the last day after the first."),
        (
            'zone = "UTC"\nspecial = {"24.12." = "9-12"}',
            "hours.special ('FILE', line 3) has '24.12.', which has to be days",
        ),
        ("[hours.b]\nwek = 1", "There is no setting hours.b.wek ('FILE', line 3). Did you mean 'week'?"),
        ('[hours.b]\nweek = "closed"', "hours.b.zone (QWENDESK_HOURS__B__ZONE) is '', and has to be set where hours"),
    ],
)
def test_a_mistake_is_named(lines: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded(f"[hours]\n{lines}\n", tmp_path, monkeypatch)
    told = str(caught.value).replace(str(tmp_path / "qwendesk.toml"), "FILE")
    assert words in told and told.count("Invalid settings") == 1 and "pydantic" not in told


def test_all_ways_of_writing_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = """
    [hours]
    zone = "Europe/Berlin"
    week = {"mon-thu" = ["9-12:30", "13:30\u201318"], "Friday" = "09:00-26:00", "sat, sun" = []}
    country = "DEU"
    closed = [2026-12-24, "12-31..01-01", "2027-05-01..2027-05-09"]
    special = {"2026-12-23" = ["9-10", "11-12"], "02-29" = []}
    [hours.night]
    week = {"fri-mon" = "22:00-02:00"}
    [hours.robots]
    week = "always"
    """
    settings = loaded(text, tmp_path, monkeypatch)
    assert list(settings.hours.teams) == ["night", "robots"]


def test_a_variable_sets_hours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QWENDESK_HOURS__WEEK", '{"mon": "9-12"}')
    assert loaded('[hours]\nzone = "UTC"', tmp_path, monkeypatch).hours.week == {"mon": ("9-12",)}
