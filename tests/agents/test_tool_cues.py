"""Which messages give a small model a reason to be shown a tool of the desk."""

import pytest

from qwendesk.agents.tool_cues import called_for

TIME = """What time is it in Tokyo?|what day is it today|What's the date?|How many days until Christmas?
Wie spät ist es in Lima?|Welches Datum haben wir?|¿Qué hora es en Madrid?|¿Qué día es hoy?
Quelle heure est-il à Paris ?|Quel jour sommes-nous ?|Che ore sono?|Que horas são em Lisboa?
Hoe laat is het?|Która jest godzina?|Saat kaç?|Который час в Москве?|Сколько времени?|Котра година?
现在几点？|今天星期几？|今日は何曜日ですか|지금 몇 시예요?|كم الساعة الآن؟|अभी कितने बजे हैं?|ตอนนี้กี่โมง|Mấy giờ rồi?
Jam berapa sekarang?|Τι ώρα είναι;|מה השעה עכשיו?|Hány óra van?|Kolik je hodin?|Mitä kello on?
Vad är klockan?"""
SUM = """What is 37*91+4?|12 500 + 3 000|What is 15% of 80?|Was sind 15 % von 80?|What is 144/12?|sqrt(2)
the average of 3, 5 and 9|la moyenne de 3, 5 et 9|3、5、9的平均|2^10|(3 + 4) * 2|What is 17 % 5?
use python to count to ten|Сколько будет 12*5?|factorial of 20"""
STORY = """Tom buys 3 bags with 12 apples each and pays 4 euros. How many apples has he now?
This week she has 8 dogs and 5 cats; how long will it take?
Anakin ging heute zum Strand und fing 10 Seesterne und 3 Fische.
David hizo 40 flexiones más que Zachary hoy.|今天在体育课上，大卫做了40个俯卧撑，比他少17个。
Sie fuhr 2 Stunden mit 60 km/h.|У Кармен уходит 10 минут на кроссворд. Сколько времени она играла?
My card was declined today.|I have data from 2019-2023."""


def split(texts: str) -> list[str]:
    return texts.replace("\n", "|").split("|")


@pytest.mark.parametrize(("tool", "texts"), [("clock", TIME), ("python", SUM)])
def test_a_message_that_calls_for_a_tool_is_seen(tool: str, texts: str) -> None:
    assert [text for text in split(texts) if called_for([tool], text) != [tool]] == []


def test_numbers_and_days_of_a_story_call_for_nothing() -> None:
    assert [text for text in split(STORY) if called_for(["python", "clock"], text)] == []


def test_a_tool_of_another_package_is_always_shown() -> None:
    assert called_for(["python", "order_status"], "Hello") == ["order_status"]
