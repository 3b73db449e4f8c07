"""Show an answer while it is written, with its tool calls: python examples/stream.py."""

import asyncio

from qwendesk import Desk, Finished, Notice, Routed, TextDelta, ThinkingDelta, ToolFinished, ToolStarted


async def main() -> None:
    """Print each event of a turn."""
    async with Desk() as desk:
        async for event in desk.stream("Find the derivative of x³ + 2x².", conversation="algebra"):
            match event:
                case Routed(role=role, model=model, reason=reason):
                    print(f"[{role} with {model}: {reason}]")
                case Notice(text=text):
                    print(f"[{text}]")
                case ToolStarted(name=name, arguments=arguments):
                    print(f"→ {name}({arguments})")
                case ToolFinished(use=use):
                    print(f"{'✓' if use.ok else '✗'} {use.result}")
                case ThinkingDelta(text=text) | TextDelta(text=text):
                    print(text, end="", flush=True)
                case Finished(reply=reply):
                    print(f"\n[{reply.receipt.tokens_per_second:.0f} tokens a second]")


if __name__ == "__main__":
    asyncio.run(main())
