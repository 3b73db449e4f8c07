import asyncio
import errno
import json
import os
from pathlib import Path

import pytest

from qwendesk.errors import EngineUnavailable, ModelStoreError
from qwendesk.models.card import ModelCard, Weights
from qwendesk.models.catalogue import load_catalogue
from qwendesk.models.sources.base import PullProgress, SourceSettings
from qwendesk.models.store.model_store import ModelStore
from qwendesk.settings import STARTER_MODEL, Settings
from tests.model_server import Fault, ModelServer, made_up_model, sum_of

DATA = made_up_model()
CARD = ModelCard("tiny", weights=Weights("t.gguf", len(DATA), sum_of(DATA), huggingface="Us/Tiny"))
FILE = "/Us/Tiny/resolve/main/t.gguf"


@pytest.fixture
def server():
    with ModelServer() as running:
        running.put_hugging_face("Us/Tiny", {"t.gguf": DATA})
        yield running


@pytest.fixture
def store(server, tmp_path):
    return ModelStore(tmp_path / "models", remotes(server))


def remotes(server: ModelServer) -> SourceSettings:
    url = server.url
    return SourceSettings(url, url, url, url, connect_timeout=2, read_timeout=2, retry_pause=0)


async def test_an_empty_store_says_how_to_fill_it(store):
    assert store.installed() == []
    with pytest.raises(EngineUnavailable, match="Run: qwendesk models pull tiny"):
        store.path(CARD)
    with pytest.raises(ModelStoreError, match="'tiny' is not in the store"):
        await store.remove(CARD)


async def test_a_pulled_model_is_recorded_and_not_pulled_twice(server, store):
    await store.pull(CARD)
    [record] = store.installed()
    assert (record.name, record.bytes, record.source) == ("tiny", len(DATA), "huggingface")
    assert record.pulled_at.endswith("+00:00")
    server.asked.clear()
    assert await store.pull(CARD) == store.path(CARD)
    assert server.asked == []


async def test_two_pulls_at_once_fetch_once(server, tmp_path):
    server.faults[FILE] = Fault(after=50_000, hold=True)
    notes: list[str] = []

    def waits(progress: PullProgress) -> None:
        if "waiting" in progress.note:
            notes.append(progress.note)
            server.go_on.set()

    first, second = (ModelStore(tmp_path / "models", remotes(server)) for _ in range(2))
    running = asyncio.create_task(first.pull(CARD))
    assert await asyncio.to_thread(server.holding.wait, 10)
    paths = await asyncio.gather(running, second.pull(CARD, waits))
    assert paths[0] == paths[1]
    assert paths[0].read_bytes() == DATA
    assert notes == ["another pull of this model is running; waiting for it"]
    assert server.count(FILE) == 1


async def test_a_model_being_pulled_cannot_be_removed(server, store):
    server.faults[FILE] = Fault(after=50_000, hold=True)
    running = asyncio.create_task(store.pull(CARD))
    assert await asyncio.to_thread(server.holding.wait, 10)
    with pytest.raises(ModelStoreError, match="'tiny' is being pulled"):
        await store.remove(CARD)
    server.go_on.set()
    assert (await running).is_file()


async def test_a_cancelled_pull_goes_on(server, store):
    server.faults[FILE] = Fault(after=50_000, hold=True)
    came = asyncio.Event()
    running = asyncio.create_task(store.pull(CARD, lambda progress: came.set() if progress.done else None))
    await came.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    [part] = (store.folder / "tiny").glob("*.part")
    kept = part.stat().st_size
    assert 0 < kept <= 50_000
    assert store.installed() == []
    assert (await store.pull(CARD)).read_bytes() == DATA
    assert server.asked[-1] == (FILE, f"bytes={kept}-")


async def test_a_damaged_part_is_fetched_anew(server, store):
    path = store.folder / "tiny" / f"t.gguf.{sum_of(DATA)[:12]}.part"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"GGUF" + bytes(9_996))
    assert (await store.pull(CARD)).read_bytes() == DATA
    assert [asked for path, asked in server.asked if path == FILE] == ["bytes=10000-", ""]


async def test_a_part_that_is_longer_than_the_file_is_fetched_anew(server, store):
    path = store.folder / "tiny" / f"t.gguf.{sum_of(DATA)[:12]}.part"
    path.parent.mkdir(parents=True)
    path.write_bytes(DATA + b"more")
    assert (await store.pull(CARD)).read_bytes() == DATA


async def test_a_pull_killed_before_its_record_finds_the_file_again(server, store):
    path = await store.pull(CARD)
    (path.parent / "model.json").unlink()
    server.asked.clear()
    assert await store.pull(CARD) == path
    assert server.count(FILE) == 0
    assert path.read_bytes() == DATA


async def test_a_truncated_model_is_damaged_and_mended_by_a_pull(server, store):
    path = await store.pull(CARD)
    path.write_bytes(DATA[:1000])
    assert await store.verify(CARD) == ["t.gguf has 1000 bytes instead of 200000"]
    with pytest.raises(EngineUnavailable, match=r"damaged \(t\.gguf has 1000 bytes"):
        store.path(CARD)
    assert (await store.pull(CARD)).read_bytes() == DATA
    assert server.asked[-1] == (FILE, "bytes=1000-")


async def test_only_a_deep_check_finds_changed_bytes(store):
    path = await store.pull(CARD)
    path.write_bytes(DATA[:-1] + bytes([DATA[-1] ^ 1]))
    assert await store.verify(CARD) == []
    assert await store.verify(CARD, deep=True) == ["t.gguf has another checksum than when it was pulled"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"files": [{}]}', '{"files": [], "name": "tiny"}'])
async def test_a_broken_record_counts_as_not_pulled(store, text):
    path = await store.pull(CARD)
    (path.parent / "model.json").write_text(text)
    assert store.installed() == []
    assert (await store.pull(CARD)).read_bytes() == DATA
    assert len(store.installed()) == 1


async def test_remove_frees_everything_an_old_version_has_left(store):
    path = await store.pull(CARD)
    (path.parent / "old.gguf.123.part").write_bytes(bytes(500))
    record = (path.parent / "model.json").stat().st_size
    assert await store.remove(CARD) == len(DATA) + 500 + record
    assert not path.parent.exists()


async def test_too_little_disk_is_told_before_anything_is_fetched(server, tmp_path):
    store = ModelStore(tmp_path / "models", remotes(server), free=lambda folder: 5_000_000)
    with pytest.raises(ModelStoreError, match=r"needs 17\.0 MB of disk and only 5\.0 MB are free.*QWENDESK_MODELS_DIR"):
        await store.pull(CARD)
    assert server.count(FILE) == 0


async def test_a_disk_that_fills_up_keeps_the_part(server, store, monkeypatch):
    class FullDisk:
        def __init__(self, file):
            self.file = file

        def write(self, data):
            if self.file.tell() + len(data) > 100_000:
                raise OSError(errno.ENOSPC, "No space left on device")
            return self.file.write(data)

        def __getattr__(self, name):
            return getattr(self.file, name)

    def open_on_full_disk(path, mode="r", *of, **options):
        file = real(path, mode, *of, **options)
        return FullDisk(file) if mode == "ab" else file

    real = Path.open
    monkeypatch.setattr(Path, "open", open_on_full_disk)
    with pytest.raises(ModelStoreError, match="The disk is full while writing .*free some space and pull again"):
        await store.pull(CARD)
    [part] = (store.folder / "tiny").glob("*.part")
    kept = part.stat().st_size
    assert kept > 0
    monkeypatch.undo()
    assert (await store.pull(CARD)).read_bytes() == DATA
    assert server.asked[-1] == (FILE, f"bytes={kept}-")


async def test_a_local_file_is_taken_in(server, store, tmp_path):
    mine = tmp_path / "mine.gguf"
    mine.write_bytes(made_up_model(seed=7))
    path = await store.pull(CARD, file=mine)
    assert path.name == "mine.gguf"
    assert path.read_bytes() == mine.read_bytes()
    assert store.record(CARD).source == "file"
    assert mine.is_file()
    mine.write_bytes(made_up_model(seed=8))
    assert (await store.pull(CARD, file=mine)).read_bytes() == mine.read_bytes()
    assert server.asked == []


async def test_half_a_copy_of_a_file_that_has_changed_is_not_used(store, tmp_path):
    def stop(progress: PullProgress) -> None:
        raise KeyError("stopped")

    mine = tmp_path / "mine.gguf"
    mine.write_bytes(made_up_model(1_500_000, seed=7))
    with pytest.raises(KeyError, match="stopped"):
        await store.pull(CARD, stop, file=mine)
    assert list((store.folder / "tiny").glob("*.part"))
    mine.write_bytes(made_up_model(1_500_000, seed=8))
    os.utime(mine, (1, 1))
    assert (await store.pull(CARD, file=mine)).read_bytes() == mine.read_bytes()


async def test_a_local_file_of_the_catalogues_name_has_to_be_that_file(store, tmp_path):
    mine = tmp_path / "t.gguf"
    mine.write_bytes(made_up_model(seed=7))
    with pytest.raises(ModelStoreError, match="has the checksum"):
        await store.pull(CARD, file=mine)
    mine.write_bytes(DATA[:-1])
    with pytest.raises(ModelStoreError, match="199999 bytes instead of 200000"):
        await store.pull(CARD, file=mine)
    with pytest.raises(ModelStoreError, match="there is no such file"):
        await store.pull(CARD, file=tmp_path / "none.gguf")


async def test_a_local_split_file_brings_its_parts_and_its_projector(store, tmp_path):
    for n in (1, 2):
        (tmp_path / f"big-0000{n}-of-00002.gguf").write_bytes(made_up_model(1000, seed=n))
    (tmp_path / "mmproj-big.gguf").write_bytes(made_up_model(500))
    card = ModelCard("big", vision=True)
    path = await store.pull(card, file=tmp_path / "big-00001-of-00002.gguf")
    assert path.name == "big-00001-of-00002.gguf"
    assert store.projector(card).name == "mmproj-big.gguf"
    assert len(store.record(card).files) == 3
    (tmp_path / "big-00002-of-00002.gguf").unlink()
    with pytest.raises(ModelStoreError, match=r"missing: big-00002-of-00002\.gguf"):
        await store.pull(card, file=tmp_path / "big-00001-of-00002.gguf")


async def test_a_path_is_a_model_without_the_store(store, tmp_path):
    mine = tmp_path / "qwen3-4b-q4_k_m.gguf"
    mine.write_bytes(b"GGUF")
    card = load_catalogue().get(str(mine))
    assert store.path(card) == mine
    assert await store.pull(card) == mine


async def test_the_record_is_plain_json(store):
    path = await store.pull(CARD)
    tree = json.loads((path.parent / "model.json").read_text())
    assert tree["name"] == "tiny"
    assert tree["files"] == [{"name": "t.gguf", "bytes": len(DATA), "sha256": sum_of(DATA), "kind": "model"}]


@pytest.mark.model
@pytest.mark.timeout(1800)
async def test_the_real_starter_model_is_whole():
    settings = Settings()
    store = ModelStore(settings.store_dir, SourceSettings.from_settings(settings))
    card = load_catalogue().get(STARTER_MODEL)
    path = await store.pull(card)
    assert path.stat().st_size == 491_400_064
    assert await store.verify(card, deep=True) == []
    assert store.record(card).files[0].sha256 == card.weights.sha256
