"""Tokens are sampled with the probabilities of transformers' logits processors."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from qwendesk.engines.transformers.sequence import Sampler
from qwendesk.models.card import Sampling

SETTINGS = [
    Sampling(0.7, 0.8, 20, 1.05),
    Sampling(0.6, 0.95, 20, 1.0),
    Sampling(1.3, 0.5, 0, 1.3),
    Sampling(1.0, 1.0, 0, 1.0),
    Sampling(0.7, 0.01, 5, 1.0),
]


def library_probabilities(sampling: Sampling, logits: torch.Tensor, seen: list[int]) -> torch.Tensor:
    chain = [
        transformers.RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty),
        transformers.TemperatureLogitsWarper(sampling.temperature),
    ]
    if sampling.top_k:
        chain.append(transformers.TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        chain.append(transformers.TopPLogitsWarper(sampling.top_p))
    scores = logits[None].clone()
    for processor in chain:
        scores = processor(torch.tensor([seen]), scores)
    return scores.softmax(-1)[0]


@pytest.mark.parametrize("sampling", SETTINGS)
def test_probabilities_are_those_of_the_library(sampling: Sampling) -> None:
    torch.manual_seed(3)
    for _ in range(20):
        logits, seen = torch.randn(100) * 3, [1, 5, 5, 99]
        expected = library_probabilities(sampling, logits, seen)
        tokens, weights = Sampler(sampling, 1, seen).candidates(logits.clone())
        found = torch.zeros(100).index_put((tokens,), weights / weights.sum())
        torch.testing.assert_close(found, expected)


def test_greedy_takes_the_best_and_a_penalty_moves_on() -> None:
    logits = torch.tensor([1.0, 3.0, 2.9])
    assert Sampler(Sampling(0.0), 1, []).sample(logits.clone()) == 1
    assert Sampler(Sampling(0.0, repetition_penalty=1.5), 1, [1]).sample(logits.clone()) == 2


def test_a_rounding_error_does_not_change_what_a_seed_leads_to() -> None:
    torch.manual_seed(1)
    for seed in range(50):
        logits = torch.randn(500)
        nearly = logits + torch.randn(500) * 1e-6
        sampled = [Sampler(Sampling(1.0, 1.0, 0), seed, []).sample(one.clone()) for one in (logits, nearly)]
        assert sampled[0] == sampled[1]
