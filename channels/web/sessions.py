"""Sessions of visitors: the messages that each was shown, and the sockets of their open pages."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from time import time

from qwendesk.channels.base import ShownMessage
from qwendesk.channels.relay import Frame
from qwendesk.desk.visitors import Standing
from qwendesk.messages import Author, Button

FORGOTTEN: Frame = {"type": "forgotten"}
"""Tells pages to remove all messages."""
MAX_MESSAGES = 100
"""Messages of one session that are kept."""
MAX_TOTAL_CHARS = 32 * 2**20
"""Characters of all sessions that are kept; sessions without an open page are dropped first, the oldest ahead."""
MAX_PAGES = 8
"""Open pages of one session."""
_MAX_QUEUED_FRAMES = 256
_SESSION_OVERHEAD_CHARS = 1000
_TRIM_INTERVAL = 200
"""Calls of ``VisitorSessions.open`` between two trims."""


def frame_of(message: ShownMessage) -> Frame:
    """Return the frame that shows a stored message."""
    if message.from_person:
        frame: Frame = {"type": "said", "id": message.id, "text": message.text, "files": []}
    else:
        frame = shown_frame(message.id, message.text, message.buttons, message.author, is_complete=message.is_complete)
    return frame | ({"at": int(message.at.timestamp() * 1000)} if message.at else {})


def shown_frame(
    name: str, text: str, buttons: Sequence[Button] = (), author: Author | None = None, *, is_complete: bool = True
) -> Frame:
    """Return the frame that shows a message of the desk; one without an author is the bot's."""
    rows = [{"label": button.label, "value": button.value, "chosen": button.chosen} for button in buttons]
    frame: Frame = {"type": "shown", "id": name, "text": text}
    if author:
        frame["author"] = author_fields(author)
    if not is_complete:
        frame["partial"] = True
    return frame | ({"buttons": rows} if rows else {})


def author_fields(author: Author) -> dict[str, str]:
    """Return the author of a message as a page gets it."""
    return {"kind": author.kind, "name": author.name}


class FrameQueue:
    """Queue of the frames for one open page."""

    def __init__(self) -> None:
        self._frames: asyncio.Queue[Frame | None] = asyncio.Queue(_MAX_QUEUED_FRAMES)

    def put(self, frame: Frame) -> None:
        """Queue a frame; close the socket of a page that reads too slowly: it gets the rest when it reconnects."""
        if self._frames.qsize() >= _MAX_QUEUED_FRAMES - 1:
            self.close()
        else:
            self._frames.put_nowait(frame)

    def close(self) -> None:
        """Drop the queued frames and close the socket."""
        while not self._frames.empty():
            self._frames.get_nowait()
        self._frames.put_nowait(None)

    def clear(self) -> None:
        """Drop the queued frames; a request to close the socket stays."""
        queued = []
        while not self._frames.empty():
            queued.append(self._frames.get_nowait())
        if None in queued:
            self._frames.put_nowait(None)

    async def next(self) -> Frame | None:
        """Return the next frame to send; None to close the socket."""
        return await self._frames.get()


class VisitorSession:
    """One visitor's conversation: its messages in order, and its open pages."""

    def __init__(self) -> None:
        self.pages: list[FrameQueue] = []
        self.person: str | None = None
        """Whose conversation it is; None: no page has opened it yet."""
        self.standing = Standing()
        """Who answers, as far as this process knows."""
        self.is_standing_due = False
        """Whether that may have changed since it was read."""
        self.is_loaded = False
        """Whether messages that were stored before this process started have been added."""
        self.awaits_answer_until = 0.0
        """Monotonic time until which answers of another process are looked up."""
        self.size = 0
        """Characters of all messages."""
        self._frames: dict[str, Frame] = {}
        self._seq = 0

    @property
    def frames(self) -> list[Frame]:
        """Frames of the kept messages, in order."""
        return list(self._frames.values())

    def broadcast(self, frame: Frame) -> None:
        """Send a frame to all open pages without keeping it."""
        for page in tuple(self.pages):
            page.put(frame)

    def set_standing(self, standing: Standing) -> None:
        """Note who answers; tell the pages when they have to show or hide the form for an address."""
        before, self.standing = self.standing, standing
        if before.wants_address != standing.wants_address:
            self.broadcast({"type": "form", "shown": standing.wants_address})

    def show(self, frame: Frame) -> None:
        """Keep a message and send it to all open pages; replace one of the same id, ignore an equal one."""
        known = self._frames.get(frame["id"])
        # the time of the first showing stays
        frame = {**frame, "at": (known or frame).get("at") or int(time() * 1000)}
        if known and {**known, "seq": 0} == {**frame, "seq": 0}:
            return
        self._seq = max(self._seq + 1, int(time() * 1000))  # grows over restarts, too
        self._frames[frame["id"]] = kept = {**frame, "seq": self._seq}
        self.size += len(frame["text"]) - (len(known["text"]) if known else 0)
        while len(self._frames) > MAX_MESSAGES:
            self.size -= len(self._frames.pop(next(iter(self._frames)))["text"])
        self.broadcast({**kept, "type": "edited"} if known else kept)

    def change(self, frame: Frame) -> None:
        """Change a message; it keeps its buttons and its author unless the frame has others."""
        known = {key: value for key, value in self._frames.get(frame["id"], {}).items() if key != "partial"}
        self.show({**known, **frame})

    def clear(self) -> None:
        """Drop all messages and queued frames, here and on the open pages."""
        self._frames.clear()
        self.size = 0
        for page in self.pages:
            page.clear()
        self.broadcast(FORGOTTEN)

    def load(self, stored: Sequence[ShownMessage]) -> None:
        """Put stored messages before those that this process has shown."""
        here, self._frames = self._frames, {}
        for message in stored[-MAX_MESSAGES:]:
            if message.id not in here:
                self.show(frame_of(message))
        self._frames |= here

    def catch_up(self, stored: Sequence[ShownMessage]) -> None:
        """Show stored messages that are missing; of one that is still being written the session has the newer text."""
        for message in stored[-MAX_MESSAGES:]:
            if message.id not in self._frames or (message.is_complete and not message.from_person):
                self.change(frame_of(message))

    def join(self, page: FrameQueue, seen: int) -> None:
        """Add an open page and send it the messages that are newer than ``seen``.

        A ``seen`` in the future was given before the clock was set back: the page gets all messages.
        """
        seen = seen if seen <= self._seq else 0
        for frame in self._frames.values():
            if frame["seq"] > seen:
                page.put(frame)
        self.pages.append(page)
        if len(self.pages) > MAX_PAGES:
            self.pages.pop(0).close()

    def leave(self, page: FrameQueue) -> None:
        """Remove a page."""
        if page in self.pages:
            self.pages.remove(page)


class VisitorSessions:
    """All sessions that this process keeps, by the keys of their conversations."""

    def __init__(self) -> None:
        self._sessions: OrderedDict[str, VisitorSession] = OrderedDict()
        self._calls = 0

    @property
    def keys(self) -> list[str]:
        """Keys of all sessions, the most recently used last."""
        return list(self._sessions)

    def open(self, key: str) -> VisitorSession:
        """Return a session, made if it is new; mark it as just used."""
        self._calls += 1
        if self._calls % _TRIM_INTERVAL == 0:
            self._trim()
        session = self._sessions.setdefault(key, VisitorSession())
        self._sessions.move_to_end(key)
        return session

    def get(self, key: str) -> VisitorSession | None:
        """Return a session; None if this process has none of that key."""
        return self._sessions.get(key)

    def forget(self, key: str) -> None:
        """Drop the messages of a session; open pages stay in it."""
        if session := self._sessions.get(key):
            session.clear()
            if not session.pages:
                del self._sessions[key]

    def forget_person(self, name: str) -> None:
        """Drop the messages of a person's sessions, and of those that no page has opened: they are read again."""
        theirs = [key for key, one in self._sessions.items() if name in (key, one.person)]
        for key in theirs + [key for key, one in self._sessions.items() if one.person is None and not one.pages]:
            self.forget(key)

    def reset(self) -> list[str]:
        """Drop the messages of all sessions; return the keys of those with open pages, to be loaded again."""
        for key, session in list(self._sessions.items()):
            session.clear()
            session.is_loaded = False
            if not session.pages:
                del self._sessions[key]
        return self.keys

    def awaiting_answer(self, now: float) -> list[tuple[str, VisitorSession]]:
        """Return the sessions with an open page that wait for an answer at this monotonic time."""
        return [(key, one) for key, one in self._sessions.items() if one.pages and one.awaits_answer_until > now]

    def _trim(self) -> None:
        size = sum(session.size + _SESSION_OVERHEAD_CHARS for session in self._sessions.values())
        for key in [key for key, session in self._sessions.items() if not session.pages]:
            if size <= MAX_TOTAL_CHARS:
                return
            size -= self._sessions.pop(key).size + _SESSION_OVERHEAD_CHARS
