"""A customer sees that the operator who holds the ticket writes, not too often."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from qwendesk.desk.delivery.typing_signs import TypingSigns
from qwendesk.errors import ChannelError
from qwendesk.messages import Author
from tests.desk.parts import Abilities
from tests.desk.tickets.conftest import Counter, counter

__all__ = ["counter"]


@dataclass
class Signs:
    capabilities: Abilities = field(default_factory=lambda: Abilities(typing=3.0))
    shown: list[tuple[str, str]] = field(default_factory=list)
    error: Exception | None = None

    async def typing(self, conversation: str, author: Author | None = None) -> None:
        if self.error:
            raise self.error
        self.shown.append((conversation, author.name if author else ""))


async def test_only_the_holder_is_shown_and_not_too_often(counter: Counter) -> None:
    ada, bo = await counter.operator("ada"), await counter.operator("bo")
    outlet = Signs()
    signs = TypingSigns(cast(Any, {"test": outlet}))
    ticket = (await counter.write("hello")).ticket
    assert not await signs.show(ticket, ada.operator_id or "", "Ada")
    held = await counter.tickets.take_over(ticket.id, ada)
    assert not await signs.show(held, bo.operator_id or "", "Bo")
    assert await signs.show(held, ada.operator_id or "", "Ada")
    assert not await signs.show(held, ada.operator_id or "", "Ada")
    assert outlet.shown == [("c1", "Ada")]


@pytest.mark.parametrize("outlet", [Signs(Abilities()), Signs(error=ChannelError("away"))])
async def test_a_channel_without_signs_and_one_that_is_away(counter: Counter, outlet: Signs) -> None:
    ada = await counter.operator("ada")
    held = await counter.tickets.take_over((await counter.write("hello")).ticket.id, ada)
    assert not await TypingSigns(cast(Any, {"test": outlet})).show(held, ada.operator_id or "", "Ada")
    assert not await TypingSigns({}).show(held, ada.operator_id or "", "Ada")
