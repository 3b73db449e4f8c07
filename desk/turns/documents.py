"""Documents that come with a message: taken in before it is answered, for its writer in this conversation alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from qwendesk.desk.translations import say
from qwendesk.desk.turns.background import Over
from qwendesk.desk.turns.knowledge import DeskKnowledge, name_of
from qwendesk.errors import InputError
from qwendesk.messages import Inbound, Notice
from qwendesk.prompts import render
from qwendesk.quoting import Block
from qwendesk.tools.knowledge import MAX_PASSAGES, format_passage

MOST = 10
"""Documents of one message that are taken in."""
SECONDS = 90.0
"""How long a message may wait for its documents."""
_REASONS = (
    ("damaged", "document_unread"),
    ("encrypted", "document_locked"),
    ("OCR", "document_scan"),
    ("at most", "document_large"),
    ("longer than", "document_large"),
    ("empty", "document_empty"),
    ("no text", "document_empty"),
)
"""What stands in a refusal, and what the person is told."""
_OTHER = "document_unread"


@dataclass(frozen=True, slots=True)
class Kept:
    """A document that was taken in."""

    name: str
    passages: int
    notes: tuple[str, ...] = ()
    """What a reader of it should know of how it was read."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of a message's documents."""

    told: str = ""
    """What the model is told of them; empty where there are none."""
    problems: tuple[str, ...] = ()
    """What the person is told of those that could not be read, in their language."""
    notes: tuple[str, ...] = ()
    """What the receipt says of them."""


class Documents:
    """Takes in documents that come with messages.

    Args:
        knowledge: where they are kept.
        folder: where a person's own prompts lie.
        seconds: how long a message may wait for its documents.
    """

    def __init__(self, knowledge: DeskKnowledge, folder: Path | None = None, *, seconds: float = SECONDS) -> None:
        self._knowledge = knowledge
        self._folder = folder
        self._seconds = seconds

    async def take_in(self, inbound: Inbound, language: str | None, tell: Callable[[Notice], None]) -> Taken:
        """Take in a stored message's documents, and look up in them what it asks.

        Args:
            inbound: the message.
            language: the person's.
            tell: is told which document is being read.

        Raises:
            InputError: the message is nothing but documents, and none can be read.
        """
        files = [part for part in inbound.attachments if part.kind == "document"]
        kept: list[Kept] = []
        problems: list[str] = []
        ends = asyncio.get_running_loop().time() + self._seconds
        problems += [say("document_many", language, name=name_of(file), most=MOST) for file in files[MOST:]]
        for file in files[:MOST]:
            name = name_of(file)
            tell(Notice(say("document_reading", language, name=name)))
            try:
                async with asyncio.timeout_at(ends):
                    outcome = await self._knowledge.keep(file, inbound)
                    kept.append(Kept(name, outcome.chunks, outcome.notes))
            except (InputError, TimeoutError) as error:
                problems.append(say(_reason(str(error) or "longer than"), language, name=name))
        if problems and not kept and len(files) == len(inbound.attachments) and not inbound.text.strip():
            text = "\n".join(problems)
            raise InputError(text, told=text)
        return await self._taken(inbound, kept, problems) if files else Taken()

    async def embed_rest(self, over: Over) -> None:
        """Give long documents of a conversation the vectors that its turn did not wait for."""
        await self._knowledge.embed_rest(over.inbound)

    async def _taken(self, inbound: Inbound, kept: Sequence[Kept], problems: Sequence[str]) -> Taken:
        found = await self._knowledge.about(inbound, [file.name for file in kept], MAX_PASSAGES) if kept else ()
        told = render(
            "documents",
            folder=self._folder,
            documents=kept,
            unread=len(problems),
            passages=[Block(format_passage(number, passage)) for number, passage in enumerate(found, 1)],
            asked=bool(inbound.text.strip()),
        )
        return Taken(told, tuple(problems), tuple(map(_told, kept)))


def _told(file: Kept) -> str:
    return "; ".join((f"read {file.name}{_counted(file.passages)}", *file.notes))


def _counted(passages: int) -> str:
    """Say how many passages are new; none are where the same document comes again."""
    return f" ({passages} passage{'' if passages == 1 else 's'})" if passages else ""


def _reason(error: str) -> str:
    return next((key for words, key in _REASONS if words in error), _OTHER)
