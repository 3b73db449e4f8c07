"""Codes for strangers: one origin of names gets few, and takes nothing of what is left for others."""

from pathlib import Path

import pytest

from qwendesk.desk.access import origin_of
from qwendesk.messages import Inbound
from tests.security.served import Served, served

PAIRING = {"access": "pairing"}


async def codes(desk: Served, count: int, **more: object) -> int:
    """Return how many of so many new names are given a code."""
    given = 0
    for number in range(count):
        values = {key: str(value).format(number) for key, value in more.items()}
        told = await desk.told("hello", **{"person": f"p{number}", **values, "conversation": f"{more}{number}"})
        given += "code" in told
    return given


@pytest.mark.parametrize(
    "names",
    [
        {"person": "web{}", "address": "203.0.114.9"},
        {"person": "six{}", "address": "2a01:4f8:1:2::{}"},
        {"person": "mapped{}", "address": "::ffff:203.0.114.10"},
        {"person": "user{}@spam.example"},
        {"person": "unproven:user{}@spam.example"},
        {"person": "@user{}:matrix.spam.example"},
        {"person": "nick{}!user@host.spam.example"},
        {"person": "room@rooms.spam.example/nick{}"},
    ],
    ids=lambda names: names["person"],
)
async def test_one_origin_gets_few_codes_and_others_still_get_theirs(tmp_path: Path, names: dict[str, str]) -> None:
    async with served(tmp_path, rules=PAIRING) as desk:
        assert 1 <= await codes(desk, 12, **names) <= 5
        assert await codes(desk, 3, person="else{0}@other{0}.example") == 3
        assert await codes(desk, 3, person="seen{}", address="198.51.101.{}") == 3


async def test_who_asks_again_is_told_the_same_code_and_spends_nothing(tmp_path: Path) -> None:
    async with served(tmp_path, rules=PAIRING) as desk:
        first = await desk.told("hello", "ann@a.example", conversation="c0")
        for number in range(1, 10):
            assert await desk.told("hello", "ann@a.example", conversation=f"c{number}") == first
        assert "code" in await desk.told("hello", "bob@a.example")


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "10.0.0.8", "192.168.1.5", "fe80::1%eth0", "testclient", ""])
def test_visitors_behind_a_proxy_of_ones_own_do_not_share_a_limit(address: str) -> None:
    assert origin_of(Inbound("x", "c", person="p", address=address)) == ""


async def test_the_address_is_not_stored(tmp_path: Path) -> None:
    async with served(tmp_path) as desk:
        await desk.told("hello there", address="203.0.114.9")
        await desk.settle()
    stored = b"".join(file.read_bytes() for file in tmp_path.rglob("*.db*"))  # noqa: ASYNC240 - nothing else runs
    assert b"203.0.114.9" not in stored
