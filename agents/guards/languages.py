"""Guess in which languages a sentence may be, so that guards search only the cues of these."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache

from qwendesk.routing.signals.language import identify_language

_SCRIPTS = (
    (re.compile("[\u0400-\u04ff]"), ("ru", "uk")),
    (re.compile("[\u0600-\u06ff]"), ("ar", "fa")),
    (re.compile("[\u0900-\u097f]"), ("hi",)),
    (re.compile("[\u3040-\u30ff]"), ("ja",)),
    (re.compile("[\u3400-\u9fff]"), ("zh", "ja")),
    (re.compile("[\uac00-\ud7af]"), ("ko",)),
    (re.compile("[\u0370-\u03ff]"), ("el",)),
    (re.compile("[\u0590-\u05ff]"), ("he",)),
    (re.compile("[\u0e00-\u0e7f]"), ("th",)),
)
_LATIN = re.compile("[a-z]{2}")
_WORDS = {
    "en": "i the you your to and is are have has will of in it this that for we my an",
    "de": "ich wir ihre ihnen ihr habe werde das der die und wurde ist dein deine dir den dem ein eine nicht sie mit",
    "fr": "je j vous votre nous ai vais le la les une un est ete mes dans pour mon vos tu que des du au et selon",
    "es": "he su usted el la los las una un voy hemos ha le te se que ya por mi mis tu con sido para en y segun",
    "pt": "eu voce seu sua foi vou ja uma um nao o os para minhas meu minha com que em e estou do da ao",
    "it": "ho il la sua suo abbiamo e stato sto le per una un di mi mie mio con che lei nel del ha gli sono",
    "nl": "ik uw u je heb het een is wij we zal naar mijn van de en niet voor heeft op dit",
    "sv": "jag har din ditt ska och det vi till mina ar att en ett av for kommer",
    "da": "jeg har din dit vil det og er vi mine at en et af til blevet har",
    "no": "jeg har din ditt skal det og vil er vi mine at en et av til blitt",
    "fi": "olen on sinulle ja olemme teille minun mukaan tilauksesi etta ovat minua nyt",
    "pl": "panstwa zamowienie twoje do zostalo sie jest to na pana pani moje w z i mi ze nasz",
    "cs": "jsem jsme vasi vase vam byla je na se moje mi byl do k bylo podle a vas",
    "ro": "am dumneavoastra comanda este va ati instructiunile mele sa nu si pe mi",
    "hu": "az a egy es hogy nem van onnek megrendeleset",
    "tr": "bir icin sizin size ve bu bana siparisinizi ekibe ekibimize talebinizi sen",
    "id": "saya anda telah sudah akan kami untuk ke yang dan pesanan ini",
    "vi": "toi da ban cho cua se don hang duoc chung la va theo dang",
}
"""Common words of languages in the Latin script, without accents."""


_ASKING_WORDS = (
    "does have what when where which with from many much long there that this they your will would could should cost "
    "please how can who why not any all get had did may was our its out but wie wer hat nur aus bei mit man "
    "auch por con "
    "sin mas che non chi qui sur par plus что как для это haben hast wann welche wieviel viel viele lange "
    "kann gibt kostet bitte sind eine einen "
    "avez quand quel quelle combien pour avec sont cette cuando cual cuanto cuantos cuanta cuantas tiene para "
    "esta este quando qual quanto "
    "quantos quanti quante quale hanno questo questa hoeveel heeft hebben wanneer welke deze "
    "сколько когда какой есть этот если"
)
"""Common words of questions that are not among those above."""


def is_common_word(word: str) -> bool:
    """Return whether a folded word says little about what a text is about."""
    return word in _common_words() or word in _languages_by_word()


@cache
def _common_words() -> frozenset[str]:
    return frozenset(_ASKING_WORDS.split())


def likely_languages(folded: str, tokens: list[str]) -> tuple[str, ...]:
    """Return the ISO 639-1 codes of the languages that a sentence may be in.

    Args:
        folded: the sentence in lower case and without accents.
        tokens: its words.
    """
    codes = dict[str, None]()
    if not folded.isascii():
        codes.update(dict.fromkeys(code for script, names in _SCRIPTS if script.search(folded) for code in names))
    if _LATIN.search(folded):
        known = _languages_by_word()
        counts = Counter(code for word in tokens for code in known.get(word, ()))
        best = max(counts.values(), default=0)
        # languages share short words: the others are left out where one has many more
        codes.update(dict.fromkeys(code for code, n in counts.items() if n * 2 > best))
        if not counts and not codes and (found := identify_language(folded)):
            codes[found] = None
    return tuple(codes)


@cache
def _languages_by_word() -> dict[str, list[str]]:
    found = dict[str, list[str]]()
    for code, line in _WORDS.items():
        for word in line.split():
            found.setdefault(word, []).append(code)
    return found
