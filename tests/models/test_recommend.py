"""Recommendations by memory, speed, role and language."""

import pytest

from qwendesk.models.catalogue import load_catalogue
from qwendesk.models.recommend import MachineResources, Recommendation, recommend

CATALOGUE = load_catalogue()


def best(memory: float, cores: int, **wishes: str) -> list[Recommendation]:
    return recommend(CATALOGUE, MachineResources(memory, cores), **wishes)  # type: ignore[arg-type]


def test_more_memory_and_cores_bring_larger_models() -> None:
    sizes = [best(memory, cores)[0].card.parameters for memory, cores in ((2, 2), (8, 8), (64, 64))]
    assert sizes == sorted(sizes) and sizes[0] < sizes[1] < sizes[2]


@pytest.mark.parametrize("role", ["general", "coder", "math", "vision", "thinking"])
def test_each_task_gets_models_made_for_it(role: str) -> None:
    found = best(24, 16, role=role)
    assert 0 < len(found) <= 3
    for each in found:
        assert role in each.card.roles
        assert each.needs_gb <= 24 and each.tokens_per_second >= 5
        assert role in each.reasons[0]


def test_nothing_is_recommended_where_nothing_fits() -> None:
    assert best(0.5, 2) == []


def test_a_rare_language_needs_a_series_that_knows_it() -> None:
    assert {each.card.languages >= 119 for each in best(24, 16, language="sw")} == {True}
    assert best(24, 16, language="it")


def test_a_mixture_of_experts_counts_its_active_part_for_speed() -> None:
    dense, mixed = CATALOGUE.get("qwen3-32b"), CATALOGUE.get("qwen3-30b-a3b")
    rated = {
        each.card.name: each
        for each in recommend([dense, mixed], MachineResources(64, 16), min_tokens_per_second=0, limit=9)
    }
    assert rated[mixed.name].tokens_per_second > 5 * rated[dense.name].tokens_per_second


def test_of_about_the_same_size_the_newer_generation_is_first() -> None:
    old, new, small = (CATALOGUE.get(name) for name in ("qwen1.5-4b", "qwen2.5-3b", "qwen2.5-0.5b"))
    found = recommend([old, small, new], MachineResources(16, 8))
    assert [each.card.name for each in found] == [new.name, old.name, small.name]
    assert "qwen2.5" in found[0].reasons[0] and "qwen1.5" in found[1].reasons[0], "the reason tells them apart"
