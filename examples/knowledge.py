"""Answer from documents: python examples/knowledge.py."""

import asyncio

from qwendesk import Desk

RETURNS = b"# Returns\n\nUnused goods can be sent back within 30 days of delivery.\n"


async def main() -> None:
    """Send a document with a question, and ask about it again."""
    async with Desk() as desk:
        reply = await desk.ask("How long may I return goods?", files=[RETURNS], conversation="returns")
        print(reply.text)
        print(*reply.receipt.notes, sep="\n")
        reply = await desk.ask("And unopened ones?", conversation="returns")
        print(reply.text)


if __name__ == "__main__":
    asyncio.run(main())
