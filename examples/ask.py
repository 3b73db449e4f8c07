"""Ask one question and read the receipt: python examples/ask.py "What is 37*91+4?"."""

import asyncio
import sys

from qwendesk import Desk

QUESTION = "What is 37*91+4?"


async def main() -> None:
    """Print the answer, and why it is as it is."""
    async with Desk() as desk:
        reply = await desk.ask(sys.argv[1] if len(sys.argv) > 1 else QUESTION)
    receipt = reply.receipt
    print(reply.text)
    print(f"{receipt.role} ({receipt.confidence:.0%} sure, because of {', '.join(receipt.signals)})")
    print(f"{receipt.model} on {receipt.engine}, {receipt.tokens_out} tokens in {receipt.duration_ms:.0f} ms")


if __name__ == "__main__":
    asyncio.run(main())
