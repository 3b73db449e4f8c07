"""An answer claims and promises no action that no tool of the turn has done."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from typing import Any, ClassVar

from qwendesk.agents.checks.human_claims import normalize
from qwendesk.agents.guards.base import AnswerContext, Guard, GuardName, KnownRuns, Sentence, tokens_of
from qwendesk.agents.guards.cues import MAX_QUESTION_CHARS, any_of, find_cue, is_text_work, language_of_cues
from qwendesk.agents.guards.sentences import sentences_of
from qwendesk.agents.phrases import phrase
from qwendesk.messages import ToolUse
from qwendesk.tools.base import DESK_TOOLS

_QUESTION = re.compile(r"[?？؟;]\s*[\"'”’»)\]*_]*\s*\Z")
_QUOTING = re.compile(r"[:：]\s|[\"“”„«»「」『』‘’]|(?<!\w)'|'(?!\w)")
"""Signs behind which a person quotes a text."""
_REACH = 30
"""Characters before an expression in which a negation, or who says it, counts."""
_NEGATED = re.compile(
    r"(?<!\w)(?:not|never|no|nothing|nobody|nicht|nie|kein\w*|nichts|ne|n|pas|jamais|rien|nunca|nada|nao|non|mai|niente|"
    r"niet|geen|nooit|niets|inte|aldrig|inget|ikke|aldri|intet|ei|en|nigdy|nic|neni|не|ни|никогда|ничего|ні|нічого|"
    r"لم|لن|لا|tidak|belum|khong|chua)[ '](?:[^\s,.;:!?]+ ){0,2}\Z|"
    r"(?<!\w)(?<!\bi )(?:says?|said|writes|wrote|claims|told \w+|sagt|sagte|schreibt|behauptet|dit|ecrit|dice|dijo|"
    r"escribe|diz|disse|escreve|scrive|zegt|schrijft|sager|sier|mowi|pisze|говорит|пишет|сказал\w*)"
    r" (?:that |dass |que |che |dat |att |at |ze |что )?\Z"
)
_ENDS_NEGATED = re.compile(r"ません|ない|않|못|n['’]t\b")
"""Negations behind a verb."""
_NEAR, _FAR = 2, 12
"""Words between "I have" and the verb, in languages that put it behind the object too."""
_MAX_READ = 40_000
_MAX_COMPLETION_WORDS, _MAX_WORDS_BEFORE = 12, 4
"""Words of a sentence that only says that something is done, and those before it says so."""
_OTHER_TABLES = ("actions", "lookups", "finished", "unfinished")
"""Tables that are of no language."""
_MIN_QUOTED = 0.5
"""Share of a sentence that stands in what was read; then the sentence quotes it."""


@dataclass(frozen=True, slots=True)
class _Language:
    """The patterns of one language."""

    any: re.Pattern[str]
    """Says that something was done or will be done."""
    condition: re.Pattern[str]
    """Words of offers, conditions and refusals."""
    code: str


class PromiseGuard(Guard):
    """Finds claims such as "I have cancelled your order" and promises such as "I will forward this" in 25 languages.

    A promise is kept by a successful call of a tool that does such a thing, in this turn, or if the desk said the same
    in an earlier answer. Offers, questions and conditions are no promises.
    """

    key: ClassVar[GuardName] = "promises"
    name: ClassVar[str] = "promises only what was done"
    feedback: ClassVar[str] = (
        "You said that something was done or will be done, but nothing did it: do not claim or promise actions, "
        "say only what you know and what the person can do"
    )
    waits: ClassVar[bool] = True

    def __init__(self, context: AnswerContext) -> None:
        super().__init__(context)
        self._kept = dict[str, str]()

    def prepare(self) -> None:
        """Compile the patterns of the answer's language."""
        for code in ("en", self.context.language):
            _language(language_of_cues(code))

    def check_sentence(self, sentence: Sentence) -> str | None:
        """Look for an action that no tool did."""
        if sentence.is_code or self.context.role in ("coder", "math"):
            return None
        if self._is_undone and not self._tells_result and claims_completion(sentence, self.context.language):
            return "says that it was done, but the call was not made"
        for kind, is_personal in promised_actions(sentence, self.context.language):
            if done_by := self._done_by(kind):
                self._kept[kind] = done_by
            elif not self._may_be_said(sentence, kind, is_personal=is_personal):
                return f"says {kind!r} was or will be done, but no tool did it"
        return None

    def check_answer(self, text: str) -> str | None:
        """Compare the whole answer with the calls of the turn, which may have failed."""
        return next(filter(None, map(self.check_sentence, sentences_of(text))), None)

    def replacement(self) -> str:
        """Return that nothing was done; nothing where the desk's own line says so, and no more where it has a tool."""
        if self.context.has_held_calls:
            return ""
        return phrase("nothing_done" if self.context.has_dropped_calls else "not_done", self.context.language)

    def compared(self) -> str | None:
        """Return which tool did what the answer says."""
        return ", ".join(f"{kind!r}: done by {tool}" for kind, tool in self._kept.items()) or None

    def _done_by(self, kind: str) -> str | None:
        used = [use for use in self.context.uses if use.ok]
        if kind == "check":
            return used[-1].name if used else None
        return next((use.name for use in reversed(used) if _does(use, kind)), None)

    def _may_be_said(self, sentence: Sentence, kind: str, *, is_personal: bool) -> bool:
        """Return whether a sentence is no promise of this turn: part of a text, a quotation, or said before."""
        if self._is_text_work or kind in self._said_before or kind in self._quoted:
            return True
        if not is_personal and (self._has_read or kind in self._asked):
            return True
        if self._describes(sentence, kind) or (self._asks_report and find_cue("reports", sentence, self.context)):
            return True
        covered = self._read.longest(sentence.tokens)[1]
        return covered > 0 and covered >= len(sentence.tokens) * _MIN_QUOTED

    def _describes(self, sentence: Sentence, kind: str) -> bool:
        """Return whether a sentence tells how something goes: "What happens after I order?", "We will send a bill"."""
        if not (self._asks_process or self._asks_explanation) or _is_done(sentence, kind, self.context.language):
            return False
        return self._asks_explanation or find_cue("we", sentence, self.context) is not None

    @cached_property
    def _question_parts(self) -> list[Sentence]:
        parts = sentences_of(self.context.question[:MAX_QUESTION_CHARS])
        return [part for part in parts if tokens_of(part.folded)]

    @cached_property
    def _asks_process(self) -> bool:
        # beside a complaint or a request the same words ask what the desk will do
        parts = self._question_parts
        return len(parts) == 1 and find_cue("process", parts[0], self.context) is not None

    @cached_property
    def _asks_explanation(self) -> bool:
        return any(find_cue("explain", part, self.context) for part in self._question_parts)

    @cached_property
    def _asks_report(self) -> bool:
        return any(find_cue("asks_report", part, self.context) for part in self._question_parts)

    @cached_property
    def _is_undone(self) -> bool:
        """Whether a call was dropped, and no other call can have done a thing."""
        return self.context.has_dropped_calls and not any(use.ok and _is_action(use) for use in self.context.uses)

    @cached_property
    def _tells_result(self) -> bool:
        """Whether a result says that something is done, which the answer may tell."""
        return any(_finished().search(normalize(result[:_MAX_READ])) for result in self.context.results)

    @cached_property
    def _asked(self) -> set[str]:
        """The kinds of actions that the person says were done."""
        parts = sentences_of(self.context.question[:MAX_QUESTION_CHARS])
        return {kind for part in parts for kind, _ in promised_actions(part, self.context.language)}

    @cached_property
    def _quoted(self) -> set[str]:
        """The kinds of actions in texts that the person quotes or gives, to translate or explain them."""
        parts = _QUOTING.split(self.context.question[:MAX_QUESTION_CHARS])[1:]
        return {kind for part in parts for kind, _ in promised_actions(Sentence(part), self.context.language)}

    @cached_property
    def _is_text_work(self) -> bool:
        return is_text_work(self.context)

    @cached_property
    def _has_read(self) -> bool:
        context = self.context
        return bool(context.passages or any(use.ok and use.name not in context.trusted_names for use in context.uses))

    @cached_property
    def _read(self) -> KnownRuns:
        runs = KnownRuns(3)
        for text in (*self.context.results, *self.context.passages, self.context.system_context):
            runs.add(text[:_MAX_READ])
        return runs

    @cached_property
    def _said_before(self) -> set[str]:
        parts = [part for answer in self.context.answers for part in sentences_of(answer)]
        return {kind for part in parts for kind, _ in promised_actions(part, self.context.language)}


def promised_actions(sentence: Sentence, language: str | None = None) -> list[tuple[str, bool]]:
    """Return the kinds of actions that a sentence says were or will be done, and whether by the desk itself.

    Args:
        sentence: the sentence.
        language: the conversation's language, whose words are searched in any case.
    """
    if _QUESTION.search(sentence.text):
        return []
    plain = sentence.unquoted
    found = dict[str, bool]()
    for code in dict.fromkeys((*sentence.languages, language)):
        known = _language(language_of_cues(code))
        if known is None or not known.any.search(plain) or known.condition.search(plain):
            continue
        for kind in _table()["actions"]:
            personal, impersonal = _kind(known.code, kind)
            is_personal = _is_said(personal, plain)
            if is_personal or _is_said(impersonal, plain):
                found[kind] = found.get(kind, False) or is_personal
    return list(found.items())


def _is_done(sentence: Sentence, kind: str, language: str | None) -> bool:
    """Return whether a sentence says that the desk has done such a thing."""
    codes = {language_of_cues(code) for code in (*sentence.languages, language)}
    return any(_is_said(_done(code, kind), sentence.unquoted) for code in codes if _language(code))


def claims_completion(sentence: Sentence, language: str | None = None) -> bool:
    """Return whether a short sentence only says that it is done, as "Done." or "It is cancelled." does.

    Args:
        sentence: the sentence.
        language: the conversation's language, whose verbs are searched in any case.
    """
    if (
        len(sentence.tokens) > _MAX_COMPLETION_WORDS
        or _QUESTION.search(sentence.text)
        or _ENDS_NEGATED.search(sentence.text)
    ):
        return False
    codes = dict.fromkeys(("en", language, *sentence.languages))
    patterns = [_finished(), *filter(None, (_done_verbs(language_of_cues(code)) for code in codes))]
    found = [match for pattern in patterns if (match := pattern.search(sentence.unquoted))]
    if not found:
        return False
    before = sentence.unquoted[: min(match.start() for match in found)]
    words = tokens_of(before)
    return len(words) <= _MAX_WORDS_BEFORE and _negations().isdisjoint(words) and not _NEGATED.search(before)


def _is_said(pattern: re.Pattern[str], text: str) -> bool:
    """Return whether an expression occurs without a negation or another speaker before it in its clause."""
    starts = (found.start() for found in pattern.finditer(text))
    return any(not _NEGATED.search(text[max(0, start - _REACH) : start]) for start in starts)


def _does(use: ToolUse, kind: str) -> bool:
    """Return whether a tool may have done such a thing; a tool whose name says nothing may have done anything."""
    if use.name in DESK_TOOLS:  # they do nothing outside of the desk
        return False
    name = normalize(use.name)
    if _tool_words(kind).search(name):
        return True
    is_other = any(_tool_words(other).search(name) for other in _table()["actions"])
    return not (is_other or _names_look_up(name))


def looks_up(name: str) -> bool:
    """Return whether a tool by its name only looks something up, such as ``order_status``."""
    plain = normalize(name)
    return _names_look_up(plain) and not re.match(_table()["lookups"]["acts"], plain.lstrip("_"))


def _names_look_up(name: str) -> bool:
    return any(_lookups().match(word) for word in tokens_of(name.replace("_", " ")))


def _is_action(use: ToolUse) -> bool:
    """Return whether a tool may have done something, and does not only look something up."""
    return use.name not in DESK_TOOLS and not looks_up(use.name)


@cache
def _finished() -> re.Pattern[str]:
    words = sorted({normalize(word) for words in _table()["finished"].values() for word in words}, key=len)
    dense = [word for word in words if len(tokens_of(word)) == len(word.replace(" ", ""))]
    spaced = "|".join(re.escape(word) for word in words if word not in dense)
    return re.compile(rf"(?<!\w)(?:{spaced})(?!\w)|{'|'.join(map(re.escape, dense))}")


@cache
def _negations() -> frozenset[str]:
    return frozenset(normalize(word) for word in _table()["unfinished"]["words"])


@cache
def _done_verbs(code: str) -> re.Pattern[str] | None:
    values = _table().get(code) if code not in _OTHER_TABLES else None
    verbs = [verb for kind, verb in (values or {}).get("done", {}).items() if kind != "check"]
    # the whole end of a sentence, so that a verb with an object stays with the other patterns
    return _pattern([rf"\b(?:{'|'.join(verbs)})(?![\s\S]*\w)"]) if verbs else None


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads(resources.files(__package__).joinpath("promises.toml").read_text("utf-8"))


@cache
def _language(code: str) -> _Language | None:
    """Compile the patterns of a language when it is needed: all of them take two seconds."""
    values = _table().get(code)
    if values is None or code in _OTHER_TABLES:
        return None
    personal, impersonal = _lines(values, list(_table()["actions"]))
    return _Language(_pattern([*personal, *impersonal]), _pattern([values["ask"]] if "ask" in values else []), code)


@cache
def _kind(code: str, kind: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    personal, impersonal = _lines(_table()[code], [kind])
    return _pattern(personal), _pattern(impersonal)


@cache
def _done(code: str, kind: str) -> re.Pattern[str]:
    values = _table()[code]
    done = values.get("done", {}).get(kind)
    return _pattern(
        [_frame(values["have"], [done], values["no"], _FAR if values.get("far") else _NEAR)] if done else []
    )


def _lines(values: dict[str, Any], kinds: list[str]) -> tuple[list[str], list[str]]:
    """Return the expressions of some kinds of actions, of the desk itself and others."""
    done, do = ([values[form][kind] for kind in kinds if kind in values.get(form, {})] for form in ("done", "do"))
    far = _FAR if values.get("far") else _NEAR
    personal = [line for kind in kinds for line in values.get("say", {}).get(kind, ())]
    impersonal = list[str]()
    if done:
        personal.append(_frame(values["have"], done, values["no"], far))
        impersonal.append(_frame(values["been"], done, values["no"], _NEAR))
    if do:
        personal.append(_frame(values["will"], do, values["no"], far))
    return personal, impersonal


def _frame(before: str, verbs: list[str], no: str, words: int) -> str:
    gap = rf"(?:(?!(?:{no})\b)[^\s,.;:!?()]+ ){{0,{words}}}"
    return rf"(?:{before})(?: |(?<=')){gap}(?:{'|'.join(verbs)})\b"


def _pattern(lines: list[str]) -> re.Pattern[str]:
    # the two endings of an Arabic word are written alike
    return any_of(line.replace("ه", "[هة]") for line in lines)


@cache
def _tool_words(kind: str) -> re.Pattern[str]:
    return re.compile(_table()["actions"][kind] or r"(?!)")


@cache
def _lookups() -> re.Pattern[str]:
    return re.compile(_table()["lookups"]["words"])
