"""The language that is wished for all answers of a conversation."""

from qwendesk.memory.memory import Memory
from qwendesk.messages import Inbound


async def test_it_is_kept_read_with_the_context_and_forgotten(memory: Memory) -> None:
    inbound = Inbound("Hello", "c", person="ada")
    await memory.turns.begin(inbound)
    await memory.turns.begin(Inbound("Hello", "d", person="ada"))
    assert (await memory.turns.context(inbound)).answer_language is None
    await memory.turns.set_answer_language("c", "fr")
    context = await memory.turns.context(inbound)
    assert context.answer_language == await memory.history.answer_language("c") == "fr"
    assert [message.text for message in context.messages] == ["Hello"] and context.facts == ()
    assert await memory.history.answer_language("d") is None
    assert await memory.history.answer_language("nowhere") is None
    await memory.turns.set_answer_language("nowhere", "fr")
    await memory.turns.set_answer_language("c", None)
    assert (await memory.turns.context(inbound)).answer_language is None
