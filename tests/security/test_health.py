"""``/healthz`` tells everybody whether the desk works, and whoever runs it why not."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from qwendesk.errors import ConfigError, StoreError
from qwendesk.server.web import HealthEndpoint, build_app

PRIVATE = {"waiting": 3, "problems": {"mail": "The folder '/srv/secret' cannot be read."}}
LOCAL, REMOTE = "127.0.0.1", "203.0.113.9"
FORWARDING = [{"X-Forwarded-For": REMOTE}, {"Forwarded": f"for={REMOTE}"}, {"X-Real-IP": REMOTE}, {"Via": "1.1 proxy"}]


async def ask(health: Any, address: str, headers: dict[str, str] | None = None) -> httpx.Response:
    app = build_app(health, health_token="a secret token")
    transport = httpx.ASGITransport(app, client=(address, 1234))
    async with httpx.AsyncClient(transport=transport, base_url="http://desk") as client:
        return await client.get("/healthz", headers=headers)


async def well() -> dict[str, Any]:
    return {"status": "degraded", **PRIVATE}


@pytest.mark.parametrize(
    ("address", "headers"),
    [
        (REMOTE, {}),
        (REMOTE, {"Authorization": "Bearer another"}),
        (REMOTE, {"Authorization": "Basic a secret token"}),
        (REMOTE, {"X-Forwarded-For": LOCAL}),
        *((LOCAL, one) for one in FORWARDING),
        ("", {}),
    ],
)
async def test_others_are_told_the_status_alone(address: str, headers: dict[str, str]) -> None:
    answer = await ask(well, address, headers)
    assert (answer.status_code, answer.json()) == (200, {"status": "degraded"})


@pytest.mark.parametrize(
    ("address", "headers"),
    [(LOCAL, {}), ("::1", {}), ("::ffff:127.0.0.1", {}), (REMOTE, {"Authorization": "Bearer a secret token"})],
)
async def test_whoever_runs_the_desk_is_told_all(address: str, headers: dict[str, str]) -> None:
    assert (await ask(well, address, headers)).json() == {"status": "degraded", **PRIVATE}


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (StoreError("The database '/srv/desk/qwendesk.db' is locked.", reason="the database is locked"), "locked"),
        (StoreError("The database 'postgresql://desk:pw@db/desk' is away."), "the database cannot be used"),
        (ConfigError("The file '/srv/desk/qwendesk.toml' is gone."), "the desk cannot work"),
    ],
)
async def test_why_it_cannot_work_is_told_in_general_words(error: Exception, reason: str) -> None:
    async def fails() -> dict[str, Any]:
        raise error

    answer = await ask(fails, REMOTE)
    assert answer.status_code == 503 and set(answer.json()) == {"status", "reason"}
    assert reason in answer.json()["reason"]
    assert not any(secret in answer.text for secret in ("/srv", "qwendesk.", "postgresql", "pw"))
    assert (await ask(fails, LOCAL)).json()["reason"] == str(error)


async def test_a_look_that_never_ends_is_a_failure_for_all_who_ask() -> None:
    looks = 0

    async def hangs() -> dict[str, Any]:
        nonlocal looks
        looks += 1
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    app = Starlette(routes=[Route("/healthz", HealthEndpoint(hangs, timeout=0.1).answer)])
    transport = httpx.ASGITransport(app, client=(LOCAL, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://desk") as client, asyncio.timeout(60):
        answers = await asyncio.gather(*(client.get("/healthz") for _ in range(10)))
    assert {answer.status_code for answer in answers} == {503} and looks < 10
    assert "No answer within 0.1 s" in answers[0].json()["reason"]


async def test_many_who_ask_cost_one_look() -> None:
    looks = 0

    async def counts() -> dict[str, Any]:
        nonlocal looks
        looks += 1
        return {"status": "ok"}

    transport = httpx.ASGITransport(build_app(counts), client=(REMOTE, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://desk") as client:
        for _ in range(50):
            assert (await client.get("/healthz")).json() == {"status": "ok"}
    assert looks < 10
