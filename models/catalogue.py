"""The model catalogue: the Qwen family in one data file, which a user can extend by another."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

from qwendesk.errors import ConfigError
from qwendesk.models.card import ModelCard

_SUFFIX = re.compile(
    r"[-_.](gguf|\d{5}-of-\d{5}|ud|unsloth|instruct|chat|i?q\d\w*|b?f16|fp16|f32|fp8|awq|gptq|int[48]|bnb|mlx|\d+bit)$"
)
"""Suffixes that publishers add to the name of the same model."""
_BUILT_IN = Path(__file__).with_name("catalogue.toml")
_NOT_CHAT = re.compile(r"-(base|text)\b")


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
    return _read(_BUILT_IN, extra) if extra and extra.is_file() else _load_built_in()


@cache
def _load_built_in() -> Catalogue:
    return _read(_BUILT_IN)


def _read(*files: Path) -> Catalogue:
    # imported here because only reading files needs pydantic and tomllib
    from qwendesk.models.catalogue_file import read_cards

    return Catalogue(read_cards(files))


def _last(path: str) -> str:
    return path.lower().strip().replace("\\", "/").rstrip("/").rpartition("/")[2]
