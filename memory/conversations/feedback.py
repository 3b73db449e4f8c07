"""Past turns and ratings in a SQL database; each function is given a connection."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Row
from uuid_utils import uuid7

from qwendesk.errors import InputError, StoreError
from qwendesk.memory.conversations import feedback_statements
from qwendesk.memory.records import Asked, PastTurn, Rating
from qwendesk.memory.tenancy import TenantConnection
from qwendesk.messages import Attachment


async def read_turns(
    connection: TenantConnection, since: datetime | None, before: str | None, limit: int
) -> list[PastTurn]:
    """Return a page of turns that are over, newest first."""
    values = {"limit": limit, **_given(since=since, before=before)}
    found = (
        await connection.execute(feedback_statements.past_turns(since is not None, before is not None), values)
    ).all()
    ratings = await _ratings(connection, [row.id for row in found])
    return [
        PastTurn(
            id=row.id,
            conversation=row.external_id,
            channel=row.channel,
            question=row.text,
            kinds=tuple(str(part["type"]) for part in row.parts or ()),
            answer=row.answer or "",
            role=row.role,
            receipt=row.receipt,
            started_at=row.started_at,
            ratings=tuple(ratings.get(row.id, ())),
        )
        for row in found
    ]


async def count_turns(connection: TenantConnection, since: datetime | None) -> int:
    """Return how many turns are over."""
    found = await connection.execute(feedback_statements.number_of_turns(since is not None), _given(since=since))
    return int(found.scalar_one())


async def read_asked(connection: TenantConnection, key: dict[str, Any], at: int | None) -> Row[Any] | None:
    """Return the turn that a person comes back to, its question without the files."""
    values = {**key, "asks": "user", **_given(at=at)}
    return (await connection.execute(feedback_statements.asked(at is not None), values)).one_or_none()


def as_asked(row: Row[Any], files: Sequence[Attachment]) -> Asked:
    """Return a turn that was read, with its question's files."""
    again = bool((row.receipt or {}).get("escalation")) or row.asked_before == row.text
    return Asked(row.id, row.sequence, row.text, tuple(files), bool(row.mine), row.newest == row.sequence, again)


async def store_rating(connection: TenantConnection, key: dict[str, str], turn: str | None, rating: Rating) -> str:
    """Store a rating in the place of the person's earlier one; return the turn's id.

    Raises:
        InputError: the rating is neither 1 nor -1.
        StoreError: the conversation has no such turn.
    """
    if rating.thumb not in (1, -1):
        raise InputError(f"The rating is {rating.thumb!r}; give 1 or -1.")
    values = key | _given(turn_id=turn)
    found = (await connection.execute(feedback_statements.turn_to_rate(turn is not None), values)).one_or_none()
    if found is None:
        named = f"turn {turn!r}" if turn else "answered turn"
        raise StoreError(f"There is no {named} in the conversation {key['key']!r} of {key['channel']!r}.")
    await connection.execute(feedback_statements.drop_rating(), {"of_turn": found.id, "of_person": found.person_id})
    await connection.execute(feedback_statements.add_rating(), _row(found.id, found.person_id, rating))
    return str(found.id)


async def _ratings(connection: TenantConnection, turns: list[str]) -> dict[str, list[Rating]]:
    ratings: dict[str, list[Rating]] = {}
    for turn, *rating in await connection.execute(feedback_statements.ratings_of_turns(), {"turns": turns}):
        ratings.setdefault(turn, []).append(Rating(*rating))
    return ratings


def _row(turn: str, person: str | None, rating: Rating) -> dict[str, Any]:
    return {
        "id": str(uuid7()),
        "turn_id": turn,
        "person_id": person,
        "rating": rating.thumb,
        "preferred_role": rating.role,
        "preferred_model": rating.model,
        "comment": rating.comment,
        "created_at": datetime.now(UTC),
    }


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
