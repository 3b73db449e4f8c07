"""Replace the router, and write rules for the policy: python examples/own_router.py."""

import asyncio

from qwendesk import Desk, Settings
from qwendesk.routing.base import Decision, Signals

RULES = """
[[rule]]
when = {contains = ["invoice*", "refund"]}
role = "general"
"""


class KeywordRouter:
    """Send questions about code to the coder and everything else to the generalist."""

    def route(self, signals: Signals) -> Decision:
        """Return the role for a text."""
        if "python" in signals.text.lower():
            return Decision("coder", confidence=1.0, signals=("the word 'python'",))
        return Decision("general", confidence=0.6, signals=("no word of mine",))


async def main() -> None:
    """Ask with the router of this file, and with a rule that comes before it."""
    settings = Settings()
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    policy = settings.data_dir / "policy.toml"
    if not policy.exists():
        policy.write_text(RULES, "utf-8")
    async with Desk(settings, router=KeywordRouter()) as desk:
        for question in ("How do I sort in Python?", "What is a bicycle?", "Show my invoices of Python courses"):
            receipt = (await desk.ask(question)).receipt
            print(f"{question!r} went to {receipt.role}: {', '.join(receipt.signals)}")


if __name__ == "__main__":
    asyncio.run(main())
