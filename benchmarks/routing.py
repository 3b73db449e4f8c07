"""The router on questions it has never been shown: sources, kinds and languages left out, texts as people write them.

Exits with 1 where a target is missed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from statistics import fmean
from time import thread_time
from typing import Any, Literal

import numpy as np

from benchmarks.routing_report import missed, plain, plot, write_docs
from qwendesk.routing.base import Signals
from qwendesk.routing.classifier.classifier import Array, Classifier
from qwendesk.routing.classifier.features import extract_features
from qwendesk.routing.classifier.trained_router import TrainedRouter
from qwendesk.routing.signals import language
from qwendesk.routing.signals.cues import KINDS, CueMatcher
from qwendesk.routing.training.dataset import LabelledQuestion, load_questions
from qwendesk.routing.training.metrics import GradedAnswer, accuracy, percentiles, scores
from qwendesk.routing.training.noise import noisy_texts
from qwendesk.routing.training.train import (
    TrainingSet,
    build_training_set,
    grade_answers,
    leave_groups_out,
    source_of,
    train,
)

SPOKEN = ("xsid", "xquad", "msvamp", "vicuna", "chatterbot", "cmath", "clinc150", "banking77", "nq_open", "multizebra")
"""Sources whose texts are sentences of one language."""
MANY_QUESTIONS = 40
"""Minimum questions of a language whose accuracy on unseen kinds has a target."""
Row = tuple[LabelledQuestion, Classifier, Array]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="write JSON")
    parser.add_argument("--quick", action="store_true", help="sources left out and speed only")
    parser.add_argument(
        "--accurate", action="store_true", help="the router that uses sentence embeddings; implies --quick"
    )
    parser.add_argument("--svg", type=Path, help="write the picture of calibration to this file")
    parser.add_argument("--docs", type=Path, help="put tables and picture into this page")
    options = parser.parse_args()
    if options.docs and (options.quick or options.accurate):
        parser.error("--docs needs everything to be measured")
    result, said = measure(quick=options.quick or options.accurate, embeddings=options.accurate)
    if options.svg:
        options.svg.write_text(plot(said), "utf-8")
    if options.docs:
        write_docs(options.docs, result, said)
    print(json.dumps(result, ensure_ascii=False, indent=1) if options.json else plain(result))
    sys.exit(bool(result["missed"]) and not options.accurate)


def measure(*, quick: bool = False, embeddings: bool = False) -> tuple[dict[str, Any], list[GradedAnswer]]:
    """Return the figures, and the answers to sources left out."""
    everything = build_training_set(load_questions(), embeddings=embeddings)
    held_out = leave_groups_out(everything, source_of)
    said = grade_answers(held_out)
    by_language = Counter(question.lang for question in everything.questions)
    more = {"by_source": by_source(held_out, said), "questions_by_language": dict(sorted(by_language.items()))}
    result: dict[str, Any] = {"sources_left_out": scores(said) | more}
    if not quick:
        result |= careful(everything, held_out, said)
    result |= speed(everything.questions, "accurate" if embeddings else "default")
    result["summary"] = summary(result)
    result["missed"] = missed(result["summary"])
    return result, said


def careful(everything: TrainingSet, held_out: Sequence[Row], said: Sequence[GradedAnswer]) -> dict[str, Any]:
    """Return what takes longer to find out."""
    noise = {
        name: round(accuracy(said) - accuracy(grade_answers(rewritten(held_out, texts))), 4)
        for name, texts in noisy_texts([question for question, _, _ in held_out])
    }
    return {
        "kinds_left_out": left_out_kinds(everything),
        "languages_left_out": left_out_languages(everything),
        "languages_without_words": without_words(everything),
        "cost_of_noise": noise,
        "language_identification": identification(everything.questions),
    }


def summary(result: dict[str, Any]) -> dict[str, float]:
    base = result["sources_left_out"]
    found = {key: base[key] for key in ("accuracy", "accuracy3", "mean_of_languages", "worst_language")}
    found |= {"most_confident_half": base["selective"]["50"], "ece": base["ece"]}
    if named := result.get("language_identification"):
        found["language_identification"] = named["mean"]
    found |= {f"latency_{key}_ms": value for key, value in result["latency_ms"].items()}
    found |= {"latency_100k_ms": result["latency_100k_ms"], "rss_mb": result["rss_mb"]}
    if kinds := result.get("kinds_left_out"):
        found |= {f"kinds_{key}": kinds[key] for key in ("accuracy", "accuracy3", "ece", "worst_language_of_many")}
    if noise := result.get("cost_of_noise"):
        found["worst_cost_of_noise"] = max(noise.values())
    return found


def by_source(rows: Sequence[Row], said: Sequence[GradedAnswer]) -> dict[str, tuple[int, float]]:
    """Return how many questions each source has, and the share of right answers."""
    groups: dict[str, list[GradedAnswer]] = {}
    for (question, _, _), answer in zip(rows, said, strict=True):
        groups.setdefault(question.source, []).append(answer)
    return {source: (len(group), round(accuracy(group), 4)) for source, group in sorted(groups.items())}


def left_out_kinds(everything: TrainingSet) -> dict[str, Any]:
    """Return the figures where no question of the same kind was trained on, whatever its source."""
    rows = leave_groups_out(everything, kind_of)
    said = grade_answers(rows, kind_of)
    many = Counter(question.lang for question in everything.questions)
    languages = {lang: share for lang, share in scores(said)["by_language"].items() if many[lang] >= MANY_QUESTIONS}
    return scores(said) | {
        "questions_by_kind": dict(sorted(Counter(map(kind_of, everything.questions)).items())),
        "worst_language_of_many": min(languages.values()),
    }


def kind_of(question: LabelledQuestion) -> str:
    return question.kind


def rewritten(rows: Sequence[Row], texts: Sequence[str]) -> list[Row]:
    """Return the rows with other texts."""
    return [(q, c, extract_features(text).astype(float)) for (q, c, _), text in zip(rows, texts, strict=True)]


def left_out_languages(everything: TrainingSet) -> dict[str, float]:
    """Return the accuracy on each language whose questions were not trained on, translations included."""
    rows = leave_groups_out(everything, lambda question: question.lang)
    return dict(scores(grade_answers(rows))["by_language"])


def without_words(everything: TrainingSet) -> dict[str, float]:
    """Return the accuracy where a language's lines of cues are missing too, as for an unknown language."""
    tables = tomllib.loads(resources.files("qwendesk.routing.signals").joinpath("cues.toml").read_text("utf-8"))
    result = {}
    for lang in sorted({question.lang for question in everything.questions} - {"en"}):
        lines = [
            (KINDS.index(kind), cue) if code == "any" else (KINDS.index(kind), cue, code.partition("_")[0])
            for kind, by_lang in tables.items()
            for code, line in by_lang.items()
            if code.split("_")[0] not in (lang, "no" if lang == "nb" else lang)
            for cue in line.split(",")
        ]
        out = np.array([question.lang == lang for question in everything.questions])
        classifier = train(everything.part(~out))
        blind = build_training_set(everything.part(out).questions, CueMatcher(lines))
        said = grade_answers((q, classifier, values) for q, values in zip(blind.questions, blind.values, strict=True))
        result[lang] = round(accuracy(said), 4)
    return result


def identification(questions: Sequence[LabelledQuestion]) -> dict[str, Any]:
    """Return the share of short utterances whose language is named; "undecided" is an error here."""
    right: dict[str, list[bool]] = {}
    for question in questions:
        if question.source.startswith(SPOKEN):
            wanted = "no" if question.lang == "nb" else question.lang
            text = question.text if len(question.text) < 120 else question.text[:120].rsplit(" ", 1)[0]
            right.setdefault(wanted, []).append(language.identify_language(text) == wanted)
    shares = {lang: round(fmean(found), 4) for lang, found in sorted(right.items()) if len(found) >= 4}
    return {"mean": round(fmean(shares.values()), 4), "languages": len(shares), "by_language": shares}


def speed(questions: Sequence[LabelledQuestion], tier: Literal["default", "accurate"]) -> dict[str, Any]:
    """Return latencies of whole decisions, and the memory of a process that only routes."""
    router, times = TrainedRouter(tier=tier), []
    router.warm_up()
    for question in questions[:: 20 if tier == "accurate" else 1]:
        if len(question.text) <= 1000:
            times.append(timed(router, question.text))
    long = ("Wie viele Worte 12 passen in 3 Zeilen? " * 2600)[:100_000]
    return {
        "latency_ms": percentiles(times),
        "latency_100k_ms": percentiles([timed(router, long) for _ in range(9)])["p50"],
        "rss_mb": memory(tier),
    }


def timed(router: TrainedRouter, text: str) -> float:
    """Return how many milliseconds of a core a decision takes, the best of three: other programs may be busy."""
    times = []
    for _ in range(3):
        begun = thread_time()
        router.route(Signals(text))
        times.append((thread_time() - begun) * 1e3)
    return min(times)


def memory(tier: str) -> float:
    """Return the megabytes that routing takes beyond the interpreter."""
    code = (
        "import psutil; p = psutil.Process(); before = p.memory_info().rss\n"
        "from qwendesk.routing.base import Signals\n"
        "from qwendesk.routing.classifier.trained_router import TrainedRouter\n"
        f"TrainedRouter(tier={tier!r}).route(Signals('Where is my order?'))\n"
        "print((p.memory_info().rss - before) / 1e6)"
    )
    return round(
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout), 1
    )


if __name__ == "__main__":
    main()
