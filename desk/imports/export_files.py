"""Items of another help desk from a folder of files: answers of its API as JSON or JSON Lines, and CSV of contacts."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from cachetools import LRUCache

from qwendesk.desk.imports import values
from qwendesk.desk.imports.help_desk import HelpDesk, Item
from qwendesk.desk.imports.records import Kind, Unusable
from qwendesk.errors import ConfigError, InputError

MAX_FILE_BYTES = 200_000_000
_MAX_FILES = 200_000
_ENDINGS = (".json", ".jsonl", ".ndjson", ".csv")
_FILES_KEPT = 16
"""Files whose messages are kept in memory."""
_WRAPPERS = ("payload", "data", "users", "tickets", "contacts", "conversations", "articles", "answers")
"""Keys under which answers of an API hold their items."""
_TAGS_OF = re.compile(r"tags?\D*(\d{1,18})\D*\.json", re.IGNORECASE)
"""Name of a file with the tags of a ticket: the answer does not say whose they are."""
_BOM_16 = (b"\xff\xfe", b"\xfe\xff")


class ExportFiles:
    """The items of a file or of a folder, which is read recursively.

    Files are read one after the other, and each again where its items are needed, so that a large export fits.

    Args:
        path: the file or folder.
        system: tells of which kind an item is.
    """

    def __init__(self, path: Path, system: HelpDesk) -> None:
        self.location = str(path)
        self.left_out: list[str] = []
        self.lists_are_current = False
        self._path = path
        self._system = system
        self._files: dict[str, list[Path]] = defaultdict(list)
        """Files by the kind of the items that they hold."""
        self._messages: dict[int, list[Path]] = defaultdict(list)
        """Files with messages by the number of their conversation."""
        self._conversations: set[int] = set()
        self._tags: dict[int, Path] = {}
        self._counts: Counter[str] = Counter()
        self._is_indexed = False
        self._cache: LRUCache[Path, list[Item]] = LRUCache(_FILES_KEPT)

    async def total(self, kind: Kind) -> int | None:
        """Return how many items there are."""
        await self._index()
        return self._counts[kind]

    async def items(self, kind: Kind, since: datetime | None = None) -> AsyncIterator[Item]:
        """Yield the items of a kind.

        Raises:
            ConfigError: there is no such file, or it holds nothing that is known.
        """
        await self._index()
        for path in self._files[kind]:
            for item in await asyncio.to_thread(_read_items, path):
                if self._system.kind_of(item) == kind:
                    yield item

    async def messages(self, conversation: Item) -> Sequence[Item]:
        """Return the messages of a conversation.

        Raises:
            Unusable: no file holds them; the list of conversations has the last one only.
        """
        number = values.number(conversation.get("id"))
        if number not in self._messages:
            raise Unusable("its messages are not in the export")
        found: dict[int, Item] = {}
        for path in self._messages[number]:
            for item in await self._of_messages(path):
                if _conversation_of(item) == number:
                    found[values.number(item.get("id"))] = item
        return list(found.values())

    async def tags(self, conversation: Item) -> Sequence[str]:
        """Return the tags of a conversation from a file such as ``tags-12.json``."""
        path = self._tags.get(values.number(conversation.get("id")))
        if path is None:
            return ()
        try:
            answer = (await asyncio.to_thread(_read_documents, path) or [None])[0]
        except InputError as error:
            self.left_out.append(f"{path.name}: {error}")
            return ()
        tags = values.mapping(answer).get("tags")
        return [one for one in tags if isinstance(one, str)] if isinstance(tags, list) else ()

    async def _of_messages(self, path: Path) -> list[Item]:
        if path not in self._cache:
            items = await asyncio.to_thread(_read_items, path)
            self._cache[path] = [item for item in items if self._system.kind_of(item) == "message"]
        return self._cache[path]

    async def _index(self) -> None:
        if not self._is_indexed:
            await asyncio.to_thread(self._read_index)
            self._is_indexed = True

    def _read_index(self) -> None:
        paths = _paths(self._path)
        for path in paths:
            if tagged := _TAGS_OF.fullmatch(path.name):
                self._tags[int(tagged[1])] = path
                continue
            try:
                items = _read_items(path)
            except InputError as error:
                self.left_out.append(f"{path.name}: {error}")
                continue
            self._index_file(path, items)
        if lost := self._messages.keys() - self._conversations:
            self.left_out.append(f"messages of {len(lost)} conversations that are not in the export themselves")
        if not self._counts and not self._messages:
            why = f" {self.left_out[0]}." if self.left_out else ""
            raise ConfigError(
                f"{self.location!r} holds no export of {self._system.name}: JSON of its API, or a CSV of contacts.{why}"
                f" 'docs/how-to/move-from-{self._system.name}.md' says how to fetch them."
            )

    def _index_file(self, path: Path, items: Sequence[Item]) -> None:
        kinds: Counter[str] = Counter()
        for item in items:
            kind = self._system.kind_of(item)
            kinds[kind or "unknown"] += 1
            if kind == "ticket" and (conversation := values.number_or_none(item.get("id"))) is not None:
                self._conversations.add(conversation)
            number = _conversation_of(item) if kind == "message" else None
            if number is not None and path not in self._messages[number]:
                self._messages[number].append(path)
        if unknown := kinds.pop("unknown", 0):
            self.left_out.append(f"{path.name}: {unknown} items of an unknown kind")
        for kind in kinds:
            self._files[kind].append(path)
        self._counts += kinds


def _paths(path: Path) -> list[Path]:
    """Return the files of a folder, by name and number.

    Raises:
        ConfigError: there is none, or there are too many.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise ConfigError(f"{str(path)!r} is neither a file nor a folder; a web address begins with https://.")
    found = [one for one in path.rglob("*") if one.suffix.lower() in _ENDINGS and one.is_file()]
    inside = [one for one in found if not one.is_symlink() or one.resolve().is_relative_to(path.resolve())]
    if not inside:
        raise ConfigError(f"{str(path)!r} has no file that ends in {', '.join(_ENDINGS)}.")
    if len(inside) > _MAX_FILES:
        raise ConfigError(f"{str(path)!r} has more than {_MAX_FILES:,} files; import it in parts.")
    return sorted(inside, key=_order)


def _order(path: Path) -> list[tuple[int, str]]:
    """Return the key by which ``page-10`` follows ``page-9``."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d{1,18})", str(path))]


def _read_items(path: Path) -> list[Item]:
    """Return the items of a file.

    Raises:
        InputError: it cannot be read; the text says why and what to do.
    """
    return [item for document in _read_documents(path) for item in _unwrapped(document)]


def _read_documents(path: Path) -> list[Any]:
    return list(_documents(path))


def _unwrapped(document: object, depth: int = 3) -> Iterator[Item]:
    """Yield the items of an answer, which are in a list, mostly under a key such as ``payload``."""
    if isinstance(document, list):
        yield from (item for item in document if isinstance(item, dict))
    elif isinstance(document, dict):
        inner = [document[key] for key in _WRAPPERS if isinstance(document.get(key), list | dict)] if depth else []
        for one in inner:
            yield from _unwrapped(one, depth - 1)
        if not inner and document:
            yield document


def _documents(path: Path) -> Iterator[Any]:
    text = _text(path)
    if path.suffix.lower() == ".csv":
        yield _rows(text)
    elif path.suffix.lower() == ".json":
        yield _json(text, "it")
    else:
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip():
                yield _json(line, f"line {number}")


def _json(text: str, what: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise InputError(f"{what} is no JSON ({error}); fetch the page again") from None
    except RecursionError:
        raise InputError(f"{what} is nested too deep") from None


def _rows(text: str) -> list[Mapping[str, str]]:
    """Return the rows of a CSV with a head, separated by commas, semicolons or tabs."""
    head = text.partition("\n")[0]
    delimiter = max(",;\t", key=head.count)
    try:
        rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        return [{str(name).strip().lower(): cell or "" for name, cell in row.items() if name} for row in rows]
    except csv.Error as error:
        raise InputError(f"it is no CSV ({error}); export it again") from None


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise InputError(f"it has more than {MAX_FILE_BYTES / 1e6:,.0f} MB; split it into several files")
        with path.open("rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
        return data.decode("utf-16" if data.startswith(_BOM_16) else "utf-8-sig")
    except UnicodeDecodeError:
        raise InputError("it is not in UTF-8; save it in that encoding") from None
    except OSError as error:
        raise InputError(f"it cannot be read ({error.strerror or error})") from None


def _conversation_of(item: Item) -> int | None:
    given = item.get("conversation_id", item.get("ticket_id"))
    return given if isinstance(given, int) and not isinstance(given, bool) else None
