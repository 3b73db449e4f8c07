"""Figures in names and in examples, which the guard of figures does not compare."""

from __future__ import annotations

import re

from qwendesk.agents.checks.human_claims import normalize

CODES = re.compile(
    r"(?<![^\W\d_])24/7(?!\d)|(?<!\w)[A-Z]{1,3}\d{1,2}(?!\w)|(?<!\w)\d{1,2}[GKD](?!\w)|"
    r"(?<!\w)(?:HTTPS?|HTTP/\d(?:\.\d)?|RFC|ISO|IEC|IEEE|DIN|TCP|UDP|[Pp]orts?|[Ee]rror(?: code)?|"
    r"[Ff]ehler(?:code)?|[Ee]rreur|[Ss]tatus(?: code)?|Windows|Android|iOS|USB|Wi-?Fi|Bluetooth|Python|Office|"
    r"ошибка|错误|"
    r"エラー)[\s-]\d+(?:\.\d+)*(?!\w)"
)
"""Keys, sizes of paper, standards, errors and versions: names with figures."""
_EXAMPLE = re.compile(
    r"(?<!\w)(?:for example|for instance|e\.g\.|suppose|imagine|zum beispiel|beispielsweise|z\. ?b\.|angenommen|"
    r"par exemple|por ejemplo|por exemplo|per esempio|ad esempio|bijvoorbeeld|till exempel|for eksempel|"
    r"esimerkiksi|na przyklad|"
    r"napriklad|de exemplu|peldaul|ornegin|mesela|misalnya|contohnya|vi du|например|наприклад|για παραδειγμα|"
    r"على سبيل المثال|مثلا)(?!\w)|例えは|例えば|たとえは|たとえば|例如|比如|예를 들어|उदाहरण"
)
"""Words of a sentence whose figures illustrate; in folded letters."""
ABOUT = re.compile(
    r"(?<!\w)(?:about|around|roughly|approximately|almost|nearly|rund|etwa|ca\.?|ungefahr|fast|knapp|environ|presque|"
    r"unos|unas|aproximadamente|casi|cerca de|quase|circa|quasi|ongeveer|bijna|ungefar|omtrent|noin|okolo|priblizne|"
    r"около|примерно|почти|близько|yaklasik|sekitar|khoang)\s\Z|(?:约|大约|約|およそ|약)\s?\Z"
)
"""What stands before a rounded figure; in folded letters."""


def without_illustrations(text: str) -> str:
    """Return a text up to where it begins an example."""
    folded = normalize(text)
    found = _EXAMPLE.search(folded)
    if found is None:
        return text
    # folding may change the length: the share of the text is near enough, and a figure before the words is kept
    return text[: found.start()] if len(folded) == len(text) else text[: int(found.start() / len(folded) * len(text))]
