"""Names that stand in the sources in some form, and names that stand nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from qwendesk import Desk, Settings
from qwendesk.agents.guards.all_guards import GUARDS
from qwendesk.agents.guards.base import AnswerContext
from qwendesk.agents.guards.names import NameGuard
from qwendesk.agents.guards.sentences import sentences_of
from qwendesk.agents.guards.stream import GuardedStream
from qwendesk.engines.scripted import ScriptedEngine
from qwendesk.messages import ToolUse
from qwendesk.models.card import ModelCard

SHOP = {
    "en": "We send parcels within Germany and to Austria with DHL. Our shop in Hamburg opens at 9:00. Miriam Okafor "
    "answers complaints. You can pay by PayPal, Visa or Mastercard. The kettle is called Aqua-200.",
    "de": "Pakete gehen innerhalb Deutschlands und nach Österreich mit DHL. Unser Geschäft in München öffnet um 9 Uhr. "
    "Beschwerden beantwortet Miriam Okafor.",
    "fr": "Les colis partent par DHL vers l'Allemagne et l'Autriche. Notre boutique de Hambourg ouvre à 9 heures.",
    "es": "Los paquetes salen con DHL hacia Alemania y Austria. Nuestra tienda de Hamburgo abre a las 9.",
    "it": "I pacchi partono con DHL verso la Germania e l'Austria. Il negozio di Amburgo apre alle 9.",
    "nl": "Pakketten gaan met DHL naar Duitsland en Oostenrijk. De winkel in Hamburg gaat om 9 uur open.",
    "pl": "Paczki w Niemczech i do Austrii wysyłamy przez DHL. Sklep w Hamburgu otwiera się o 9. "
    "Odpowiada Miriam Okafor.",
    "ru": "Посылки по Германии и в Австрию идут через DHL. Магазин в Гамбурге открывается в 9 часов.",
    "tr": "Paketleri DHL ile Almanya'ya ve Avusturya'ya gönderiyoruz. Hamburg mağazamız saat 9'da açılır.",
    "zh": "我们用DHL向德国和奥地利寄送包裹。汉堡的商店9点开门。",
    "ja": "ドイツとオーストリアへの荷物はDHLで発送します。ハンブルクの店は9時に開きます。",
}


def faults(answer: str, language: str, source: str = "", question: str = "?") -> list[str]:
    """Return what an answer of a search is refused for."""
    use = ToolUse("search_knowledge", {}, True, f"[1] shop.md\n> {source or SHOP[language]}", 1.0)
    guard = NameGuard(AnswerContext(question, language, uses=(use,)))
    guard.prepare()
    return [found for part in sentences_of(answer) if (found := guard.check_sentence(part))]


@pytest.mark.parametrize(
    ("language", "source", "answer"),
    [
        # in another form: short, declined, possessive, joined, in other capitals
        ("en", "en", "Ask Ms Okafor; Miriam's answers come from our Hamburg shop."),
        ("en", "en", "We take Pay-Pal, VISA and MasterCard. The model is the Aqua 200."),
        ("de", "de", "Die Beschwerden beantwortet Frau Okafor. Die DHL bringt das Paket nach München."),
        ("pl", "pl", "Sklep jest w Hamburgu. Proszę pisać do Miriam Okafor; do Niemiec wysyłamy DHL-em."),
        ("ru", "ru", "Мы доставляем в Германию и Австрию. Магазин в городе Гамбург, посылки идут с DHL."),
        ("tr", "tr", "Paket DHL'le gelir. Mağaza Hamburg'dadır, Almanya'dan da sipariş verebilirsiniz."),
        # of a place in another language
        ("en", "de", "Our shop in Munich opens at 9. We also send to Austria."),
        ("de", "en", "Das Geschäft in Hamburg öffnet um 9. Wir versenden nach Österreich und in Deutschland."),
        ("fr", "en", "Notre boutique de Hambourg ouvre à 9 h. DHL livre en Allemagne et en Autriche."),
        ("es", "de", "La tienda de Múnich abre a las 9. DHL reparte en Alemania."),
        ("it", "en", "Il negozio di Amburgo apre alle 9. Si paga con PayPal."),
        ("ru", "en", "Магазин в Гамбурге открывается в 9. За жалобы отвечает Мириам Окафор."),
        ("ja", "en", "ハンブルクの店は9時に開きます。PayPalで支払えます。担当はミリアム・オカフォーです。"),
        # a name in Latin letters where the source has its own
        ("zh", "zh", "汉堡（Hamburg）的商店9点开门。"),
        # capitals that are no names
        ("en", "en", "On Monday, Customer Service and I answer in English. Happy Easter! See FAQ or the PDF."),
        ("en", "en", "Austrian and German customers pay VAT. Please read our Privacy Policy."),
        ("en", "en", "**Payment Methods**\n- **Credit Card**: Visa\n- **Bank Transfer**: not mentioned"),
        ("en", "en", "NOTE: Delivery is NOT free. IMPORTANT: keep the receipt."),
        ("de", "de", "Ihre Rechnung mit MwSt. erhalten Sie nach Eingang der Zahlung als PDF. TIPP: Fragen Sie uns."),
        ("de", "de", "Für KundInnen aus Österreich gilt in Kürze dasselbe. Die GmbH hat WLAN."),
        ("fr", "fr", "Bonjour Madame, la TVA est comprise. Nous fermons à Noël et le Lundi de Pâques."),
        ("it", "it", "Grazie per averCi scritto, Le auguriamo buona giornata. Restiamo a Sua disposizione."),
        ("nl", "nl", "Duitse en Oostenrijkse klanten betalen BTW. Wij helpen U graag, ook op Zaterdag."),
        ("pl", "pl", "Czy mogę Pani jeszcze pomóc? W Boże Narodzenie i w Wielkanoc nie wiem."),
        ("ru", "ru", "Будем рады видеть Вас! НДС включён. На Рождество график неизвестен."),
        ("tr", "tr", "Sayın Müşterimiz, Cumartesi günü KDV dâhil fiyatlar geçerlidir."),
        ("ja", "ja", "QRコードとSNSは使えません。WebサイトかEメールでどうぞ。"),
        # loud words, countries, and what stands in quotation marks
        ("en", "en", 'It is FREE in Switzerland too. Press "Submit Order", then “Pay Now”.'),
        ("de", "de", "Der Versand nach Österreich ist GRATIS."),
        ("es", "es", "El envío es GRATIS en Portugal."),
        ("fr", "fr", "La livraison est GRATUITE en Belgique."),
        # sources in another language, which may translate a name
        ("en", "de", "Our warehouse is in Prague."),
        ("de", "en", "Fragen Sie Herrn Steinmüller."),
        ("fr", "en", "L'ONU et le FMI sont à Lyon."),
        ("es", "en", "Pregunte a la señora Benavides."),
        ("pl", "en", "Paczka jedzie z InPostem."),
        ("ru", "en", "Посылку везёт компания FedEx."),
        ("ja", "en", "Amazonのロッカーで受け取れます。"),
        # code, addresses and what is asked
        ("en", "en", "Write `FedEx` in the field, or see https://shop.example/UPS and mail UPS@shop.example."),
        ("en", "question", "No, we do not send with FedEx to Leipzig."),
    ],
)
def test_a_name_of_the_sources_is_said_in_any_form(language: str, source: str, answer: str) -> None:
    question = "Do you send with FedEx to Leipzig?" if source == "question" else "?"
    assert faults(answer, language, SHOP.get(source, SHOP[language]), question) == []


@pytest.mark.parametrize(
    ("language", "source", "answer", "name"),
    [
        ("en", "en", "Your parcel goes by FedEx.", "FedEx"),
        ("en", "en", "We hand it over to UPS.", "UPS"),
        ("en", "en", "Please ask Jonathan Whitmore.", "Jonathan Whitmore"),
        ("en", "en", "Please ask Ms Whitmore.", "Whitmore"),
        ("en", "en", "Our warehouse is in Leipzig.", "Leipzig"),
        ("en", "en", "The kettle is the TK-300.", "TK-300"),
        ("de", "de", "Das Paket geht mit GLS an die Filiale.", "GLS"),
        ("de", "de", "Unser Lager steht in Leipzig.", "Leipzig"),
        ("fr", "fr", "Le colis part avec Chronopost.", "Chronopost"),
        ("es", "es", "Pregunte por Lucía Benavides.", "Lucía Benavides"),
        ("it", "it", "Può ritirarlo anche da Esselunga.", "Esselunga"),
        ("nl", "nl", "Het pakket gaat met PostNL.", "PostNL"),
        ("nl", "nl", "Ons magazijn staat in Tilburg.", "Tilburg"),
        ("pl", "pl", "Nasz magazyn jest we Wrocławiu.", "Wrocławiu"),
        ("ru", "ru", "Наш склад находится в Новосибирске.", "Новосибирске"),
        ("tr", "tr", "Depomuz İzmir'de değil, bunu Aras Kargo taşır.", "İzmir"),
        ("zh", "zh", "包裹由UPS配送。", "UPS"),
    ],
)
def test_a_name_that_stands_nowhere_is_found(language: str, source: str, answer: str, name: str) -> None:
    found = faults(answer, language, SHOP[source])
    assert found and found[0].startswith(f"{name} ")


@pytest.mark.parametrize(
    "context",
    [
        AnswerContext("Who sends parcels?", "en"),
        AnswerContext("2 + 2", "en", uses=(ToolUse("python", {}, True, "4", 1.0),)),
        AnswerContext("Who was it?", "en", uses=(ToolUse("search_knowledge", {}, False, "no answer", 1.0),)),
        AnswerContext("Who sends parcels?", "en", passages=(SHOP["en"],), skips_figures=True),
        AnswerContext("Tell me of Roman emperors, please", "en", passages=("Tea costs 12 euros.",)),
    ],
)
def test_general_knowledge_has_names_of_its_own(context: AnswerContext) -> None:
    assert NameGuard(context).check_sentence(sentences_of("It was FedEx, or Marcus Aurelius in Leipzig.")[0]) is None


@pytest.mark.parametrize(
    "more",
    [
        {"questions": ("I ordered it with FedEx to Leipzig.",)},
        {"answers": ("FedEx brings it to Leipzig.",)},
        {"background": "The person lives in Leipzig and likes FedEx."},
        {"system_context": "You answer for FedEx in Leipzig."},
    ],
)
def test_what_was_said_before_is_known(more: dict[str, str]) -> None:
    use = ToolUse("search_knowledge", {}, True, SHOP["en"], 1.0)
    guard = NameGuard(AnswerContext("?", "en", uses=(use,), **more))  # type: ignore[arg-type]
    assert guard.check_sentence(sentences_of("It goes by FedEx to Leipzig, not by DHL.")[0]) is None
    assert guard.compared() == "FedEx, Leipzig, DHL: in the sources; other words were not compared"


def test_the_arguments_of_a_call_are_known() -> None:
    use = ToolUse("order_status", {"carrier": "FedEx"}, True, "It was shipped.", 1.0)
    assert NameGuard(AnswerContext("?", "en", uses=(use,))).check_sentence(sentences_of("FedEx has it.")[0]) is None


def test_a_sentence_at_fault_is_left_out_and_the_others_stand() -> None:
    use = ToolUse("search_knowledge", {}, True, f"[1] shop.md\n> {SHOP['en']}", 1.0)
    context = AnswerContext("How do you ship?", "en", uses=(use,))
    stream = GuardedStream([guard(context) for guard in GUARDS], lambda _: None, stops=False)
    stream.feed("We ship with DHL [1]. FedEx takes it to Leipzig. Ask Jonathan Whitmore.")
    stream.finish()
    assert stream.text.startswith("We ship with DHL [1].")
    assert "FedEx" not in stream.text and "Whitmore" not in stream.text


async def test_a_carrier_that_no_document_names_is_not_said_by_a_desk(tmp_path: Path) -> None:
    good, bad = (
        "A parcel within Germany goes by DHL and costs 4.90 euros [1].",
        "FedEx takes it to our branch in Leipzig.",
    )
    card = ModelCard(name="large", roles=("general", "coder", "math", "thinking"), parameters=7)
    desk = Desk(
        Settings(home=tmp_path, engine="scripted", embedder="none"),
        engines={"scripted": ScriptedEngine(lambda _: f"{good} {bad}", cards=(card,))},
    )
    async with desk:
        assert desk.knowledge
        text = b"# Delivery\n\nWe send parcels with DHL. A parcel within Germany costs 4.90 euros.\n"
        await desk.knowledge.base.add_bytes("delivery.md", text, mime="text/markdown")
        await desk.knowledge.refresh(max_age_seconds=0)
        reply = await desk.ask("What does a parcel within Germany cost?")
    assert reply.text.startswith(good)
    assert "FedEx" not in reply.text and "Leipzig" not in reply.text
    failed = [check for check in reply.receipt.checks if check.name == NameGuard.name and check.outcome == "failed"]
    assert failed and "FedEx" in failed[0].detail
