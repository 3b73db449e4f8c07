"""Find the words of a question that say how its examples are meant: as a report of a fault, or in any order.

A report of a fault states the value that a function returns by mistake, in the same form as an example of it.
"""

from __future__ import annotations

import re

_FAULT = re.compile(
    r"\b(?:un)?expect(?:s|ed|ing|ation)?\b|\bwanted\b|\bwrong(?:ly)?\b|\bincorrect(?:ly)?\b|\bbug(?:s|gy)?\b|"
    r"\bfix(?:es|ing)?\b|\bdebug\w*|\bbroken\b|\bfail(?:s|ed|ing|ure)?\b|\binstead\b|\bwhy\b|\bmistakes?\b|"
    r"\bgot\b|\b(?:i get|i'm getting|getting|we get)\b|\bactual(?:ly)?\b|\bcurrently\b|\bsupposed\b|\brather than\b|"
    r"\b(?:doesn't|does not|isn't|not) work(?:ing)?\b|\bAssertionError\b|\bTraceback\b|"
    r"\bmy (?:\w+ )?(?:code|function|method|program|script|version|implementation|solution|attempt)\b|"
    r"\bcorrect (?:it|this|that|my|the (?:code|function))\b|"
    # German, Dutch
    r"\berwart\w*|\bfalsch\w*|\bfehler\w*|\bfehlschl\w*|\bfehl\b|\bstatt\w*|\banstatt\b|\bwarum\b|\bwieso\b|\bweshalb\b|"
    r"\brepar\w*|\bkorrigier\w*|\bbeheb\w*|\bkaputt\b|\bmeine? (?:funktion|code|programm|skript)\b|\beigentlich\b|"
    r"\bverwacht\w*|\bfout\w*|\bherstel\b|\bfaalt\b|\bin plaats\b|\bwaarom\b|\bverkeerd\w*|"
    # Spanish, Portuguese, Italian, French
    r"\besper\w+|\bincorrect[oa]s?\b|\berrad[oa]s?\b|\berror(?:e|es)?\b|\berros?\b|\berreurs?\b|\bmal\b|\bfall[ao]\b|"
    r"\bcorr[ií]g\w*|\bcorrij\w*|\bcorregg\w*|\barregl\w*|\barrégl\w*|\bconsert\w*|\bfalha\w*|\bem vez\b|\ben vez\b|"
    r"\ben lugar\b|\bpor ?qu[eé]\b|\bperch[eé]\b|\binvece\b|\bsbagliat\w*|\batteso\b|\baspett\w*|\bfallisce\b|"
    r"\battend\w*|\bfaux\b|\bfausse\b|\bbogue\w*|\bcorrige\w*|\brépar\w*|\béchou\w*|\bau lieu\b|\bpourquoi\b|"
    # Russian, Polish, Turkish
    r"\bожида\w*|\bнеправильн\w*|\bневерн\w*|\bошиб\w*|\bбаг\w*|\bисправ\w*|\bвместо\b|\bпочему\b|"
    r"\boczekiw\w*|\bbłęd\w*|\bbłąd\w*|\bnapraw\w*|\bpopraw\w*|\bzamiast\b|\bdlaczego\b|\bźle\b|"
    r"\bbeklen\w*|\bbekliyor\w*|\byanlış\w*|\bhata\w*|\bdüzelt\w*|\bneden\b|\byerine\b|"
    # Chinese, Japanese, Korean, Arabic, Hindi
    r"期望|期待|预期|預期|错误|錯誤|错了|不对|不對|不正确|不正確|修复|修復|修正|改正|失败|失敗|为什么|為什麼|为何|而不是|"
    r"はず|べき|間違|誤り|バグ|エラー|直して|なぜ|どうして|代わり|예상|기대|잘못|틀[렸린]|버그|수정|고쳐|실패|왜|대신|오류|"
    r"خطأ|لماذا|بدلا|متوقع|أصلح|गलत|क्यों|बजाय|अपेक्षित|सुधार",
    re.IGNORECASE,
)
"""Words of a report of a fault, wherever they stand in the question."""
_REQUEST = re.compile(
    r"\b(?:write|implement|creat|build|defin|complet|generat|develop|design|cod(?:e|ing) (?:a|an|the|me)|program that|"
    r"i need|i want|give me|make (?:a|an|me)|python function|function that|function which)|"
    r"\bdef \w+\([^)]*\)[^:\n]*:\s*(?:import \w+\s+)?(?:\"{3}|'{3})|"
    r"\bschreib|\bimplement|\berstell|\bprogrammier|\bschrijf|\bmaak een|\bescrib|\bcrea\b|"
    r"\bdesarroll|\bescrev|\bcri[ea]\b|"
    r"\bécri|\bcré[eo]|\bscriv|\bнапиши|\bсоздай|\bреализ|\bnapisz|\bstwórz|\byaz|\boluştur|"
    r"写|寫|编写|編寫|实现|實現|定义|定義|書い|書き|作っ|作成|実装|작성|만들|구현|써 ?줘|اكتب|أنشئ|लिख|बना",
    re.IGNORECASE,
)
"""Words that ask for new code, or the head of a function that has only its description."""
_CONTRAST = re.compile(
    r"(?<!\) )(?<!\)` )\b(?:should|must|ought)\b|\bshould have\b|\b(?:but|yet|however)\b|\bnot[ \t]+`?[-\d'\"\[({]|"
    r"\bsoll(?:te|en)?\b|\baber\b|\bsondern\b|\bnicht\b|\bmaar\b|\bmoet\w*|\bdeb(?:er[ií]a|e)\b|\bpero\b|\bdever?ia\b|"
    r"\bmas\b|\bdovrebbe\b|\bma\b|\bdevrait\b|\bmais\b|\bдолж\w+|\bно\b|\bа не\b|\bpowinn\w*|\bale\b|\bolmalı\w*|"
    r"\bama\b|应该|應該|应当|应为|應為|应是|但|却|しかし|ですが|のに|지만|해야|لكن|يجب|लेकिन|चाहिए",
    re.IGNORECASE,
)
"""Words that set a value beside an example against it; elsewhere a description has them too."""


_ANY_ORDER = re.compile(
    r"\b(?:any|whatever|arbitrary|no particular|no specific) (?:possible )?order\b|\bunordered\b|"
    r"\border (?:of (?:the )?\w+ )?(?:(?:does|is|need|do)(?: not|n[’']t) \w+|is (?:irrelevant|unimportant|free|up to))|"
    r"\b(?:regardless|irrespective|independent(?:ly)?) of (?:the |their )?order\b|\bany (?:of them|valid)\b|"
    r"\b(?:beliebige[rn]?|egal welcher|irgendeiner) reihenfolge\b|"
    r"\breihenfolge (?:der \w+ )?(?:ist )?(?:egal|beliebig|gleichgültig|unwichtig|spielt keine)|"
    r"\b(?:willekeurige|elke|eender welke) volgorde\b|\bvolgorde (?:maakt niet|is niet|doet er niet)\b|"
    r"\bcualquier orden\b|\borden no (?:importa|es importante)|\bimportar el orden\b|"
    r"\bqualquer ordem\b|\bordem não (?:importa|é importante)|\bqual(?:siasi|unque) ordine\b|\bordine non \w+|"
    r"\bn[’']importe quel ordre\b|\bordre (?:quelconque|n[’'](?:a pas|importe)|est (?:indifférent|libre))|"
    r"\b(?:любом|произвольном) порядке\b|\bпорядок (?:\w+ )?не ?важен\b|"
    r"\bdowolnej kolejności\b|\bkolejność (?:nie ma|jest dowolna|dowolna)|"
    r"\bherhangi bir sıra\w*|\bsıra(?:sı|lama)? önemli değil|"
    r"(?:任意|任何)的?[顺順]序|[顺順]序(?:任意|不限|不重要|无关|無關)|[顺順]序(?:は問|は任意|不同)|順番は問|順不同|任意の順|"
    r"순서(?:는|에|와)? ?(?:상관|관계|무관)|بأي ترتيب|किसी भी क्रम",
    re.IGNORECASE,
)
"""Words that leave the order of a list open."""


def reports_fault(question: str) -> bool:
    """Return whether a question may report a fault, so that a value in it may be the wrong one."""
    return bool(_FAULT.search(question))


def asks_for_code(question: str) -> bool:
    """Return whether a question asks for new code, so that a value in it is one that the code has to return."""
    return bool(_REQUEST.search(question))


def has_contrast(passage: str) -> bool:
    """Return whether a short passage around an example may set another value against it."""
    return bool(_CONTRAST.search(passage))


def allows_any_order(question: str) -> bool:
    """Return whether a question leaves the order of a list open."""
    return bool(_ANY_ORDER.search(question))
