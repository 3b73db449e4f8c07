"""Choice of the projector beside a GGUF file, and its effect on the served model."""

from __future__ import annotations

from pathlib import Path

import pytest

from qwendesk.models.catalogue import load_catalogue
from qwendesk.models.gguf import find_projector
from qwendesk.models.store.model_store import ModelStore
from qwendesk.models.store.pull import StoredModel, StoredModelFile, write_record

MODEL = "Qwen2.5-VL-3B-Instruct-Q4_K_M.gguf"


@pytest.mark.parametrize(
    ("others", "senses", "found"),
    [
        (["mmproj-Qwen2.5-VL-3B-Instruct-Q8_0.gguf"], False, 0),
        (["Qwen2.5-VL-3B-Instruct-mmproj-f16.gguf"], False, 0),
        (["mmproj-Qwen2.5-VL-7B-Instruct-Q8_0.gguf", "mmproj-Qwen2.5-VL-3B-Instruct-f16.gguf"], True, 1),
        (["mmproj-Qwen2.5-VL-7B-Instruct-Q8_0.gguf"], True, None),
        (["mmproj-F16.gguf"], True, 0),
        (["mmproj-model-f16.gguf"], False, 0),
        (["mmproj-F16.gguf", "qwen2.5-0.5b-instruct-q4_k_m.gguf"], False, None),
        (["mmproj-F16.gguf", "qwen2.5-0.5b-instruct-q4_k_m.gguf"], True, 0),
        ([], True, None),
    ],
)
def test_a_projector_belongs_to_its_model(tmp_path: Path, others: list[str], senses: bool, found: int | None) -> None:
    for name in [MODEL, *others]:
        (tmp_path / name).touch()
    projector = find_projector(tmp_path / MODEL, is_multimodal=senses)
    assert projector == (None if found is None else tmp_path / others[found])


def test_a_file_of_any_name_sees_with_the_one_beside_it(tmp_path: Path) -> None:
    catalogue, store = load_catalogue(), ModelStore(tmp_path / "store")
    (tmp_path / "mine.gguf").touch()
    card = catalogue.get(str(tmp_path / "mine.gguf"))
    assert not store.served(card).vision
    (tmp_path / "mmproj-mine.gguf").touch()
    assert store.served(card).vision and not store.served(card).audio


def test_a_model_of_the_store_sees_only_with_its_second_file(tmp_path: Path) -> None:
    card, store = load_catalogue().get("qwen2.5-vl-3b"), ModelStore(tmp_path)
    assert store.served(card).vision, "the file comes with the model when it is pulled"
    files = [StoredModelFile("m.gguf", 0, ""), StoredModelFile("mmproj.gguf", 0, "", "projector")]
    (tmp_path / card.name).mkdir()
    for held, sees in ((files, True), (files[:1], False)):
        write_record(tmp_path / card.name, StoredModel(card.name, tuple(held), "file", ""))
        assert store.served(card).vision is sees


def test_a_model_that_nobody_has_as_gguf_hears_nothing_there(tmp_path: Path) -> None:
    assert not ModelStore(tmp_path).served(load_catalogue().get("qwen2-audio-7b")).audio
