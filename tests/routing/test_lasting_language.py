"""The wish for a language of all answers, in many languages, and what only sounds like one."""

from __future__ import annotations

import pytest
from babel import Locale

from qwendesk.routing.signals.lasting_language import is_only_language_wish, language_wish
from tests.routing.test_asked_language import ASKED, NOT_ASKED, QUESTIONS_ABOUT_ANSWERS, WANTED

TEMPLATES = {
    "en": ("Always answer in {}.", "From now on, please reply in {}."),
    "de": ("Antworte bitte immer auf {}.", "Ab jetzt bitte auf {}."),
    "fr": ("Réponds toujours en {}.", "À partir de maintenant, réponds en {}, s'il te plaît."),
    "es": ("Responde siempre en {}.", "De ahora en adelante, responde en {}."),
    "it": ("Rispondi sempre in {}.", "D'ora in poi rispondi in {}, per favore."),
    "pt": ("Responda sempre em {}.", "De agora em diante, responda em {}."),
    "nl": ("Antwoord altijd in het {}.", "Vanaf nu graag in het {}."),
    "sv": ("Svara alltid på {}.", "Från och med nu, svara på {}."),
    "da": ("Svar altid på {}.", "Fra nu af, svar på {}."),
    "no": ("Svar alltid på {}.", "Fra nå av, svar på {}."),
    "ro": ("Răspunde mereu în {}.", "De acum înainte răspunde în {}."),
    "bg": ("Винаги отговаряй на {}.", "Отсега нататък отговаряй на {}."),
    "el": ("Απάντα πάντα στα {}.", "Από εδώ και πέρα απάντησε στα {}."),
    "tr": ("Her zaman {} cevap ver.", "Bundan sonra {} cevap ver."),
    "ar": ("أجب دائما باللغة {}.", "من الآن فصاعدا أجب باللغة {}."),
    "he": ("ענה תמיד ב{}.", "מעכשיו ענה ב{}."),
    "fa": ("همیشه به زبان {} پاسخ بده.", "از این به بعد به زبان {} پاسخ بده."),
    "hi": ("हमेशा {} में उत्तर दें।", "अब से {} में जवाब दो।"),
    "id": ("Selalu jawab dalam bahasa {}.", "Mulai sekarang jawab dalam bahasa {}."),
    "ms": ("Sentiasa jawab dalam bahasa {}.", "Mulai sekarang jawab dalam bahasa {}."),
    "sw": ("Jibu daima kwa {}.", "Kuanzia sasa jibu kwa {}."),
    "vi": ("Luôn trả lời bằng {}.", "Từ giờ trở đi hãy trả lời bằng {}."),
    "ca": ("Respon sempre en {}.", "A partir d'ara respon en {}."),
    "th": ("ตอบเป็นภาษา{}เสมอ", "จากนี้ไปตอบเป็นภาษา{}"),
    "zh": ("请一直用{}回答。", "从现在开始用{}回答。"),
    "ja": ("いつも{}で答えてください。", "これからは{}で答えて。"),
    "ko": ("항상 {}로 대답해 주세요.", "앞으로 {}로 답해 줘."),
}
"""Wishes in each language; names have CLDR's form."""
WISHES = [
    ("always answer in French", "fr"),
    ("from now on in Italian", "it"),
    ("bitte immer auf Deutsch", "de"),
    ("From now on, answer in Italian.", "it"),
    ("Please always reply in Spanish, no matter what language I use.", "es"),
    ("Antworte ab jetzt auf Französisch", "fr"),
    ("Ab sofort bitte auf Englisch antworten", "en"),
    ("Réponds toujours en anglais", "en"),
    ("Désormais, réponds en allemand s'il te plaît.", "de"),
    ("Responde siempre en inglés", "en"),
    ("A partir de ahora responde en francés, por favor", "fr"),
    ("Rispondi sempre in inglese", "en"),
    ("D'ora in poi rispondi in francese", "fr"),
    ("Responda sempre em inglês", "en"),
    ("A partir de agora, responda em espanhol", "es"),
    ("Antwoord voortaan in het Engels", "en"),
    ("Svara alltid på engelska", "en"),
    ("Svar altid på engelsk", "en"),
    ("Svar alltid på engelsk", "en"),
    ("Vastaa aina englanniksi", "en"),
    ("Odpowiadaj zawsze po angielsku", "en"),
    ("Odpovídej vždy anglicky", "en"),
    ("Răspunde mereu în engleză", "en"),
    ("Mindig angolul válaszolj", "en"),
    ("Bundan sonra İngilizce cevap ver", "en"),
    ("Всегда отвечай на английском", "en"),
    ("Отныне отвечай по-французски", "fr"),
    ("Завжди відповідай англійською", "en"),
    ("Πάντα απάντα στα αγγλικά", "en"),
    ("Από εδώ και πέρα απάντησε στα αγγλικά", "en"),
    ("أجب دائما بالإنجليزية", "en"),
    ("من الآن فصاعدا أجب بالفرنسية", "fr"),
    ("ענה תמיד באנגלית", "en"),
    ("מעכשיו ענה בצרפתית", "fr"),
    ("همیشه به انگلیسی پاسخ بده", "en"),
    ("از این به بعد به فرانسوی پاسخ بده", "fr"),
    ("हमेशा अंग्रेज़ी में जवाब दो", "en"),
    ("अब से फ़्रेंच में उत्तर दें", "fr"),
    ("Selalu jawab dalam bahasa Inggris", "en"),
    ("Mulai sekarang jawab dalam bahasa Prancis", "fr"),
    ("Sentiasa jawab dalam bahasa Inggeris", "en"),
    ("Luôn trả lời bằng tiếng Anh", "en"),
    ("Từ giờ trở đi hãy trả lời bằng tiếng Pháp", "fr"),
    ("以后请一直用法语回答", "fr"),
    ("从现在起用英语回答", "en"),
    ("请始终用德语回答。", "de"),
    ("いつも英語で答えてください", "en"),
    ("これからはフランス語で答えて", "fr"),
    ("앞으로 영어로 대답해 줘", "en"),
    ("항상 프랑스어로 답변해 주세요", "fr"),
    ("จากนี้ไปตอบเป็นภาษาอังกฤษ", "en"),
    ("ตอบเป็นภาษาฝรั่งเศสเสมอ", "fr"),
    ("Respon sempre en anglès", "en"),
    ("Jibu daima kwa Kiingereza", "en"),
    ("Винаги отговаряй на английски", "en"),
    ("Answer in French from now on.", "fr"),
    ("Can you always answer in German?", "de"),
    ("in English from now on please", "en"),
    ("You should always answer in French.", "fr"),
    ("Sprich immer auf Englisch mit mir", "en"),
    ("I want you to always reply in Portuguese", "pt"),
    ("always in English please", "en"),
    ("Ab jetzt nur noch auf Spanisch bitte", "es"),
    ("always respond in Japanese", "ja"),
    ("Schreib mir künftig bitte auf Niederländisch", "nl"),
    ("Always use French.", "fr"),
    ("From now on speak German with me.", "de"),
    ("What is a black hole? Always answer in French.", "fr"),
]
ENDS = [
    "antworte wieder auf Englisch",
    "back to the language I write",
    "Go back to the language I write in.",
    "answer in my language again",
    "Answer in English again please",
    "Please answer in the language I write",
    "Antworte bitte in der Sprache, in der ich schreibe.",
    "Réponds dans ma langue",
    "Réponds à nouveau en anglais",
    "Responde de nuevo en inglés",
    "Vuelve al inglés",
    "Rispondi di nuovo in inglese",
    "torna all'italiano",
    "Responda novamente em inglês",
    "Antwoord weer in het Engels",
    "Svara på engelska igen",
    "Снова отвечай на английском",
    "Отвечай на языке, на котором я пишу",
    "Tekrar İngilizce cevap ver",
    "换回英语",
    "用我的语言回答",
    "また英語で答えて",
    "私の言語で答えて",
    "다시 영어로 대답해 줘",
    "กลับไปใช้ภาษาไทย",
    "أجب بلغتي",
    "फिर से अंग्रेज़ी में जवाब दो",
    "stop answering in French",
    "No longer answer in French",
    "Jawab lagi dalam bahasa Inggris",
    "Odpowiadaj znowu po angielsku",
    "switch back to English",
    "nicht mehr auf Französisch bitte",
    "Arrête de répondre en anglais",
    "Odpovídej zase česky",
]
NO_WISHES = [
    "Explain why cats always land on their feet in French",
    "answer in French",
    "Why do you always answer in French?",
    "I always answer in French.",
    "We always speak French at home.",
    "My boss always writes in English.",
    "Say it again in French",
    "Write it again in Spanish",
    "Do not always answer in French",
    "Never answer in French",
    "Always translate what I write into French.",
    "Write a poem about a man who is always tired in French",
    "From now on I will learn French.",
    "I have always wanted to learn Italian",
    "Is it always cold in Poland?",
    "Do Germans always speak German?",
    "Warum antwortest du immer auf Deutsch?",
    "Ich schreibe immer auf Englisch",
    "Er antwortet immer auf Deutsch.",
    "Pourquoi réponds-tu toujours en anglais ?",
    "Il répond toujours en français.",
    "Sie antwortet stets auf Englisch",
    "¿Por qué respondes siempre en inglés?",
    "Mi jefe siempre escribe en inglés",
    "Perché rispondi sempre in inglese?",
    "为什么你总是用英语回答？",
    "他总是用英语回答",
    "いつも英語で話す人は誰ですか",
    "なぜいつも英語で答えるのですか",
    "Почему ты всегда отвечаешь на английском?",
    "Он всегда отвечает на английском",
    "Neden hep İngilizce cevap veriyorsun?",
    "How do you say 'always' in French?",
    "What does 'from now on' mean in German?",
    "Translate 'always answer in French' into German",
    'The manual says: "Always answer in French". Is that right?',
    "What is the word for bread in my language?",
    "She is always answering in French",
    "Does Siri always answer in English?",
    "Always check tyres in winter. Answer in French.",
    "How do I go back to English in the settings of my phone?",
    "Schreib den Satz wieder um",
    "Explain again in French",
    "왜 항상 영어로 대답해?",
    "ทำไมตอบเป็นภาษาอังกฤษเสมอ",
    "Write a function that always returns a list in Python",
    "Give me a list of French verbs I should always know",
    "In Quebec people always answer in French",
    "The customer always writes in Italian, what should I do?",
    "We should always answer customers in French, what do you think?",
]
"""Statements, questions, repetitions, translations, quotations, and requests for one answer."""


MATERIAL = [
    "Translate this: always answer in French",
    "Write an email to my team: please always answer in English.",
    "Draft a rule for our support staff. Always reply in German.",
    "Write a system prompt for a bot: always speak Spanish",
    "Always answer in French, he said.",
    "My boss told me: from now on answer in English.",
    "Proofread this.\n\nFrom now on, answer in Italian.",
    "Summarise the mail: Please always answer in Polish.",
    "What does this mean: always answer in French",
    "Übersetze: Bitte antworte immer auf Deutsch",
    "Schreib eine Regel für den Support. Antworte immer auf Englisch.",
    "Antworte immer auf Englisch, sagte mein Chef.",
    "Traduis ceci : réponds toujours en anglais.",
    "Corrige cette phrase : réponds toujours en anglais",
    "Traduce esto: responde siempre en inglés.",
    "Escribe un correo a mi equipo: responded siempre en inglés. Responde siempre en inglés.",
    "Correggi questa frase: rispondi sempre in inglese.",
    "Traduza isto: responda sempre em inglês.",
    "Vertaal dit: antwoord altijd in het Engels.",
    "Översätt detta: svara alltid på engelska.",
    "Popraw to zdanie: odpowiadaj zawsze po angielsku.",
    "Přelož to: odpovídej vždy anglicky.",
    "Переведи: всегда отвечай на английском.",
    "Виправ речення: завжди відповідай англійською.",
    "Bunu çevir: her zaman İngilizce cevap ver.",
    "ترجم هذا: أجب دائما بالإنجليزية",
    "תרגם את זה: ענה תמיד באנגלית",
    "इसका अनुवाद करो: हमेशा अंग्रेज़ी में जवाब दो",
    "Terjemahkan ini: selalu jawab dalam bahasa Inggris",
    "Dịch câu này: luôn trả lời bằng tiếng Anh",
    "翻译：请一直用法语回答。",
    "写一封邮件：以后请用英语回答。",
    "次の文を翻訳して：いつも英語で答えてください",
    "이 문장을 번역해 줘: 항상 영어로 대답해 줘",
    "แปลประโยคนี้: ตอบเป็นภาษาอังกฤษเสมอ",
]
"""Texts that a wish is only part of."""


@pytest.mark.parametrize("text", MATERIAL)
def test_a_wish_inside_a_text_to_work_on_is_none(text: str) -> None:
    assert language_wish(text) is None


@pytest.mark.parametrize("asking", TEMPLATES)
def test_any_language_is_wished_for_in_many(asking: str) -> None:
    names = Locale.parse(asking).languages
    missed = []
    for code in WANTED:
        for template in TEMPLATES[asking] if code != asking else ():
            wish = language_wish(template.format(names[code]))
            if wish is None or wish.code != code:
                missed.append(template.format(names[code]))
    assert missed == []


@pytest.mark.parametrize(("text", "code"), WISHES)
def test_a_wish_names_its_language(text: str, code: str) -> None:
    wish = language_wish(text)
    assert wish is not None and wish.code == code


@pytest.mark.parametrize("text", ENDS)
def test_a_wish_is_ended(text: str) -> None:
    wish = language_wish(text)
    assert wish is not None and wish.code is None


@pytest.mark.parametrize("text", [*NO_WISHES, *NOT_ASKED, *QUESTIONS_ABOUT_ANSWERS])
def test_what_only_mentions_a_language_is_no_wish(text: str) -> None:
    assert language_wish(text) is None


def test_a_request_for_one_answer_is_no_wish() -> None:
    assert [text for text, _ in ASKED if language_wish(text)] == ["Ignore that. From now on answer in Spanish only."]


@pytest.mark.parametrize("asking", TEMPLATES)
def test_a_message_that_only_wishes_is_told_from_one_that_says_more(asking: str) -> None:
    name = Locale.parse(asking).languages["de" if asking != "de" else "fr"]
    for template in TEMPLATES[asking]:
        wish = template.format(name)
        assert is_only_language_wish(wish), wish
        for more in (
            "What is a black hole?",
            "37*91+4?",
            "`x = 1`",
            "https://example.org",
            "東京の天気は？",
            "Столица Франции?",
        ):
            assert not is_only_language_wish(f"{wish} {more}"), wish
            assert not is_only_language_wish(f"{more}\n{wish}"), wish


@pytest.mark.parametrize(
    "text",
    [
        "Please stop answering in French.",
        "Answer in English again.",
        "switch back to English",
        "Hi! Always answer in German please, thank you.",
        "Réponds toujours en anglais, s'il te plaît.",
        "nicht mehr auf Französisch bitte",
        "換回英語",
        "다시 영어로 대답해 줘",
        "私の言語で答えて",
        "กลับไปใช้ภาษาไทย",
    ],
)
def test_courtesies_and_ends_are_only_wishes(text: str) -> None:
    assert is_only_language_wish(text)


@pytest.mark.parametrize(
    "text",
    [
        "Always answer in French. Continue.",
        "Always answer in French. Why?",
        "Always answer in French, and cancel my order.",
        "Always explain black holes in French",
        "Always answer in French. Tell me everything.",
        "From now on answer in Italian. My name is Lena.",
        "请一直用法语回答。法国的首都是哪里?",
        "いつも英語で答えてください。天気は?",
        "항상 영어로 대답해 줘. 서울은 어디야?",
        "ตอบเป็นภาษาฝรั่งเศสเสมอ กรุงเทพอยู่ที่ไหน",
    ],
)
def test_a_wish_with_another_request_is_not_only_a_wish(text: str) -> None:
    assert not is_only_language_wish(text)
