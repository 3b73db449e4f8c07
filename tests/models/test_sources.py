import pytest

from qwendesk.errors import ConfigError, ModelStoreError
from qwendesk.models.card import ModelCard, Weights
from qwendesk.models.sources.base import PullProgress, SourceSettings
from qwendesk.models.store.model_store import ModelStore
from tests.model_server import Fault, ModelServer, made_up_model, sum_of

DATA = made_up_model()
EYES = made_up_model(30_000, seed=5)
CARD = ModelCard(
    "tiny",
    ollama=("tiny:1b", "tiny:latest"),
    weights=Weights("Tiny-Q4_K_M.gguf", huggingface="Us/Tiny-GGUF", modelscope="us/tiny"),
)
SEEING = ModelCard(
    "seeing", vision=True, ollama=("seeing:1b",), weights=Weights("See.gguf", None, None, "mmproj-*.gguf", "Us/See")
)


@pytest.fixture
def server():
    with ModelServer() as running:
        yield running


@pytest.fixture
def store(server, tmp_path):
    return ModelStore(tmp_path / "models", remotes(server))


def remotes(server: ModelServer, **times: float) -> SourceSettings:
    limits = {"connect_timeout": 2.0, "read_timeout": 2.0, "retry_pause": 0.0} | times
    return SourceSettings(server.url + "/simple", server.url, server.url, server.url, **limits)


async def test_hugging_face_gives_a_file_with_its_sum(server, store):
    server.put_hugging_face("Us/Tiny-GGUF", {"README.md": b"hi", "tiny-q4_k_m.gguf": DATA, "tiny-q8_0.gguf": b"GGUF"})
    path = await store.pull(CARD, source="huggingface")
    assert path.read_bytes() == DATA
    record = store.record(CARD)
    assert record.source == "huggingface"
    assert record.files[0].sha256 == sum_of(DATA)


async def test_a_listing_with_another_sum_than_the_file_is_refused(server, store):
    files = {"tiny-q4_k_m.gguf": DATA}
    server.put_hugging_face("Us/Tiny-GGUF", files, listed={"tiny-q4_k_m.gguf": "0" * 64})
    with pytest.raises(ModelStoreError, match=f"has the checksum {sum_of(DATA)} instead of 0000"):
        await store.pull(CARD, source="huggingface")


async def test_numbered_parts_are_all_fetched_and_the_first_is_the_model(server, store):
    parts = {f"q4/tiny-q4_k_m-0000{n}-of-00003.gguf": made_up_model(50_000, seed=n) for n in (2, 1, 3)}
    server.put_hugging_face("Us/Tiny-GGUF", parts)
    seen: list[PullProgress] = []
    path = await store.pull(CARD, seen.append)
    assert path.name == "tiny-q4_k_m-00001-of-00003.gguf"
    assert [file.stat().st_size for file in path.parent.glob("*.gguf")] == [50_000] * 3
    assert seen[-1].total == 150_000
    assert await store.verify(CARD, deep=True) == []


async def test_a_missing_part_is_an_error(server, store):
    server.put_hugging_face("Us/Tiny-GGUF", {"tiny-q4_k_m-00001-of-00002.gguf": DATA})
    with pytest.raises(ModelStoreError, match="1 of the 2 parts"):
        await store.pull(CARD, source="huggingface")


async def test_a_vision_model_comes_with_its_smallest_projector(server, store):
    files = {"see.gguf": DATA, "mmproj-see-f16.gguf": EYES + EYES, "mmproj-see-q8_0.gguf": EYES}
    server.put_hugging_face("Us/See", files)
    path = await store.pull(SEEING)
    assert path.read_bytes() == DATA
    assert store.projector(SEEING).name == "mmproj-see-q8_0.gguf"
    assert store.projector(CARD) is None


async def test_a_vision_model_without_a_projector_is_refused(server, store):
    server.put_hugging_face("Us/See", {"see.gguf": DATA})
    server.put_ollama("seeing", "1b", {"model": DATA})
    with pytest.raises(ModelStoreError, match=r"holds no file 'mmproj-\*\.gguf'.*'seeing:1b' has no projector"):
        await store.pull(SEEING)


async def test_model_scope_stands_in_where_hugging_face_has_nothing(server, store):
    server.put_model_scope("us/tiny", {"Tiny-Q4_K_M.gguf": DATA})
    notes: list[str] = []
    path = await store.pull(CARD, lambda progress: notes.append(progress.note))
    assert path.read_bytes() == DATA
    assert store.record(CARD).source == "modelscope"
    assert any("Hugging Face" in note and "404" in note for note in notes)


async def test_ollamas_registry_gives_the_blob_of_the_model(server, store):
    server.put_ollama("tiny", "1b", {"model": DATA, "template": b"{{ .Prompt }}", "license": b"..."})
    path = await store.pull(CARD, source="ollama")
    assert path.read_bytes() == DATA
    assert path.name == "tiny-ollama.gguf"


async def test_a_wrong_file_is_removed_and_the_next_source_taken(server, tmp_path):
    weights = Weights("tiny.gguf", len(DATA), sum_of(DATA), huggingface="Us/Tiny", modelscope="us/tiny")
    card = ModelCard("tiny", weights=weights)
    store = ModelStore(tmp_path / "models", remotes(server))
    server.put_hugging_face("Us/Tiny", {"tiny.gguf": made_up_model(seed=9)}, listed={"tiny.gguf": sum_of(DATA)})
    server.put_model_scope("us/tiny", {"tiny.gguf": DATA})
    assert (await store.pull(card)).read_bytes() == DATA
    assert store.record(card).source == "modelscope"


async def test_another_source_goes_on_where_the_first_broke_off(server, store):
    card = ModelCard("tiny", weights=Weights("t.gguf", len(DATA), sum_of(DATA), None, "Us/Tiny", "us/tiny"))
    server.put_hugging_face("Us/Tiny", {"t.gguf": DATA})
    server.put_model_scope("us/tiny", {"t.gguf": DATA})
    broken = "/Us/Tiny/resolve/main/t.gguf"

    def then_gone(progress: PullProgress) -> None:
        if progress.done:
            server.files.pop(broken, None)

    server.faults[broken] = Fault(after=60_000)
    assert (await store.pull(card, then_gone)).read_bytes() == DATA
    assert ("/models/us/tiny/resolve/master/t.gguf", "bytes=60000-") in server.asked


async def test_a_page_instead_of_the_model_is_refused(server, store):
    server.put_hugging_face("Us/Tiny-GGUF", {"tiny-q4_k_m.gguf": b"<html>Please log in</html>"})
    with pytest.raises(ModelStoreError, match=r"is not a GGUF file \(it begins with b'<htm'\)"):
        await store.pull(CARD, source="huggingface")


async def test_the_catalogues_version_is_insisted_on(server, store):
    card = ModelCard("tiny", weights=Weights("t.gguf", len(DATA), sum_of(DATA), huggingface="Us/Tiny"))
    server.put_hugging_face("Us/Tiny", {"t.gguf": made_up_model(seed=3)})
    with pytest.raises(ModelStoreError, match=r"holds another version of 't\.gguf'"):
        await store.pull(card)
    assert not [path for path, _ in server.asked if "resolve" in path]


async def test_no_source_at_all_is_one_error_that_lists_each(server, tmp_path):
    with ModelServer() as gone:
        nobody = gone.url
    places = SourceSettings(nobody, nobody, nobody, nobody, connect_timeout=2)
    with pytest.raises(ModelStoreError) as caught:
        await ModelStore(tmp_path / "models", places).pull(CARD)
    text = str(caught.value)
    for place in ("Hugging Face", "ModelScope", "Ollama's registry"):
        assert f"{place}: 127.0.0.1:{nobody.rpartition(':')[2]} cannot be reached" in text
    assert "package index" not in text
    assert "qwendesk models pull tiny --from FILE" in text


async def test_silent_sources_are_waited_for_together(server, tmp_path):
    paths = ["/api/models/Us/Tiny-GGUF/tree/main", "/api/v1/models/us/tiny/repo/files", "/v2/library/tiny/manifests/1b"]
    for path in paths:
        server.files[path] = (b"[]", "application/json")
        server.faults[path] = Fault(hold=True)
    store = ModelStore(tmp_path / "models", remotes(server, connect_timeout=0.4))
    with pytest.raises(ModelStoreError, match=r"does not answer within 0\.4 s"):
        await store.pull(CARD)
    assert sorted(path for path, _ in server.asked) == sorted(paths)


async def test_a_preferred_but_silent_source_does_not_hold_up_the_others(server, tmp_path, monkeypatch):
    monkeypatch.setattr("qwendesk.models.store.pull.PREFERRED_SOURCE_SECONDS", 0.1)
    silent = "/api/models/Us/Tiny-GGUF/tree/main"
    server.files[silent] = (b"[]", "application/json")
    server.faults[silent] = Fault(hold=True)
    server.put_model_scope("us/tiny", {"Tiny-Q4_K_M.gguf": DATA})
    store = ModelStore(tmp_path / "models", remotes(server, connect_timeout=25))
    await store.pull(CARD)
    assert store.record(CARD).source == "modelscope"
    assert not server.go_on.is_set()


async def test_only_the_named_source_is_asked(server, store):
    server.put_ollama("tiny", "1b", {"model": DATA})
    server.put_hugging_face("Us/Tiny-GGUF", {"tiny-q4_k_m.gguf": DATA})
    await store.pull(CARD, source="ollama")
    assert all(path.startswith("/v2/") for path, _ in server.asked)


async def test_a_source_nobody_knows_is_a_mistake_of_the_user(store):
    with pytest.raises(ConfigError, match="There is no source 'hub'; there are: index, huggingface"):
        await store.pull(CARD, source="hub")
    with pytest.raises(ConfigError, match=r"at 'index' \(it knows: huggingface, modelscope, ollama\)"):
        await store.pull(CARD, source="index")
    with pytest.raises(ConfigError, match="no GGUF file of 'bare' anywhere"):
        await store.pull(ModelCard("bare"))


@pytest.mark.parametrize("answer", [b"not json", b'"text"', b'{"layers": null}', b"[1, 2]"])
async def test_answers_that_make_no_sense_are_refused(server, store, answer):
    for path in ("/api/models/Us/Tiny-GGUF/tree/main", "/api/v1/models/us/tiny/repo/files"):
        server.put(path, answer, "application/json")
    server.put("/v2/library/tiny/manifests/1b", answer, "application/json")
    with pytest.raises(ModelStoreError, match="No source provides 'tiny'"):
        await store.pull(CARD)
