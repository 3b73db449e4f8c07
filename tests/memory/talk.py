"""Short ways to say something to a memory."""

from qwendesk.memory.memory import Memory
from qwendesk.messages import Attachment, Inbound, Receipt, Reply, ToolUse

RECEIPT = Receipt(
    role="general",
    model="m",
    engine="scripted",
    confidence=1.0,
    runner_up=None,
    signals=(),
    language="en",
    thinking=False,
    tools=(ToolUse("python", {"code": "1+1"}, ok=True, result="2", duration_ms=1.5),),
    tokens_in=1,
    tokens_out=1,
    ttft_ms=1.0,
    tokens_per_second=1.0,
    checks=(),
    duration_ms=1.0,
)


async def say(
    memory: Memory,
    text: str,
    answer: str = "I see.",
    *,
    person: str = "ada",
    conversation: str = "c1",
    channel: str = "python",
    files: tuple[Attachment, ...] = (),
) -> str:
    """Let a person say something and the desk answer; return the question's id."""
    inbound = Inbound(text, conversation, files, person=person, channel=channel)
    turn = await memory.turns.begin(inbound)
    await memory.turns.finish(turn, Reply(answer, conversation, RECEIPT))
    unread = await memory.summaries.pending(conversation, channel=channel, limit=100_000)
    assert unread
    return next(line.id for line in reversed(unread.lines) if line.role == "user")
