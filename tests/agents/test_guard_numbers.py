"""Figures, dates and times that stand in the sources, follow from them, or do neither."""

from __future__ import annotations

import pytest

from qwendesk.agents.guards.base import AnswerContext
from qwendesk.agents.guards.numbers import NumberGuard
from qwendesk.agents.guards.sentences import sentences_of
from qwendesk.messages import ToolUse

SHOP = "Tea costs 4.90 euros. Open until 18:00, until 3 May 2026, from 9:00."


def fault(source: str, answer: str, language: str = "en", *, asked: str | None = None) -> str | None:
    """Return the fault of an answer; ``asked``: the question, if the source was found without a call."""
    use = ToolUse("search_knowledge", {}, True, f"[1] shop.md\n> {source}", 1.0)
    guard = NumberGuard(
        AnswerContext(asked or "?", language, uses=() if asked else (use,), passages=(source,) if asked else ())
    )
    guard.prepare()
    return next(filter(None, map(guard.check_sentence, sentences_of(answer))), None)


@pytest.mark.parametrize(
    ("source", "answer", "language"),
    [
        # units, and a word that is one elsewhere
        ("We open at 9:00 and close at 18:00.", "We open at 9 and close at 6 in the evening.", "en"),
        ("A pack has 250 g.", "A pack has 0.25 kg.", "en"),
        ("Das Regal ist 2 m breit.", "Das Regal ist 200 cm breit.", "de"),
        ("La garantía dura 2 años.", "La garantía dura 24 meses.", "es"),
        ("Delivery takes 3 days.", "It takes 72 hours.", "en"),
        ("It costs 4.90 euros.", "That is 490 cents.", "en"),
        ("The parcel weighs 2 kg.", "It weighs 4.4 pounds.", "en"),
        # what follows in one step
        ("Preis 11,90 Euro inkl. 19 % MwSt.", "Netto sind es 10 Euro.", "de"),
        ("The tax is 19 % of the price.", "So 81 % net remain.", "en"),
        ("Tea costs 4.90 euros.", "It costs about 5 euros.", "en"),
        ("Ordered on 2026-05-01, arrives in 14 days.", "It arrives on 15 May.", "en"),
        # names with figures, and illustrations
        ("Call 030 1234567.", "Call +49 30 1234567.", "en"),
        ("We are open on 3 days.", "Our hotline answers 24/7.", "en"),
        ("It stops after 3 days.", "Press F12 and look for HTTP 404.", "en"),
        ("Orders over 50 euros ship free.", "For example, an order of 60 euros is free.", "en"),
        ("Ab 50 Euro ist der Versand frei.", "Frei ist zum Beispiel eine Bestellung über 60 Euro.", "de"),
        ("超过50元免运费。", "例如，60元的订单免运费。", "zh"),
        # words, times and dates
        ("Livraison en cinq jours ouvrables.", "La livraison prend 5 jours.", "fr"),
        ("Доставка 5 рабочих дней.", "Доставка занимает пять рабочих дней.", "ru"),
        ("包裹三天到达，价格五欧元。", "3天后到达，价格5欧元。", "zh"),
        ("Open 9:00-18:00.", "Open until 6 pm.", "en"),
        ("Wir öffnen von 9 bis 18 Uhr.", "Bis 18:00 Uhr.", "de"),
        ("Sale from 3 to 5 May 2026.", "It begins on May 3, 2026.", "en"),
        ("Bis zum 3. Mai 2026.", "Bis 2026-05-03.", "de"),
        ('{"price": 18}', "It costs 18 €.", "en"),
    ],
)
def test_what_follows_from_the_sources_is_said(source: str, answer: str, language: str) -> None:
    assert fault(source, answer, language) is None


@pytest.mark.parametrize(
    ("answer", "language"),
    [
        # the figures of times and dates are no prices and no days
        ("It costs 18 euros.", "en"),
        ("Kostet 9 Euro.", "de"),
        ("It costs 3 euros.", "en"),
        ("It takes 9 working days.", "en"),
        ("Ci vogliono 9 giorni lavorativi.", "it"),
        # a price is not rounded
        ("It costs 5 euros.", "en"),
        ("It takes 5 days.", "en"),
        # a day belongs to its month
        ("Until 4 May 2026.", "en"),
        ("Jusqu'au 4 mai 2026.", "fr"),
        ("5月4日まで。", "ja"),
        ("Until 2026-05-04.", "en"),
        ("Until May 3, 2027.", "en"),
        # hours and numbers in words
        ("Open until 8 pm.", "en"),
        ("Geöffnet bis 20 Uhr.", "de"),
        ("午後8時まで営業。", "ja"),
        ("It costs five euros.", "en"),
        ("Cuesta cinco euros.", "es"),
        ("Стоит пять евро.", "ru"),
        ("价格是五欧元。", "zh"),
    ],
)
def test_what_no_source_says_is_found(answer: str, language: str) -> None:
    assert fault(SHOP, answer, language)


@pytest.mark.parametrize(
    ("asked", "source", "answer", "language", "is_known"),
    [
        (
            "How many days does a leap year have?",
            "Delivery takes 30 days a year.",
            "A leap year has 366 days.",
            "en",
            True,
        ),
        ("Wie hoch ist die Zugspitze?", "Der Tee kostet 12 Euro.", "Die Zugspitze ist 2962 Meter hoch.", "de", True),
        ("How long can I return it?", "Goods can be returned within 30 days.", "You have 60 days.", "en", False),
        ("Was kostet der Tee?", "Der Tee kostet 12 Euro.", "Er kostet 18 Euro.", "de", False),
        ("How many days does a leap year have?", "Delivery takes 30 days.", "366 days [1].", "en", False),
    ],
)
def test_passages_beside_the_question_do_not_bind(
    asked: str, source: str, answer: str, language: str, is_known: bool
) -> None:
    assert (fault(source, answer, language, asked=asked) is None) is is_known
