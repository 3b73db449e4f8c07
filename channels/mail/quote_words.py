"""Words and headings that mail programs write around quoted mails, in their interface languages."""

from __future__ import annotations

WROTE = (
    "wrote", "writes", "schrieb", "écrit", "ecrit", "scritto", "escribió", "escribio", "escreveu", "schreef",
    "geschreven", "napisał", "skrev", "skrifaði", "kirjoitti", "napsal", "napísal", "написал", "написав",
    "написала", "пишет", "пише", "написа", "написао", "напиша", "ezt írta", "írta", "a scris", "έγραψε",
    "yazdı", "yazmış", "napisao", "napisala", "je pisal", "rašė", "parašė", "rakstīja", "kirjutas",
    "va escriure", "escribiu", "idatzi du", "đã viết", "menulis", "nagsulat", "sumulat", "เขียนว่า", "เขียน",
    "نوشت", "كتب", "כתב", "ने लिखा", "लिखा", "লিখেছেন", "எழுதினார்", "のメール", "書きました", "書いた", "写道",
    "寫道", "写到", "님이 작성", "작성", "쓴 글", "shkroi", "գրել է", "დაწერა", "navisht", "skribis",
    "scripsit", "ysgrifennodd", "scríobh",
)  # fmt: skip
"""Verbs in the line above a quote: ``On ... wrote:``."""

FROM = {
    "from", "von", "de", "da", "van", "od", "från", "fra", "lähettäjä", "от", "від", "ад", "feladó", "de la",
    "από", "kimden", "gönderen", "nuo", "no", "saatja", "kellelt", "frá", "nga", "pošiljatelj", "šalje", "шаље",
    "од", "từ", "người gửi", "dari", "mula kay", "จาก", "از", "فرستنده", "من", "מאת", "प्रेषक", "से", "差出人",
    "送信者", "发件人", "寄件者", "寄件人", "보낸 사람", "보낸사람", "expéditeur", "mittente", "remitente",
    "remetente", "afzender", "nadawca", "odesílatel", "odosielateľ", "expeditor", "αποστολέας", "отправитель",
    "подател", "avsändare", "afsender", "avsender", "absender",
}  # fmt: skip
"""Names of the field for the sender of the quoted mail."""

SUBJECT = {
    "subject", "betreff", "objet", "oggetto", "asunto", "assunto", "onderwerp", "temat", "ämne", "emne", "aihe",
    "předmět", "predmet", "тема", "тэма", "tárgy", "subiect", "θέμα", "konu", "tema", "temats", "teema", "efni",
    "subjekti", "naslov", "наслов", "относно", "assumpte", "gaia", "chủ đề", "subjek", "perihal", "paksa",
    "เรื่อง", "หัวเรื่อง", "موضوع", "الموضوع", "נושא", "विषय", "件名", "主题", "主旨", "主題", "제목", "dalykas",
    "zadeva",
}  # fmt: skip
"""Names of the field for the subject of the quoted mail."""

DATE = {
    "date", "sent", "sent at", "datum", "gesendet", "gesendet am", "envoyé", "envoyé le", "data", "inviato",
    "enviado", "enviado el", "enviada em", "enviado em", "fecha", "verzonden", "wysłano", "data wysłania",
    "skickat", "skickat den", "sendt", "dato", "lähetetty", "päivämäärä", "päiväys", "odesláno", "odoslané",
    "dátum", "elküldve", "küldve", "trimis", "dată", "στάλθηκε", "ημερομηνία", "отправлено", "дата",
    "надіслано", "изпратено", "датум", "poslano", "послато", "tarih", "gönderildi", "gönderme tarihi",
    "išsiųsta", "nosūtīts", "saadetud", "kuupäev", "enviat", "sent on", "đã gửi", "ngày", "thời gian",
    "dikirim", "tanggal", "ส่ง", "วันที่", "تاریخ", "ارسال", "التاريخ", "تاريخ الإرسال", "נשלח", "תאריך",
    "भेजा गया", "दिनांक", "तारीख", "送信日時", "日時", "日付", "发送时间", "發送時間", "日期", "寄件日期",
    "已发送", "时间", "보낸 날짜", "날짜", "보냄", "dagsetning", "data e orës",
}  # fmt: skip
"""Names of the field for the date of the quoted mail."""

ORIGINAL = (
    "original message", "original mail", "original email", "original e-mail", "reply message",
    "ursprüngliche nachricht", "originalnachricht", "original-nachricht", "ursprüngliche mail",
    "message d'origine", "message d’origine", "message original", "message initial", "messaggio originale",
    "messaggio originario", "mensaje original", "mensagem original", "oorspronkelijk bericht",
    "origineel bericht", "wiadomość oryginalna", "oryginalna wiadomość", "ursprungligt meddelande",
    "originalmeddelande", "oprindelig meddelelse", "original meddelelse", "opprinnelig melding",
    "alkuperäinen viesti", "původní zpráva", "pôvodná správa", "eredeti üzenet", "mesajul original",
    "mesaj original", "исходное сообщение", "оригинальное сообщение", "исходное письмо",
    "оригінальне повідомлення", "початкове повідомлення", "оригинално съобщение", "αρχικό μήνυμα",
    "orijinal mesaj", "özgün ileti", "orijinal ileti", "originalus laiškas", "sākotnējais ziņojums",
    "oriģinālais ziņojums", "algne sõnum", "algne kiri", "izvorna poruka", "originalna poruka",
    "izvirno sporočilo", "оригинална порука", "изворна порука", "missatge original", "upprunaleg skilaboð",
    "thư gốc", "tin nhắn gốc", "pesan asli", "mesej asal", "ข้อความเดิม", "ข้อความต้นฉบับ", "मूल संदेश",
    "پیام اصلی", "الرسالة الأصلية", "رسالة أصلية", "הודעה מקורית", "元のメッセージ", "元のメール",
    "オリジナルメッセージ", "original", "原始邮件", "原始郵件", "原始信件", "原邮件", "邮件原件", "원본 메시지",
    "원본 메일", "원본메시지", "원문",
)  # fmt: skip
"""Text between dashes above an answered mail."""

FORWARDED = (
    "forwarded message", "begin forwarded message", "forwarded email", "forwarded mail", "forwarded by",
    "weitergeleitete nachricht", "anfang der weitergeleiteten nachricht", "weitergeleitete e-mail",
    "message transféré", "début du message transféré", "début du message réexpédié", "message réexpédié",
    "messaggio inoltrato", "inizio messaggio inoltrato", "mensaje reenviado", "inicio del mensaje reenviado",
    "mensagem encaminhada", "mensagem reencaminhada", "início da mensagem encaminhada",
    "início da mensagem reencaminhada", "doorgestuurd bericht", "begin doorgestuurd bericht",
    "wiadomość przekazana", "przekazana wiadomość", "początek przekazywanej wiadomości",
    "treść przekazanej wiadomości", "vidarebefordrat meddelande", "vidarebefordrat brev",
    "videresendt meddelelse", "videresendt besked", "videresendt melding", "start på videresendt",
    "välitetty viesti", "edelleenlähetetty", "přeposlaná zpráva", "předaná zpráva", "preposlaná správa",
    "továbbított üzenet", "továbbított levél", "mesaj redirecționat", "mesaj transmis",
    "пересылаемое сообщение", "пересланное сообщение", "переадресованное", "начало переадресованного",
    "переслане повідомлення", "препратено съобщение", "препратено писмо", "προωθημένο μήνυμα", "iletilen mesaj",
    "iletilmiş mesaj", "yönlendirilmiş", "persiųstas laiškas", "pārsūtīts", "edastatud kiri", "edastatud sõnum",
    "proslijeđena poruka", "prosleđena poruka", "posredovano sporočilo", "прослеђена порука",
    "missatge reenviat", "thư đã chuyển tiếp", "thư chuyển tiếp", "tin nhắn được chuyển tiếp", "pesan terusan",
    "pesan diteruskan", "ข้อความที่ส่งต่อ", "अग्रेषित संदेश", "پیام ارسال‌شده", "پیام هدایت شده",
    "رسالة معاد توجيهها", "الرسالة المعاد توجيهها", "رسالة مُعاد توجيهها", "הודעה שהועברה", "転送メッセージ",
    "転送されたメッセージ", "転送メール", "转发的邮件", "转发邮件", "轉寄郵件", "轉寄的郵件", "轉寄信件",
    "전달된 메시지", "전달된 메일", "전달 메시지",
)  # fmt: skip
"""Text above a forwarded mail, which is part of the sender's message."""

FORWARD_SUBJECTS = (
    "fw:", "fwd:", "wg:", "tr:", "rv:", "enc:", "i:", "doorst:", "vs:", "vb:", "vl:", "pd:", "trs:",
    "továbbítás:", "пересл:", "fs:", "προώθ:", "转发:", "轉寄:", "转发：", "轉寄：", "転送:", "전달:", "yönl:",
    "ilt:", "переслать:", "fwd：", "fw：",
)  # fmt: skip
"""Prefixes of the subject of a forwarding mail."""
