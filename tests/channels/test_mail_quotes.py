"""What a person wrote, among what their mail program put around it."""

from __future__ import annotations

import pytest

from qwendesk.channels.mail.parse import parse
from qwendesk.channels.mail.quotes import strip_quotes
from tests.channels.mail_platform import DESK

DESK_NAME = "Desk <desk@acme.example>"
ANNOUNCED = {
    "en": f"On Mon, Nov 30, 2026 at 10:00 AM {DESK_NAME} wrote:",
    "en_broken": "On Mon, Nov 30, 2026 at 10:00 AM The Desk of Acme\n<desk@acme.example> wrote:",
    "en_no_address": "On 30/11/2026 10:00, Desk wrote:",
    "de": "Am Mo., 30. Nov. 2026 um 10:00 Uhr schrieb Desk <\ndesk@acme.example>:",
    "de_other": "Desk schrieb am 30.11.2026 um 10:00:",
    "fr": f"Le lun. 30 nov. 2026 à 10:00, {DESK_NAME} a écrit :",
    "es": "El lun, 30 nov 2026 a las 10:00, Desk (<desk@acme.example>) escribió:",
    "pt": f"Em seg., 30 de nov. de 2026 às 10:00, {DESK_NAME} escreveu:",
    "it": f"Il giorno lun 30 nov 2026 alle ore 10:00 {DESK_NAME} ha scritto:",
    "nl": f"Op ma 30 nov 2026 om 10:00 schreef {DESK_NAME}:",
    "pl": f"pon., 30 lis 2026 o 10:00 {DESK_NAME} napisał(a):",
    "sv": f"Den mån 30 nov. 2026 kl 10:00 skrev {DESK_NAME}:",
    "da": f"Den man. 30. nov. 2026 kl. 10.00 skrev {DESK_NAME}:",
    "no": f"man. 30. nov. 2026 kl. 10:00 skrev {DESK_NAME}:",
    "fi": "ma 30. marrask. 2026 klo 10.00 Desk (desk@acme.example) kirjoitti:",
    "cs": f"po 30. 11. 2026 v 10:00 odesílatel {DESK_NAME} napsal:",
    "sk": f"po 30. 11. 2026 o 10:00 {DESK_NAME} napísal(a):",
    "hu": f"{DESK_NAME} ezt írta (időpont: 2026. nov. 30., H, 10:00):",
    "ro": f"În lun., 30 nov. 2026 la 10:00, {DESK_NAME} a scris:",
    "bg": f"На пн, 30.11.2026 г. в 10:00 {DESK_NAME} написа:",
    "ru": f"пн, 30 нояб. 2026 г. в 10:00, {DESK_NAME}:",
    "ru_other": "30.11.2026 10:00, Desk пишет:",
    "uk": f"пн, 30 лист. 2026 р. о 10:00 {DESK_NAME} пише:",
    "el": f"Στις Δευ, 30 Νοε 2026 στις 10:00 π.μ., ο χρήστης {DESK_NAME} έγραψε:",
    "tr": f"{DESK_NAME}, 30 Kas 2026 Pzt, 10:00 tarihinde şunu yazdı:",
    "hr": f"pon, 30. stu 2026. u 10:00 {DESK_NAME} napisao je:",
    "sl": f"V V pon., 30. nov. 2026 ob 10:00 je oseba {DESK_NAME} napisala:",
    "lt": f"2026-11-30, pr, 10:00 {DESK_NAME} rašė:",
    "lv": f"pirmd., 2026. g. 30. nov., plkst. 10:00 — lietotājs {DESK_NAME} rakstīja:",
    "et": f"Kuupäev E, 30. november 2026 kell 10:00 kirjutas kasutaja {DESK_NAME}:",
    "ca": "Missatge de Desk <desk@acme.example> del dia dl., 30 de nov. 2026 a les 10:00:",
    "ja": f"2026年11月30日(月) 10:00 {DESK_NAME}:",
    "ja_other": "2026/11/30 10:00、Deskのメール:",
    "zh": "Desk <desk@acme.example> 于2026年11月30日周一 10:00写道：",
    "zh_tw": "Desk <desk@acme.example> 於 2026年11月30日 週一 上午10:00寫道：",
    "ko": f"2026년 11월 30일 (월) 오전 10:00, {DESK_NAME}님이 작성:",
    "he": "\u202bבתאריך יום ב׳, 30 בנוב׳ 2026 ב-10:00 מאת \u202aDesk\u202c <\u202adesk@acme.example\u202c>:\u202c",
    "ar": "في الاثنين، 30 نوفمبر 2026 في 10:00 ص تمت كتابة ما يلي بواسطة \u202aDesk\u202c <desk@acme.example>:",
    "fa": "در تاریخ دوشنبه ۳۰ نوامبر ۲۰۲۶،‏ ۱۰:۰۰ Desk <desk@acme.example> نوشت:",
    "hi": f"सोम, 30 नव॰ 2026 को 10:00 बजे को {DESK_NAME} ने लिखा:",
    "th": f"ในวันที่ จ. 30 พ.ย. 2026 เวลา 10:00 {DESK_NAME} เขียนว่า:",
    "vi": f"Vào Th 2, 30 thg 11, 2026 vào lúc 10:00 {DESK_NAME} đã viết:",
    "id": f"Pada Sen, 30 Nov 2026 pukul 10.00 {DESK_NAME} menulis:",
}  # fmt: skip


@pytest.mark.parametrize("line", ANNOUNCED.values(), ids=ANNOUNCED)
def test_sentences_before_and_after_a_quote_are_kept_in_every_language(line: str) -> None:
    text = f"The parcel is lost.\n\n{line}\n\n> Which address?\n> And which town?\n\n12 Main Street"
    assert strip_quotes(text) == "The parcel is lost.\n\n12 Main Street"


HEADS = {
    "en": "From: Desk\nSent: Monday, 30 November 2026 10:00\nTo: Anna\nSubject: Order",
    "en_bold": "*From:* Desk <d@acme.example>\n*Date:* 30 Nov 2026\n*To:* Anna\n*Subject:* Order",
    "de": "Von: Desk\nGesendet: Montag, 30. November 2026 10:00\nAn: Anna\nBetreff: AW: x",
    "fr": "De : Desk\nEnvoyé : lundi 30 novembre 2026 10:00\nÀ : Anna\nObjet : x",
    "es": "De: Desk\nEnviado el: lunes, 30 de noviembre de 2026\nPara: Anna\nAsunto: x",
    "pt": "De: Desk\nEnviada em: segunda-feira, 30 de novembro\nPara: Anna\nAssunto: x",
    "it": "Da: Desk\nInviato: lunedì 30 novembre 2026\nA: Anna\nOggetto: x",
    "nl": "Van: Desk\nVerzonden: maandag 30 november\nAan: Anna\nOnderwerp: x",
    "pl": "Od: Desk\nWysłano: poniedziałek\nDo: Anna\nTemat: x",
    "sv": "Från: Desk\nSkickat: den 30 november\nTill: Anna\nÄmne: x",
    "da": "Fra: Desk\nSendt: 30. november\nTil: Anna\nEmne: x",
    "fi": "Lähettäjä: Desk\nLähetetty: maanantai\nVastaanottaja: Anna\nAihe: x",
    "cs": "Od: Desk\nOdesláno: pondělí\nKomu: Anna\nPředmět: x",
    "sk": "Od: Desk\nOdoslané: pondelok\nKomu: Anna\nPredmet: x",
    "hu": "Feladó: Desk\nElküldve: hétfő\nCímzett: Anna\nTárgy: x",
    "ro": "De la: Desk\nTrimis: luni\nCătre: Anna\nSubiect: x",
    "bg": "От: Desk\nИзпратено: понеделник\nДо: Anna\nОтносно: x",
    "ru": "От: Desk\nОтправлено: понедельник\nКому: Anna\nТема: x",
    "uk": "Від: Desk\nНадіслано: понеділок\nКому: Anna\nТема: x",
    "el": "Από: Desk\nΣτάλθηκε: Δευτέρα\nΠρος: Anna\nΘέμα: x",
    "tr": "Kimden: Desk\nGönderildi: Pazartesi\nKime: Anna\nKonu: x",
    "ja": "差出人: Desk\n送信日時: 2026年11月30日\n宛先: Anna\n件名: x",
    "zh": "发件人: Desk\n发送时间: 2026年11月30日\n收件人: Anna\n主题: x",
    "zh_tw": "寄件者: Desk\n寄件日期: 2026年11月30日\n收件者: Anna\n主旨: x",
    "ko": "보낸 사람: Desk\n보낸 날짜: 2026년 11월 30일\n받는 사람: Anna\n제목: x",
    "he": "מאת: Desk\nנשלח: יום שני\nאל: Anna\nנושא: x",
    "ar": "من: Desk\nالتاريخ: الاثنين\nإلى: Anna\nالموضوع: x",
    "th": "จาก: Desk\nส่ง: 30\nถึง: Anna\nเรื่อง: x",
    "vi": "Từ: Desk\nĐã gửi: thứ hai\nĐến: Anna\nChủ đề: x",
}


@pytest.mark.parametrize("head", HEADS.values(), ids=HEADS)
@pytest.mark.parametrize("rule", ["", "________________________________\n", "-----Original Message-----\n"])
def test_an_older_mail_without_quote_signs_is_left_out_in_every_language(head: str, rule: str) -> None:
    assert strip_quotes(f"Thanks!\n\n{rule}{head}\n\nThe older mail.") == "Thanks!"


@pytest.mark.parametrize(
    "words",
    [
        "Original Message", "Ursprüngliche Nachricht", "Message d'origine", "Mensaje original", "Mensagem original",
        "Messaggio originale", "Oorspronkelijk bericht", "Wiadomość oryginalna", "Ursprungligt meddelande",
        "Oprindelig meddelelse", "Opprinnelig melding", "Alkuperäinen viesti", "Původní zpráva", "Eredeti üzenet",
        "Mesajul original", "Исходное сообщение", "Αρχικό μήνυμα", "Orijinal Mesaj", "原始邮件", "元のメッセージ",
        "원본 메시지", "הודעה מקורית", "الرسالة الأصلية",
    ],
)  # fmt: skip
@pytest.mark.parametrize("dashes", ["-----{}-----", "-------- {} --------", "------------------ {} ------------------"])
def test_what_stands_below_the_words_original_message_is_left_out(words: str, dashes: str) -> None:
    assert strip_quotes(f"Thanks!\n{dashes.format(words)}\nThe older mail.") == "Thanks!"


@pytest.mark.parametrize(
    "text",
    [
        "My log says:\n----- begin of log -----\nerror 42\n----- end of log -----\nWhat does it mean?",
        "Is it right?\n-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\nHow long is it valid?",
        "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nHello\n-----BEGIN PGP SIGNATURE-----\nx",
        "--- original ---\nred\n--- changed ---\nblue\nWhat differs?",
        "----------\nTitle\n----------\nText",
        "===== 1 =====\nText\n===== 2 =====\nText",
        "On 3 May my boss wrote:\n\nPlease cancel it.\n\nCan you?",
        "He asked at 10:00:\n\nwhen does it come?",
        "From: Berlin\nTo: Paris\nSubject to change: yes\nWhat does it cost?",
        "The manual says:\n> press the button\nI did, and nothing came.",
        "Is this right? The manual says:\n\n> Press the button.",
        "    if x:\n        return 1\n\nWhat is wrong here?",
        "SELECT 1\n-- " + "\nx" * 40,
    ],
)
def test_nothing_that_a_person_wrote_is_taken_for_something_else(text: str) -> None:
    assert strip_quotes(text) == text


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Yes.\n\nOn 30/11/2026 10:00, Desk wrote:\n> a\nIt is red.\n> b\nSmall.", "Yes.\n\nIt is red.\n\nSmall."),
        ("I agree.\nOn 30/11/2026 10:00, Desk wrote:\n> x", "I agree."),
        ("On 30/11/2026 10:00, Desk wrote:\n> x\n\nI agree.", "I agree."),
        ("I agree.\n-- \nAnna\n\nOn 30/11/2026 10:00, Desk wrote:\n> x\n\nAnd more.", "I agree.\n\nAnd more."),
        ("Yes.\n\n--- Original Message ---\nOn Mon at 10:00, Desk <d@x.eu> wrote:\n\n> x\n\nMore.", "Yes.\n\nMore."),
        ("I agree.\n\n> old\n> older", "I agree."),
        ("Hello\n- -- \nAnna", "Hello"),
    ],
)  # fmt: skip
def test_answers_among_quotes_are_kept_and_signatures_are_not(text: str, kept: str) -> None:
    assert strip_quotes(text) == kept


@pytest.mark.parametrize(
    "mark",
    [
        "---------- Forwarded message ---------", "Begin forwarded message:",
        "-------- Weitergeleitete Nachricht --------",
        "Anfang der weitergeleiteten Nachricht:", "---------- Message transféré ---------",
        "-------- Пересылаемое сообщение --------",
        "Début du message transféré :", "---------- 転送メッセージ ----------", "---------- 转发的邮件 ----------",
    ],
)  # fmt: skip
def test_a_mail_that_is_passed_on_is_what_is_written_about(mark: str) -> None:
    text = f"Is this a fraud?\n\n{mark}\nFrom: Bank <b@bank.example>\nDate: Monday\nSubject: Your account\n\nPay now."
    assert strip_quotes(text) == text


@pytest.mark.parametrize(
    "subject", ["FW: Order", "Fwd: Order", "WG: Bestellung", "TR: Commande", "RV: Pedido", "转发：订单"]
)
def test_a_subject_says_that_a_mail_without_a_mark_is_passed_on(subject: str) -> None:
    text = "What is this?\n\nFrom: Bank <b@bank.example>\nSent: Monday\nTo: Anna\nSubject: Order\n\nPay now."
    raw = f"From: anna@people.example\nSubject: {subject}\nContent-Type: text/plain; charset=utf-8\n\n{text}".encode()
    inbound = parse(raw, DESK)
    assert inbound is not None and inbound.text == f"{subject}\n\n{text}"


def test_a_quote_in_html_is_left_out_and_the_answers_in_it_are_kept() -> None:
    html = (
        "<div>Yes.</div><div class=gmail_quote><div class=gmail_attr>On Mon, Nov 30, 2026 at 10:00 AM Desk &lt;"
        "<a href='mailto:desk@acme.example'>desk@acme.example</a>&gt; wrote:<br></div>"
        "<blockquote class=gmail_quote>Is it blue?</blockquote></div><div>It is red.</div>"
    )
    inbound = parse(f"From: anna@people.example\nContent-Type: text/html\n\n{html}".encode(), DESK)
    assert inbound is not None and inbound.text == "Yes.\n\nIt is red."


def test_a_quote_that_is_announced_within_itself_is_left_out() -> None:
    html = (
        "Yes, please.<div><blockquote type=cite><div>On 30. Nov 2026, at 10:00, Desk &lt;d@acme.eu&gt; wrote:</div>"
        "<br><div>Blue?</div></blockquote></div><div>Blue is fine.</div><blockquote type=cite>Large?</blockquote>Small."
    )
    inbound = parse(f"From: anna@people.example\nContent-Type: text/html\n\n{html}".encode(), DESK)
    assert inbound is not None and inbound.text == "Yes, please.\n\nBlue is fine.\n\nSmall."
