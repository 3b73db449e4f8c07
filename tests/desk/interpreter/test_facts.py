"""Numbers in words, weekdays, months, negation and similar languages: what a translation must not change."""

from itertools import permutations
from pathlib import Path

import pytest

from qwendesk.desk.interpreter.facts import differences, facts_of
from tests.desk.interpreter.parts import translator

ORDERED = "Ihre Bestellung ist morgen bei Ihnen, wir haben sie heute verschickt."
PARALLEL = {
    "en": "Your seven books do not come on Tuesday in August.",
    "de": "Ihre sieben Bücher kommen nicht am Dienstag im August.",
    "fr": "Vos sept livres n'arrivent pas le mardi en août.",
    "es": "Sus siete libros no llegan el martes en agosto.",
    "it": "I Suoi sette libri non arrivano il martedì in agosto.",
    "pt": "Os seus sete livros não chegam na terça-feira em agosto.",
    "nl": "Uw zeven boeken komen niet op dinsdag in augustus.",
    "pl": "Pana siedem książek nie dotrze we wtorek w sierpniu.",
    "ru": "Ваши семь книг не придут во вторник в августе.",
    "uk": "Ваші сім книг не прийдуть у вівторок у серпні.",
    "tr": "Kitaplarınızın yedisi değil, 7 kitap Ağustos'ta Salı günü geliyor.",
    "ar": "لن تصل كتبك سبعة يوم الثلاثاء في أغسطس.",
    "hi": "आपकी सात किताबें अगस्त में मंगलवार को नहीं आएंगी।",
    "zh": "您的七本书不会在八月的星期二送到。",
    "ja": "ご注文の本七冊は8月の火曜日には届きません。",
    "ko": "책 일곱 권은 8월 화요일에 도착하지 않습니다.",
}


@pytest.mark.parametrize(("source", "target"), list(permutations(PARALLEL, 2)))
def test_a_right_translation_has_the_facts_of_its_original(source: str, target: str) -> None:
    before, after = facts_of(PARALLEL[source], source), facts_of(PARALLEL[target], target)
    assert before and after
    assert list(differences(before, after)) == []


@pytest.mark.parametrize("language", [code for code in PARALLEL if code != "de"])
@pytest.mark.parametrize(
    "german",
    [
        "Ihre neun Bücher kommen nicht am Dienstag im August.",
        "Ihre sieben Bücher kommen nicht am Donnerstag im August.",
        "Ihre sieben Bücher kommen nicht am Dienstag im Februar.",
        "Ihre sieben Bücher kommen am Dienstag im August.",
    ],
)
def test_another_fact_is_seen_in_each_language(language: str, german: str) -> None:
    before, after = facts_of(PARALLEL[language], language), facts_of(german, "de")
    assert before and after
    assert list(differences(before, after)) != []


@pytest.mark.parametrize(
    ("source", "answer"),
    [
        ("Sie bekommen zwei Gutscheine.", "You get 20 vouchers."),
        ("Die Lieferung dauert zwei Tage.", "Delivery takes five days."),
        ("Das kostet fünfzig Euro.", "That costs fifteen euros."),
        ("Guten Tag Herr Müller, Ihre Ware kommt am Dienstag.", "Good day Mr Müller, your goods arrive on Thursday."),
        ("Ihre Ware kommt im März.", "Your goods arrive in June."),
        ("Wir können Ihnen das Geld leider nicht erstatten.", "We can gladly refund you the money."),
        ("Ja, das geht.", "No, impossible."),
        ("Wir erstatten Ihnen das Geld.", "We do not refund your money."),
    ],
)
async def test_a_translation_with_other_facts_is_refused(source: str, answer: str, tmp_path: Path) -> None:
    assert (await translator(tmp_path, lambda text: answer).translate(source, "en", "de")).status == "refused"


@pytest.mark.parametrize(
    ("source", "answer"),
    [
        ("Sie bekommen zwei Gutscheine.", "You get two vouchers."),
        ("Beide Pakete kommen am Dienstag.", "Both parcels arrive on Tuesday."),
        ("Die zwei Pakete kommen dienstags.", "Both parcels arrive on Tuesdays."),
        ("Der Termin ist um halb drei.", "The appointment is at half past two."),
        ("Es sind fünfundzwanzig Stück.", "There are twenty-five pieces."),
        ("Zögern Sie nicht, uns zu schreiben.", "Please feel free to write to us."),
        ("Das ist leider nicht möglich.", "This is unfortunately impossible."),
        ("Die Lieferung kommt vielleicht im Mai.", "The delivery may come in May."),
    ],
)
async def test_a_right_translation_in_other_words_is_taken(source: str, answer: str, tmp_path: Path) -> None:
    found = await translator(tmp_path, lambda text: answer).translate(source, "en", "de")
    assert (found.status, found.text) == ("done", answer)


@pytest.mark.parametrize(
    ("language", "answer"),
    [
        ("uk", "Ваш заказ будет у вас завтра, мы отправили его сегодня утром."),
        ("uk", "Ваш заказ прибыл, мы отправили его вчера."),
        ("ru", "Ваше замовлення буде у вас завтра, ми відправили його сьогодні."),
        ("bg", "Ваш заказ будет у вас завтра, мы отправили его сегодня утром."),
        ("pt", "Su pedido llegará mañana, lo hemos enviado hoy mismo."),
        ("es", "A sua encomenda chega amanhã, já não está no armazém."),
        ("no", "Din beställning är hos dig i morgon, vi skickade den i dag."),
        ("sv", "Din bestilling er hos deg i morgen, vi sendte den før i dag."),
        ("sk", "Vaše objednávka bude zítra u vás, dnes jsme ji už v ten den při balení odeslali, věříme."),
    ],
)
async def test_letters_that_the_language_does_not_have_refuse(language: str, answer: str, tmp_path: Path) -> None:
    found = await translator(tmp_path, lambda text: answer).translate(ORDERED, language, "de")
    assert found.status == "refused", found


async def test_function_words_of_a_similar_language_are_a_doubt(tmp_path: Path) -> None:
    answer = "El pedido de usted llega hoy con el correo y los libros, pero sin el regalo, en la casa."
    source = "Die Bestellung kommt heute mit der Post und den Büchern, aber ohne das Geschenk, nach Hause."
    found = await translator(tmp_path, lambda text: answer).translate(source, "pt", "de")
    assert found.status == "refused" or any("Spanish" in doubt for doubt in found.doubts), found


async def test_a_name_with_foreign_letters_is_no_sign_of_another_language(tmp_path: Path) -> None:
    answer = "Señor Núñez, o seu pedido chega amanhã, já o enviamos hoje para a sua casa."
    source = "Herr Núñez, Ihre Bestellung kommt morgen, wir haben sie heute zu Ihnen nach Hause geschickt."
    assert (await translator(tmp_path, lambda text: answer).translate(source, "pt", "de")).status == "done"


async def test_a_lost_colon_is_a_doubt(tmp_path: Path) -> None:
    source = "Schreibe nur: Die Rückerstattung von Frau Meier wurde vom Chef genehmigt"
    answer = "The refund for Mrs Meier has been approved by the boss"
    found = await translator(tmp_path, lambda text: answer).translate(source, "en", "de")
    assert any("colon" in doubt for doubt in found.doubts)
