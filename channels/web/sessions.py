"""What each visitor was shown, and the sockets that are open: a page that comes back gets what it missed."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from time import time

from qwendesk.channels.base import ShownMessage
from qwendesk.channels.relay import Frame
from qwendesk.messages import Button

FORGOTTEN: Frame = {"type": "forgotten"}
"""Tells pages that what they show is gone."""
MOST_SHOWN = 100
"""Messages of one conversation that are kept."""
MOST_CHARACTERS = 32 * 2**20
"""Characters of all conversations that are kept; those that nobody looks at go first, the oldest ahead."""
MOST_LINKS = 8
"""Sockets of one conversation: a person with more open pages than that is none."""
_MOST_WAITING = 256
_LOOK_EVERY = 200
"""HttpApi between two looks at how much is kept."""


def frame_of(message: ShownMessage) -> Frame:
    """Return the frame that shows a stored message."""
    if message.from_person:
        return {"type": "said", "id": message.id, "text": message.text, "files": []}
    return shown(message.id, message.text, message.buttons)


def shown(name: str, text: str, buttons: Sequence[Button] = ()) -> Frame:
    """Return a message of the desk as a page is shown it."""
    rows = [{"label": button.label, "value": button.value, "chosen": button.chosen} for button in buttons]
    return {"type": "shown", "id": name, "text": text} | ({"buttons": rows} if rows else {})


class Link:
    """One open socket, as those see it who have something to show."""

    def __init__(self) -> None:
        self._frames: asyncio.Queue[Frame | None] = asyncio.Queue(_MOST_WAITING)

    def put(self, frame: Frame) -> None:
        """Show a frame; a page that reads too slowly is cut off and comes back for the rest."""
        if self._frames.qsize() >= _MOST_WAITING - 1:
            self.cut()
        else:
            self._frames.put_nowait(frame)

    def cut(self) -> None:
        """End the connection; what waits is told when the page is back."""
        while not self._frames.empty():
            self._frames.get_nowait()
        self._frames.put_nowait(None)

    def forget(self) -> None:
        """Drop what waits to be sent, unless the connection is to be closed."""
        waiting = []
        while not self._frames.empty():
            waiting.append(self._frames.get_nowait())
        if None in waiting:
            self._frames.put_nowait(None)

    async def next(self) -> Frame | None:
        """Return the next frame to send; None: the connection is to be closed."""
        return await self._frames.get()


class Room:
    """One conversation: what is seen in it, in order, and who looks."""

    def __init__(self) -> None:
        self.links: list[Link] = []
        self.recalled = False
        """Whether what was sent before this process began has been looked up."""
        self.waits_until = 0.0
        """When an answer that another process gives is no longer looked for."""
        self.size = 0
        self._shown: dict[str, Frame] = {}
        self._seq = 0

    def tell(self, frame: Frame) -> None:
        """Send a frame to all who look; nobody else will ever see it."""
        for link in tuple(self.links):
            link.put(frame)

    def show(self, frame: Frame) -> None:
        """Show a message and keep it; one of the same name is replaced, an equal one is nothing new."""
        known = self._shown.get(frame["id"])
        if known and {**known, "seq": 0} == {**frame, "seq": 0}:
            return
        self._seq = max(self._seq + 1, int(time() * 1000))  # grows over restarts, too
        self._shown[frame["id"]] = kept = {**frame, "seq": self._seq}
        self.size += len(frame["text"]) - (len(known["text"]) if known else 0)
        while len(self._shown) > MOST_SHOWN:
            self.size -= len(self._shown.pop(next(iter(self._shown)))["text"])
        self.tell({**kept, "type": "edited"} if known else kept)

    def change(self, frame: Frame) -> None:
        """Change a message; its buttons stay where it is given no others."""
        self.show({**self._shown.get(frame["id"], {}), **frame})

    def forget(self) -> None:
        """Drop what was shown and what waits to be sent, here and on the open pages."""
        self._shown.clear()
        self.size = 0
        for link in self.links:
            link.forget()
        self.tell(FORGOTTEN)

    def recollect(self, past: Sequence[ShownMessage]) -> None:
        """Put stored messages before those that this process has shown."""
        here, self._shown = self._shown, {}
        for message in past[-MOST_SHOWN:]:
            if message.id not in here:
                self.show(frame_of(message))
        self._shown |= here

    def catch_up(self, past: Sequence[ShownMessage]) -> None:
        """Show stored messages that are missing; of one that is still being written the session has the newer text."""
        for message in past[-MOST_SHOWN:]:
            if message.id not in self._shown or (message.is_complete and not message.from_person):
                self.change(frame_of(message))

    def join(self, link: Link, seen: int) -> None:
        """Let a page look, and show it what has come or changed after ``seen``.

        A place that is yet to come was given before the clock was set back: the page is shown all, by name.
        """
        seen = seen if seen <= self._seq else 0
        for frame in self._shown.values():
            if frame["seq"] > seen:
                link.put(frame)
        self.links.append(link)
        if len(self.links) > MOST_LINKS:
            self.links.pop(0).cut()

    def leave(self, link: Link) -> None:
        """Let a page go."""
        if link in self.links:
            self.links.remove(link)


class Rooms:
    """All conversations that are remembered here."""

    def __init__(self) -> None:
        self._rooms: OrderedDict[str, Room] = OrderedDict()
        self._calls = 0

    def room(self, key: str) -> Room:
        """Return a conversation's room; it counts as just used."""
        self._calls += 1
        if self._calls % _LOOK_EVERY == 0:
            self._trim()
        room = self._rooms.setdefault(key, Room())
        self._rooms.move_to_end(key)
        return room

    def forget(self, key: str) -> None:
        """Drop what is kept of a conversation; pages that are open stay in it."""
        if room := self._rooms.get(key):
            room.forget()
            if not room.links:
                del self._rooms[key]

    def refresh(self) -> list[str]:
        """Drop what is kept of all conversations; return those that pages look at, to be filled from the database."""
        for key, room in list(self._rooms.items()):
            room.forget()
            room.recalled = False
            if not room.links:
                del self._rooms[key]
        return list(self._rooms)

    def known(self, key: str) -> Room | None:
        """Return a conversation's room where somebody has been in it."""
        return self._rooms.get(key)

    def waiting(self, now: float) -> list[tuple[str, Room]]:
        """Return the conversations in which somebody looks and waits for an answer."""
        return [(key, room) for key, room in self._rooms.items() if room.links and room.waits_until > now]

    def _trim(self) -> None:
        # an empty room costs something as well
        size = sum(room.size + 1000 for room in self._rooms.values())
        for key in [key for key, room in self._rooms.items() if not room.links]:
            if size <= MOST_CHARACTERS:
                return
            size -= self._rooms.pop(key).size + 1000
