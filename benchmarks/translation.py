"""How often codes and numbers survive a translation, and how near translations are to those of people.

python -m benchmarks.translation [--model NAME] [--first N] [--limit N] [--data DIR] [--pairs N]
python -m benchmarks.translation --scripted

500 messages of customers and operators are generated from sentences in 14 languages, always the same ones, each with
codes, money, dates, addresses or names, and translated into another language. ``--first`` and ``--limit`` take a part
of them. ``--data DIR``: chrF of parallel word problems (``mgsm.jsonl``) instead, ``--pairs`` problems of each pair.
``--scripted``: the model is a script that knows the translations, and spoils them in one way after the other.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import re
import time
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path

from langchain_core.messages import BaseMessage

from qwendesk.desk.interpreter.translator import ModelTranslator, Translation
from qwendesk.engines.scripted import ScriptedEngine
from qwendesk.routing.signals.language import are_similar, identify_language
from qwendesk.settings import Settings
from qwendesk.wiring import build_pool, build_translator

MESSAGES, SEED = 500, 20261201
SENTENCES = Path(__file__).with_name("translation_sentences.toml")
PAIRS = ("de-es", "es-fr", "fr-de", "ru-de", "zh-ja", "ja-zh", "de-zh", "es-ru")
"""Pairs of the parallel problems."""
_ORDER, _BETA = 6, 2.0
"""Longest n-gram and the weight of recall, as chrF2 has them."""
_SLOT = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True, slots=True)
class GeneratedMessage:
    """A message with protected tokens."""

    text: str
    tokens: tuple[str, ...]
    source: str
    target: str


def generated(number: int = MESSAGES, seed: int = SEED) -> list[GeneratedMessage]:
    """Return the messages; the same number and seed give the same ones."""
    chance = random.Random(seed)
    table = tomllib.loads(SENTENCES.read_text("utf-8"))
    languages = sorted(table)
    found = list[GeneratedMessage]()
    for at in range(number):
        source = languages[at % len(languages)]
        target = chance.choice([code for code in languages if code != source])
        sentences = chance.sample(table[source]["sentences"], chance.choice((1, 1, 2)))
        values = list[str]()

        def fill(slot: re.Match[str], values: list[str] = values) -> str:
            values.append(_value(slot[1], chance))
            return values[-1]

        joiner = "" if source in ("zh", "ja") else " "
        text = joiner.join(_SLOT.sub(fill, sentence) for sentence in sentences)
        found.append(GeneratedMessage(text, tuple(values), source, target))
    return found


def _value(kind: str, chance: random.Random) -> str:
    number = chance.randint
    made: dict[str, Callable[[], str]] = {
        "code": lambda: chance.choice(
            (
                f"{chance.choice('ABCKXZ')}-{number(10, 999)}",
                f"{number(1000, 9999)}-{chance.choice(('AB', 'DE', 'XK'))}",
                f"SKU{number(10000, 99999)}",
                f"RA{number(10**8, 10**9 - 1)}DE",
                f"#{number(10000, 99999)}",
            )
        ),
        "money": lambda: chance.choice(
            (
                f"{number(1, 9)}.{number(100, 999)},{number(10, 99)} €",
                f"{number(5, 900)},{number(10, 99)} €",
                f"${number(5, 900)}.{number(10, 99)}",
                f"{number(5, 900)} CHF",
                f"£{number(5, 900)}",
            )
        ),
        "date": lambda: chance.choice(
            (
                f"{number(10, 28)}.{number(10, 12)}.2026",
                f"2026-{number(10, 12)}-{number(10, 28)}",
                f"{number(13, 28)}/{number(10, 12)}/2026",
            )
        ),
        "time": lambda: f"{number(10, 23)}:{number(10, 59)}",
        "number": lambda: str(number(13, 99)),
        "email": lambda: f"{chance.choice(('anna.k', 'support', 'j.doe+1'))}@example{number(1, 99)}.com",
        "link": lambda: (
            f"https://shop.example.org/{chance.choice(('track', 'orders', 'help'))}?id={number(100, 99999)}"
        ),
        "phone": lambda: f"+{number(30, 49)} {number(100, 999)} {number(100, 999)} {number(100, 999)}",
        "file": lambda: (
            f"{chance.choice(('invoice', 'photo', 'log'))}_{number(100, 9999)}.{chance.choice(('pdf', 'png'))}"
        ),
        "brand": lambda: chance.choice(("LumoraSync", "NexoraHub", "VireoCloud")),
    }
    return made[kind]()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a message."""

    message: GeneratedMessage
    translation: Translation
    seconds: float

    @property
    def survives(self) -> bool:
        """Whether every token stands in the translation as often as in the message."""
        text = self.translation.text
        return all(text.count(token) == self.message.text.count(token) for token in self.message.tokens)

    @property
    def is_in_language(self) -> bool:
        """Whether the translation is identified as the target language, or its language cannot be identified."""
        rest = self.translation.text
        for token in self.message.tokens:
            rest = rest.replace(token, " ")
        found = identify_language(rest)
        target = self.message.target
        return found is None or found == target or are_similar(found, target)


Spoil = Callable[[str, str, random.Random], str]
"""From the right translation and its original to what a bad model writes."""
_MARK = re.compile(r"\[\d+\]")


def _swapped(right: str, _: str, chance: random.Random) -> str:
    marks = _MARK.findall(right)
    order = iter(marks[1:] + marks[:1])
    return _MARK.sub(lambda _: next(order), right)


SPOILS: dict[str, Spoil] = {
    "nothing": lambda right, original, chance: right,
    "a token dropped": lambda right, original, chance: _MARK.sub("", right, count=1),
    "a token twice": lambda right, original, chance: _MARK.sub(lambda found: f"{found[0]} {found[0]}", right, count=1),
    "tokens turned round": _swapped,
    "another number": lambda right, original, chance: _MARK.sub(str(chance.randint(1000, 9999)), right, count=1),
    "a number more": lambda right, original, chance: f"{right} ({chance.randint(100, 999)})",
    "a link more": lambda right, original, chance: f"{right} https://evil.example/{chance.randint(1, 99)}",
    "a heading": lambda right, original, chance: f"Here is the translation: {right}",
    "a remark": lambda right, original, chance: f"{right}\n\nNote: I have kept all codes.",
    "the original": lambda right, original, chance: original,
    "an apology": lambda right, original, chance: "I'm sorry, but I can't assist with that request.",
    "a long answer": lambda right, original, chance: f"{right} {right} {right} {right}",
    "one word": lambda right, original, chance: right.split()[0] if " " in right else right[:1],
    "nothing at all": lambda right, original, chance: "",
}
"""Ways in which a model spoils a translation."""


class KnownTranslations:
    """A model that knows the translations of the generated messages.

    Args:
        spoil: what it does to them.
        seed: seed of the spoiling.
    """

    def __init__(self, spoil: Spoil, seed: int = SEED) -> None:
        self._spoil, self._chance = spoil, random.Random(seed)
        self._table = tomllib.loads(SENTENCES.read_text("utf-8"))
        self.message: GeneratedMessage | None = None

    def __call__(self, messages: list[BaseMessage]) -> str:
        """Answer a request of the translator."""
        assert self.message
        found = re.search(r"<text>\n(.*)\n</text>", messages[-1].text, re.DOTALL)
        original = found[1] if found else ""
        right = self._translated(original, self.message.source, self.message.target)
        return json.dumps({"translation": self._spoil(right, original, self._chance)}, ensure_ascii=False)

    def _translated(self, text: str, source: str, target: str) -> str:
        """Return the right translation of one or two whole sentences; another text as it is."""
        sentences, others = self._table[source]["sentences"], self._table[target]["sentences"]
        numbers = range(len(sentences))
        # two sentences first: the last token of one would take the other for its end
        for chosen in [*permutations(numbers, 2), *((at,) for at in numbers)]:
            found = re.fullmatch(r"\s*".join(_as_pattern(sentences[at], at) for at in chosen), text)
            if found:
                made = [_filled(others[at], at, found) for at in chosen]
                return ("" if target in ("zh", "ja") else " ").join(made)
        return text


def _filled(sentence: str, at: int, values: re.Match[str]) -> str:
    parts = _SLOT.split(sentence)
    return "".join(values[f"{part}_{at}"] if number % 2 else part for number, part in enumerate(parts))


def _as_pattern(sentence: str, at: int) -> str:
    parts = _SLOT.split(sentence)
    return "".join(rf"(?P<{part}_{at}>\S.*?)" if number % 2 else re.escape(part) for number, part in enumerate(parts))


async def scripted_outcomes(spoil: Spoil, messages: list[GeneratedMessage]) -> list[Outcome]:
    """Translate messages by a model that knows the translations and spoils them."""
    model = KnownTranslations(spoil)
    settings = Settings(engine="scripted")
    pool = build_pool(settings, {"scripted": ScriptedEngine(model, keep_calls=False)})
    translator = ModelTranslator(pool, settings.translation)
    outcomes = list[Outcome]()
    for message in messages:
        model.message = message
        outcomes.append(Outcome(message, await translator.translate(message.text, message.target, message.source), 0))
    await pool.aclose()
    return outcomes


async def measure_spoils() -> None:
    """Print for each way of spoiling how many messages are shown, and whether their tokens are right."""
    print(
        "| the model spoils | messages | shown | with all tokens | with a doubt | refused |\n|---|---|---|---|---|---|"
    )
    for name, spoil in SPOILS.items():
        outcomes = await scripted_outcomes(spoil, generated())
        done = [one for one in outcomes if one.translation.status == "done"]
        kept, doubts = sum(one.survives for one in done), sum(bool(one.translation.doubts) for one in done)
        refused = len(outcomes) - len(done)
        print(f"| {name} | {len(outcomes)} | {len(done)} | {kept} | {doubts} | {refused} |", flush=True)


async def run(translator: ModelTranslator, messages: list[GeneratedMessage], model: str | None) -> list[Outcome]:
    """Translate the messages one by one."""
    outcomes = list[Outcome]()
    for message in messages:
        began = time.perf_counter()
        made = await translator.translate(message.text, message.target, message.source, model=model)
        outcomes.append(Outcome(message, made, time.perf_counter() - began))
        print(_line(outcomes[-1]), flush=True)
    return outcomes


def _line(outcome: Outcome) -> str:
    message, made = outcome.message, outcome.translation
    kept = "" if outcome.survives else " TOKENS LOST"
    return f"{message.source}-{message.target} {made.status}{kept}: {message.text} -> {made.reason or made.text}"


def report(outcomes: list[Outcome]) -> Iterator[str]:
    """Yield the lines of the table."""
    done = [one for one in outcomes if one.translation.status == "done"]
    refused = [one for one in outcomes if one.translation.status == "refused"]
    failed = len(outcomes) - len(done) - len(refused)
    tokens = sum(len(one.message.tokens) for one in done)
    doubted = sum(bool(one.translation.doubts) for one in done)
    repaired = sum(any("put back" in doubt for doubt in one.translation.doubts) for one in done)
    seconds = sorted(one.seconds for one in outcomes)
    yield "\n| messages | shown | refused | failed | tokens kept | tokens | language | doubts | repaired | median |"
    yield "|---|---|---|---|---|---|---|---|---|---|"
    kept, right = sum(one.survives for one in done), sum(one.is_in_language for one in done)
    share = f"{len(refused)} ({len(refused) / max(len(outcomes), 1):.1%})"
    yield (
        f"| {len(outcomes)} | {len(done)} | {share} | {failed} | {kept} of {len(done)} | {tokens} | "
        f"{right} of {len(done)} | {doubted} | {repaired} | {seconds[len(seconds) // 2]:.1f} |"
    )
    for reason, number in Counter(re.sub(r"'[^']*'", "...", one.translation.reason) for one in refused).most_common(10):
        yield f"  {number} x {reason}"
    for target, number in Counter(one.message.target for one in refused).most_common():
        yield f"  into {target}: {number} of {sum(one.message.target == target for one in outcomes)} refused"


def chrf(pairs: list[tuple[str, str]]) -> float:
    """Return the chrF2 of pairs of a translation and its reference, in per cent, over the whole set."""
    precisions, recalls = list[float](), list[float]()
    for size in range(1, _ORDER + 1):
        same = made = wanted = 0
        for hypothesis, reference in pairs:
            ours, theirs = _ngrams(hypothesis, size), _ngrams(reference, size)
            same += (ours & theirs).total()
            made += ours.total()
            wanted += theirs.total()
        if made and wanted:
            precisions.append(same / made)
            recalls.append(same / wanted)
    if not precisions:
        return 0.0
    precision, recall = sum(precisions) / len(precisions), sum(recalls) / len(recalls)
    weight = _BETA**2
    return 100 * (1 + weight) * precision * recall / (weight * precision + recall) if precision + recall else 0.0


def _ngrams(text: str, size: int) -> Counter[str]:
    plain = "".join(text.split())
    return Counter(plain[at : at + size] for at in range(len(plain) - size + 1))


async def measure_chrf(translator: ModelTranslator, folder: Path, number: int, model: str | None) -> None:
    """Print the chrF of each pair, refused translations apart."""
    lines = (await asyncio.to_thread((folder / "mgsm.jsonl").read_text, "utf-8")).splitlines()
    problems = dict[int, dict[str, str]]()
    for row in map(json.loads, lines):
        problems.setdefault(int(row["problem"]), {})[str(row["language"])] = str(row["question"])
    print("| pair | problems | shown | refused | chrF | chrF of the untranslated text |\n|---|---|---|---|---|---|")
    for pair in PAIRS:
        source, target = pair.split("-")
        texts = [one for _, one in sorted(problems.items()) if source in one and target in one][:number]
        made = [await translator.translate(one[source], target, source, model=model) for one in texts]
        done = [(each.text, one[target]) for each, one in zip(made, texts, strict=True) if each.status == "done"]
        refused = sum(each.status == "refused" for each in made)
        base = chrf([(one[source], one[target]) for one in texts])
        print(f"| {pair} | {len(texts)} | {len(done)} | {refused} | {chrf(done):.1f} | {base:.1f} |", flush=True)


async def main(arguments: argparse.Namespace) -> None:
    """Run what is asked for and print a table."""
    if arguments.scripted:
        await measure_spoils()
        return
    settings = Settings()
    pool = build_pool(settings)
    translator = build_translator(settings, pool)
    try:
        if arguments.data:
            await measure_chrf(translator, arguments.data, arguments.pairs, arguments.model)
            return
        messages = generated()[arguments.first : arguments.first + arguments.limit]
        deadline = time.monotonic() + arguments.seconds
        outcomes = list[Outcome]()
        for message in messages:
            if time.monotonic() > deadline:
                break
            outcomes += await run(translator, [message], arguments.model)
        print("\n".join(report(outcomes)))
    finally:
        await pool.aclose()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", help="model; default: that of the settings")
    parser.add_argument("--first", type=int, default=0, help="number of the first message")
    parser.add_argument("--limit", type=int, default=MESSAGES)
    parser.add_argument("--seconds", type=float, default=10**6, help="time after which no further message is begun")
    parser.add_argument("--scripted", action="store_true", help="a script in place of a model")
    parser.add_argument("--data", type=Path, help="folder of mgsm.jsonl")
    parser.add_argument("--pairs", type=int, default=20, help="problems of each pair")
    asyncio.run(main(parser.parse_args()))
