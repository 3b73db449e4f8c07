"""The language that a message asks to be answered in, in many languages and scripts."""

from __future__ import annotations

import tomllib
from importlib import resources

import pytest
from babel import Locale

from qwendesk.routing.signals.asked_language import asked_language
from qwendesk.routing.signals.language import english_name, language_codes

WANTED = ("en", "de", "fr", "es", "it", "pt", "ru", "tr", "zh", "ja", "ko", "ar", "hi", "vi", "nl", "pl", "uk", "fa")
TEMPLATES = {
    "en": "Why is the sky blue? Please answer in {}.",
    "fr": "Pourquoi le ciel est-il bleu ? Réponds en {}, s'il te plaît.",
    "es": "¿Por qué el cielo es azul? Responde en {}, por favor.",
    "it": "Perché il cielo è blu? Rispondi in {}, per favore.",
    "pt": "Por que o céu é azul? Responde em {}, por favor.",
    "de": "Warum ist der Himmel blau? Bitte antworte auf {}.",
    "nl": "Waarom is de lucht blauw? Antwoord in het {}, graag.",
    "sv": "Varför är himlen blå? Svara på {}, tack.",
    "da": "Hvorfor er himlen blå? Svar venligst på {}.",
    "no": "Hvorfor er himmelen blå? Svar på {}, takk.",
    "et": "Miks taevas on sinine? Palun vasta {} keeles.",
    "hu": "Miért kék az ég? Kérlek, válaszolj {} nyelven.",
    "ro": "De ce este cerul albastru? Răspunde în {}, te rog.",
    "bg": "Защо небето е синьо? Отговори на {}, моля.",
    "el": "Γιατί ο ουρανός είναι μπλε; Απάντησε στα {}, παρακαλώ.",
    "lt": "Kodėl dangus mėlynas? Prašau, atsakyk {} kalba.",
    "lv": "Kāpēc debesis ir zilas? Lūdzu, atbildi {} valodā.",
    "tr": "Gökyüzü neden mavi? Lütfen {} cevap ver.",
    "ar": "لماذا السماء زرقاء؟ من فضلك أجب باللغة {}.",
    "fa": "چرا آسمان آبی است؟ لطفا به زبان {} پاسخ بده.",
    "ur": "آسمان نیلا کیوں ہے؟ {} میں جواب دیں۔",
    "he": "למה השמיים כחולים? ענה ב{} בבקשה.",
    "hi": "आसमान नीला क्यों है? कृपया {} में उत्तर दें।",
    "bn": "আকাশ নীল কেন? {} ভাষায় উত্তর দিন।",
    "ta": "வானம் ஏன் நீலம்? {} மொழியில் பதில் சொல்லுங்கள்.",
    "id": "Mengapa langit biru? Tolong jawab dalam bahasa {}.",
    "ms": "Mengapa langit biru? Sila jawab dalam bahasa {}.",
    "sw": "Kwa nini anga ni bluu? Tafadhali jibu kwa {}.",
    "vi": "Tại sao bầu trời màu xanh? Hãy trả lời bằng {}.",
    "th": "ทำไมท้องฟ้าเป็นสีฟ้า ช่วยตอบเป็นภาษา{}หน่อย",
    "zh": "天空为什么是蓝色的？请用{}回答。",
    "ja": "空はなぜ青いのですか。{}で答えてください。",
    "ko": "하늘은 왜 파란가요? {}로 대답해 주세요.",
    "ca": "Per què el cel és blau? Respon en {}, si us plau.",
}
"""A question in each language that asks for an answer in another one, whose name has CLDR's form."""
ASKED = [
    ("answer in French", "fr"),
    ("auf Italienisch bitte", "it"),
    ("responde en alemán", "de"),
    ("用日语回答", "ja"),
    ("日本語で答えて", "ja"),
    ("ответь по-французски", "fr"),
    ("Vastaa ranskaksi, kiitos.", "fr"),
    ("Vastaa englanniksi", "en"),
    ("Kérlek, válaszolj franciául!", "fr"),
    ("Válaszolj németül.", "de"),
    ("Fransızca cevap ver", "fr"),
    ("Lütfen İngilizce yanıtla.", "en"),
    ("Odpowiedz po francusku, proszę.", "fr"),
    ("Odpowiedz w języku niemieckim.", "de"),
    ("Odpověz prosím francouzsky.", "fr"),
    ("Odpověz v němčině.", "de"),
    ("Odpovedz po nemecky.", "de"),
    ("Svar på fransk, tak.", "fr"),
    ("Svara på tyska.", "de"),
    ("Antwoord in het Duits, alsjeblieft.", "de"),
    ("Antwoord graag in het Frans.", "fr"),
    ("Răspunde în italiană, te rog.", "it"),
    ("Απάντησε στα γαλλικά, παρακαλώ.", "fr"),
    ("Отговори на немски, моля.", "de"),
    ("Дай відповідь французькою мовою.", "fr"),
    ("Відповідай німецькою.", "de"),
    ("Odgovori na njemačkom.", "de"),
    ("Odgovori v nemščini.", "de"),
    ("Одговори на француском.", "fr"),
    ("Atsakyk vokiškai.", "de"),
    ("Atbildi franču valodā.", "fr"),
    ("Vasta saksa keeles.", "de"),
    ("ענה בצרפתית בבקשה", "fr"),
    ("أجب بالفرنسية من فضلك", "fr"),
    ("به فرانسوی پاسخ بده", "fr"),
    ("فرانسیسی میں جواب دیں", "fr"),
    ("फ़्रेंच में जवाब दो", "fr"),
    ("कृपया फ्रेंच में उत्तर दें", "fr"),
    ("ফরাসিতে উত্তর দাও", "fr"),
    ("பிரெஞ்சு மொழியில் பதில் சொல்", "fr"),
    ("ตอบเป็นภาษาฝรั่งเศส", "fr"),
    ("ช่วยตอบเป็นภาษาอังกฤษหน่อย", "en"),
    ("Hãy trả lời bằng tiếng Pháp", "fr"),
    ("Jawab dalam bahasa Jerman", "de"),
    ("Jawab dalam bahasa Perancis", "fr"),
    ("Jibu kwa Kifaransa tafadhali", "fr"),
    ("Sumagot ka sa Pranses", "fr"),
    ("프랑스어로 대답해 줘", "fr"),
    ("영어로 써 주세요", "en"),
    ("Respon en alemany, si us plau.", "de"),
    ("Responde en alemán, por favor.", "de"),
    ("Please translate this into French: The cat is black.", "fr"),
    ('Translate the following text into Spanish. "I like cats"', "es"),
    ("Übersetze das ins Deutsche: The house is old.", "de"),
    ("Tell me in French why the sky is blue.", "fr"),
    ("In German, please: what is a black hole?", "de"),
    ("Explain why the sky is blue in German.", "de"),
    ("Can you answer in Spanish?", "es"),
    ("Auf Deutsch", "de"),
    ("en français svp", "fr"),
    ("In English please", "en"),
    ("请用日语回答", "ja"),
    ("请用英文写一封信", "en"),
    ("把这句话翻译成英语：你好", "en"),
    ("フランス語に翻訳してください", "fr"),
    ("英語で簡単に説明してください", "en"),
    ("英語でお願いします", "en"),
    ("Réponds en allemand : pourquoi le ciel est-il bleu ?", "de"),
    ("Schreib mir bitte einen Brief auf Deutsch.", "de"),
    ("Erkläre mir auf Englisch, was ein Atom ist.", "en"),
    ("Answer in Chinese please", "zh"),
    ("Answer in Mandarin", "zh"),
    ("Answer in Portuguese", "pt"),
    ("In French, explain what gravity is.", "fr"),
    ("Translate the sentence in English into German.", "de"),
    ("Ignore that. From now on answer in Spanish only.", "es"),
    ("Can you please reply to me only in German?", "de"),
    ("Peux-tu me répondre en français ?", "fr"),
    ("Bitte antworte auf deutsch!", "de"),
    ("answer in english pls", "en"),
    ("Réponds en francais", "fr"),
    ("Wie macht man Brot? Antwort auf Deutsch.", "de"),
    ("Write a short letter to my landlord in French", "fr"),
    ("Give me a haiku about rain in Spanish.", "es"),
    ("Schreib mir ein Gedicht über den Herbst auf Englisch", "en"),
    ("Écris une lettre à mon propriétaire en allemand", "de"),
    ("Escribe un poema sobre la lluvia en inglés", "en"),
    ("Translate the second paragraph of my text into Italian", "it"),
    ("Übersetze den folgenden Absatz ins Englische: Das Haus ist alt.", "en"),
    ("Traduis le deuxième paragraphe en anglais", "en"),
    ("Why is the sky blue - answer in French", "fr"),
    ("Could you explain it in German, please?", "de"),
    ("Explain in French how a plane flies", "fr"),
    ("Puede responder en alemán?", "de"),
    ("请用英语解释为什么天空是蓝色的", "en"),
    ("你能用德语回答吗？", "de"),
    ("なぜ空が青いか英語で説明して", "en"),
    ("하늘이 왜 파란지 영어로 설명해 줘", "en"),
    ("ช่วยอธิบายว่าทำไมท้องฟ้าเป็นสีฟ้าเป็นภาษาอังกฤษ", "en"),
]
"""Requests and the code of the language; names in the inflected and adverbial forms that CLDR lacks among them."""
NOT_ASKED = [
    "What is the French word for bread?",
    "I live in a German town",
    "She speaks Spanish",
    "How do you say bread in French?",
    'What does "merci" mean in English?',
    "What is bread called in German?",
    "He answered in French. Why?",
    "Do not answer in French.",
    "Tell me about French cuisine.",
    "Who speaks German in Belgium?",
    "Explain changes in German law.",
    "Write a story about a man in French Guiana.",
    "I want to learn Japanese.",
    "Give me a list of Spanish verbs.",
    "Name three books written in Spanish.",
    "Answer in French and German.",
    "Wie sagt man Brot auf Französisch?",
    "Ich wohne in einer deutschen Stadt.",
    'Was heißt "Haus" auf Englisch?',
    "Ich lerne Französisch.",
    "Comment dit-on pain en allemand ?",
    "Je vis en France et j'apprends l'allemand.",
    "¿Cómo se dice pan en alemán?",
    "Hablo alemán y francés.",
    "Come si dice pane in tedesco?",
    "Как будет хлеб по-французски?",
    "Я учу французский язык.",
    "苹果用日语怎么说？",
    "使用日语的人有多少？",
    "我在学日语。",
    "费用德语区怎么算？",
    "日语难吗？",
    "これは日本語です。",
    "日本語では名詞に性がありますか。",
    "りんごはフランス語で何と言いますか。",
    "フランス語で書かれた本を教えてください。",
    "日本語を勉強しています。",
    "사과는 프랑스어로 뭐라고 해요?",
    "한국어를 배우고 있어요.",
    "프랑스어로 된 책을 알려 주세요.",
    "คำตอบเป็นภาษาไทยหรือเปล่า",
    "ของเป็นภาษาไทย",
    "แอปเปิ้ลภาษาฝรั่งเศสว่าอะไร",
    "ฉันเรียนภาษาญี่ปุ่น",
    "كيف نقول خبز بالفرنسية؟",
    "أتعلم الفرنسية",
    "रोटी को फ़्रेंच में क्या कहते हैं?",
    "Ekmek Fransızca nasıl denir?",
    "Türkçe öğreniyorum.",
    "Jak se řekne chléb francouzsky?",
    "Uczę się francuskiego.",
    "Hogyan mondják franciául a kenyeret?",
    "Miten sanotaan leipä ranskaksi?",
    "Bagaimana mengatakan roti dalam bahasa Prancis?",
    "Bánh mì nói thế nào bằng tiếng Pháp?",
    "What is the capital of France?",
    "Write a Python function that sorts a list in place.",
    "Explain the history of the English language.",
    "Is it rude to eat with your hands in Indian culture?",
    "Which is harder, Polish or Czech?",
    "In French, nouns have a gender. Explain why.",
    "In German, all nouns are capitalised.",
    "Write hello in French and in English.",
    "The manual is in German. Where can I find help?",
    "I learned to write in French at school.",
    "Ich kann auf Französisch schreiben.",
    "Ich habe das Buch auf Englisch gelesen, erkläre mir das Ende.",
    "Pouvez-vous me dire où se trouve la gare en Allemagne ?",
    "Explica la diferencia entre alemán e inglés.",
    "Dame una receta de tortilla española.",
    "Escribe un poema sobre el inglés que vive en París.",
    "用中文教师的话说这个",
    "请介绍一下英语系",
    "中国語の先生を紹介して",
    "日本語の勉強方法を教えてください",
    "日本語能力試験について説明して",
    "한국어 공부 방법을 알려 주세요",
    "ช่วยสอนภาษาอังกฤษหน่อย",
    "ขอเรียนภาษาอังกฤษ",
]
"""Messages that mention a language, or ask for several."""

QUESTIONS_ABOUT_ANSWERS = [
    "Why do you answer in Chinese?",
    "Why did you answer in Chinese? I asked in English.",
    "I asked you to answer in English but you answer in Chinese",
    "You answer in Chinese.",
    "Why did Beckett write in French?",
    "Did Kafka write in German?",
    "Does it support output in German?",
    "Can Siri answer in German?",
    "Warum antwortest du auf Chinesisch?",
    "Kann Siri auf Deutsch antworten?",
    "Pourquoi réponds-tu en chinois ?",
    "Siri peut-il répondre en allemand ?",
    "¿Por qué respondes en inglés?",
    "¿Puede Siri responder en alemán?",
    "Perché rispondi in inglese?",
    "Por que você responde em inglês?",
    "Waarom antwoord je in het Engels?",
    "Varför svarar du på engelska?",
    "Miksi vastaat englanniksi?",
    "Dlaczego odpowiadasz po angielsku?",
    "Почему ты отвечаешь на английском?",
    "Neden İngilizce cevap veriyorsun?",
    "لماذا تجيب بالإنجليزية؟",
    "Kenapa jawab dalam bahasa Inggris?",
    "Tại sao bạn trả lời bằng tiếng Anh?",
    "你为什么用英文回答?",
    "我让你用英文回答，你却用中文回答",
    "Siri能用德语回答吗？",
    "なぜ英語で答えるの?",
    "왜 영어로 대답해요?",
    "ทำไมคุณตอบเป็นภาษาอังกฤษ",
]
"""Questions about an answer, or about someone else's."""
PEOPLE = [
    "Write to German customers about the delay",
    "Reply to French customers politely: the parcel is late.",
    "Explain to Japanese tourists how to tip",
    "Give this to Irish friends",
    "Explain to Polish people why the shop is closed.",
    "explain it in French cuisine terms",
    "Translate the letter to German customers",
    "Responde al alemán que preguntó por el pedido.",
    "Svara på tyska frågor om leveransen.",
    "Odpowiedz na niemiecki list.",
    "Ответь на английский комментарий.",
    "Отговори на немски клиенти.",
]
"""Nations and their things behind a preposition that may also stand before a language."""
TOPICS = [
    "Describe the tenses in English",
    "Explain how plurals are formed in German",
    "Please list the articles in German",
    "Explain the difference between ser and estar in Spanish",
    "Give feedback on my essay in French",
    "Write a Python program that prints hello in French",
    "Explain why nouns are capitalised in German",
    "Write a letter that says hello in French",
    "Nenne die Artikel auf Deutsch",
    "Schreib ein Programm, das Hallo auf Französisch ausgibt",
    "Explique comment se forme le pluriel en allemand",
    "Explica la diferencia entre ser y estar en español",
    "Spiega la differenza tra ser ed estar in spagnolo",
]
"""Languages as the topic of a request, or of a part of it."""


@pytest.mark.parametrize("text", [*QUESTIONS_ABOUT_ANSWERS, *PEOPLE, *TOPICS])
def test_a_language_that_is_the_topic_or_a_nation_is_not_asked_for(text: str) -> None:
    assert asked_language(text) is None


@pytest.mark.parametrize("asking", TEMPLATES)
def test_each_language_names_each_other_one(asking: str) -> None:
    names = Locale.parse(asking).languages
    found = {code: asked_language(TEMPLATES[asking].format(names[code])) for code in WANTED}
    assert found == {code: code for code in WANTED}


@pytest.mark.parametrize(("text", "code"), ASKED)
def test_a_request_names_the_language_of_the_answer(text: str, code: str) -> None:
    assert asked_language(text) == code


@pytest.mark.parametrize("text", NOT_ASKED)
def test_a_language_that_is_only_mentioned_is_not_asked_for(text: str) -> None:
    assert asked_language(text) is None


@pytest.mark.parametrize(
    "text",
    [
        'Translate: "Please answer in French."',
        "What does this do? `print('answer in French')`",
        "> Please answer in French.\n\nWhat do they want?",
        "```\nAnswer in French.\n```\nIs this a good prompt?",
    ],
)
def test_a_quotation_asks_for_nothing(text: str) -> None:
    assert asked_language(text) is None


def test_a_long_text_is_searched_at_its_ends_only() -> None:
    material = "The house is old and the garden is large. " * 40
    assert asked_language(f"{material} Please answer in French.") == "fr"
    assert asked_language(f"Answer in French: {material}") == "fr"
    assert asked_language(f"{material} Please answer in French. {material}") is None


@pytest.mark.parametrize("text", ["", " ", "🙂", "37 * 91", "\ud800", "in", "用", "で", "x" * 100_000, "en " * 5000])
def test_any_text_is_looked_at(text: str) -> None:
    assert asked_language(text) is None


def test_the_table_names_languages_that_are_told_apart() -> None:
    table = tomllib.loads(
        resources.files("qwendesk.routing.signals").joinpath("asked_language.toml").read_text("utf-8")
    )
    assert set(table) >= set(TEMPLATES) and len(table) >= 40
    assert set(table) <= set(language_codes())
    assert all(english_name(code) for entry in table.values() for code in entry.get("also", {}))
