"""Files that come with messages."""

from __future__ import annotations

import pytest

from qwendesk.channels.ingest import FileFetcher, is_recent
from qwendesk.errors import ChannelError
from qwendesk.messages import Attachment, Inbound

FILE = Attachment("image", "image/png", b"x")


async def test_after_some_tries_a_message_comes_without_its_file() -> None:
    async def broken() -> Attachment:
        raise ChannelError("not now")

    fetching, inbound = FileFetcher(max_attempts=3), Inbound("look", "c", event="1")
    for _ in range(2):
        with pytest.raises(ChannelError):
            await fetching.with_attachments(inbound, [broken])
    assert (await fetching.with_attachments(inbound, [broken])).unsupported_media == "file"


async def test_a_file_that_came_late_is_there_and_its_tries_are_forgotten() -> None:
    answers = [ChannelError("not now"), FILE, ChannelError("not now"), FILE]

    async def flaky() -> Attachment:
        answer = answers.pop(0)
        if isinstance(answer, ChannelError):
            raise answer
        return answer

    fetching, inbound = FileFetcher(max_attempts=2), Inbound("look", "c", event="1")
    for _ in range(2):
        with pytest.raises(ChannelError):
            await fetching.with_attachments(inbound, [flaky])
        assert (await fetching.with_attachments(inbound, [flaky])).attachments == (FILE,)


def test_only_a_moment_that_is_near_is_fresh() -> None:
    assert is_recent("1000", 1200) and not is_recent("1000", 1301) and not is_recent("0" * 17, 0)
