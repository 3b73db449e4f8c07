"""Promises of the desk, and sentences that tell how something goes or what someone else says."""

from __future__ import annotations

import pytest

from qwendesk.agents.guards.base import AnswerContext
from qwendesk.agents.guards.promises import PromiseGuard
from qwendesk.agents.guards.sentences import sentences_of


def fault(question: str, answer: str, language: str) -> str | None:
    guard = PromiseGuard(AnswerContext(question, language))
    guard.prepare()
    return next(filter(None, map(guard.check_sentence, sentences_of(answer))), None)


@pytest.mark.parametrize(
    ("question", "answer", "language"),
    [
        ("What does the shop say?", "The shop says we have refunded your money.", "en"),
        ("What happens after I order?", "After you order, we will send you an email.", "en"),
        ("What happens next?", "We will send you an email with the details.", "en"),
        ("Explain TCP", "First I will send you a SYN, then you answer.", "en"),
        (
            "Was passiert nach der Kündigung?",
            "Ihr Vertrag wird zum Monatsende gekündigt, und wir werden Ihnen eine Bestätigung schicken.",
            "de",
        ),
        ("¿Qué pasa después de la compra?", "Después le enviaremos un correo con la factura.", "es"),
        ("Is 97 prime?", "I have checked the divisors up to 9.", "en"),
        ("Ist der Satz richtig?", "Ich habe den Satz geprüft.", "de"),
        ("Que se passe-t-il après la commande ?", "Nous vous enverrons un e-mail.", "fr"),
        ("O que acontece depois da compra?", "Vamos enviar um e-mail com a nota.", "pt"),
        ("Cosa succede dopo l'ordine?", "Le invieremo una e-mail.", "it"),
        ("下单后会发生什么？", "下单后，我们会给您发送一封邮件。", "zh"),
        ("Что происходит после заказа?", "Мы отправим вам письмо.", "ru"),
        ("注文した後はどうなりますか？", "ご注文後、確認メールをお送りします。", "ja"),
        ("Traduis : « I have cancelled your order »", "« J'ai annulé votre commande »", "fr"),
        ("What did the email from the bank say?", "According to the email, we have forwarded your request.", "en"),
        ("What did Anna tell him?", "She told him that she has booked a table.", "en"),
        ("Was steht in der Mail?", "In der Mail steht, dass wir Ihre Bestellung storniert haben.", "de"),
        ("¿Qué dice la carta?", "La carta dice que hemos cancelado su pedido.", "es"),
        ("Que dit le message ?", "Selon le message, nous avons remboursé votre argent.", "fr"),
        ("What does 'we'll be in touch' mean?", "It means we will contact you later.", "en"),
        ("Wat gebeurt er na mijn bestelling?", "We zullen u een e-mail sturen.", "nl"),
        ("Sipariş verdikten sonra ne olur?", "Size bir e-posta göndereceğiz.", "tr"),
        ("주문 후에 어떻게 되나요?", "이메일을 보내 드리겠습니다.", "ko"),
        ("Co się dzieje po zamówieniu?", "Wyślemy do Państwa e-mail.", "pl"),
        ("How does returning work?", "You send it back, and then we will refund your money.", "en"),
        ("Wie läuft eine Rückgabe ab?", "Danach werden wir Ihnen das Geld erstatten.", "de"),
        ("¿Qué dice el mensaje?", "Según el mensaje, hemos enviado su pedido.", "es"),
        ("Что пишет магазин?", "Магазин пишет, что мы отменили ваш заказ.", "ru"),
        ("邮件说了什么？", "邮件说我们已经取消了您的订单。", "zh"),
    ],
)
def test_a_description_or_report_is_no_promise(question: str, answer: str, language: str) -> None:
    assert fault(question, answer, language) is None


@pytest.mark.parametrize(
    ("question", "answer", "language"),
    [
        ("Please cancel my order.", "I will cancel your order.", "en"),
        ("What happens next?", "I have cancelled your order.", "en"),
        ("My tea is broken. What happens next?", "I will forward this to my team.", "en"),
        ("Please escalate this. What happens next?", "I will escalate it to a manager.", "en"),
        ("Was passiert jetzt?", "Ich habe Ihre Bestellung storniert.", "de"),
        ("Wo ist mein Geld?", "Wir haben Ihnen das Geld erstattet.", "de"),
        ("What does the shop say?", "The shop is closed today, but I have refunded your money.", "en"),
        ("¿Dónde está mi pedido?", "Le enviaremos un correo mañana.", "es"),
        ("Explain my bill.", "I have refunded your money.", "en"),
        ("¿Qué pasa ahora?", "He cancelado su pedido.", "es"),
        ("Que se passe-t-il maintenant ?", "J'ai remboursé votre argent.", "fr"),
        ("Что теперь будет?", "Я отменил ваш заказ.", "ru"),
        ("Mein Tee ist kaputt. Was passiert jetzt?", "Wir werden Ihnen das Geld erstatten.", "de"),
        ("What does your policy say?", "I have cancelled your order.", "en"),
    ],
)
def test_what_the_desk_claims_or_promises_is_found(question: str, answer: str, language: str) -> None:
    assert fault(question, answer, language)
