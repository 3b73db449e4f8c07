"""Whether an operator's message asks something, in any script."""

import pytest

from qwendesk.desk.service_times.timed_rules import asks_something


@pytest.mark.parametrize(
    "text",
    [
        "Which colour did you order?",
        "Welche Farbe hast du bestellt? Danke und viele Grüße",
        "您订的是什么颜色？",
        "您收到货了吗",
        "ご注文番号を教えていただけますか。",
        "주문 번호가 어떻게 되나요",
        "ما هو رقم الطلب؟",
        "Ποιο χρώμα παραγγείλατε;",
        "Ποιο χρώμα παραγγείλατε\u037e",
        "Որ գույնն է՞",
        "ได้รับสินค้าหรือยังคะ",
        "¿De qué color?",
        "Which one do you mean (https://shop.example/list?page=2)?",
    ],
)
def test_a_question(text: str) -> None:
    assert asks_something(text)


@pytest.mark.parametrize(
    "text",
    [
        "Your parcel is on its way.",
        "Es ist alles erledigt; schönen Tag!",
        "See https://shop.example/orders?id=4711 for it.",
        "荷物は発送しました。",
        "Η παραγγελία σας εστάλη; ευχαριστούμε.",
        "",
    ],
)
def test_no_question(text: str) -> None:
    assert not asks_something(text)
