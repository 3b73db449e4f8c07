"""Column types that behave the same on SQLite and PostgreSQL."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, DateTime, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator

from qwendesk.messages import storable_text

Json = JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


def to_json(value: object) -> str:
    """Return JSON that every database accepts: storable texts, null for NaN and infinity, unknown objects as text."""
    return json.dumps(
        _plain(value), ensure_ascii=False, separators=(",", ":"), default=lambda item: storable_text(str(item))
    )


def _plain(value: object) -> object:
    if isinstance(value, str):
        return storable_text(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {storable_text(str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


class SafeText(TypeDecorator[str]):
    """Text that both databases can store."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Replace characters that a database refuses."""
        return None if value is None else storable_text(value)


class UtcDateTime(TypeDecorator[datetime]):
    """A date and time in UTC; SQLite stores no time zone, so it is added on reading."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Convert to UTC."""
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        """Return the value in UTC."""
        if value is None:
            return None
        moment: datetime = value
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
