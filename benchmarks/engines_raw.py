"""The libraries under the embedded engines, alone: what ``benchmarks.engines`` measures the engines against."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from langchain_core.messages import HumanMessage

from qwendesk.engines.chat import GenerationOptions
from qwendesk.models.card import Sampling
from qwendesk.settings import Settings


class RawLlama:
    """The server object of a loaded llama.cpp, called in this process without HTTP."""

    def __init__(self, server: Any, body: dict[str, Any]) -> None:
        self._server, self._body = server, body

    @classmethod
    async def under(cls, chat: Any, text: str, tokens: int, sampling: dict[str, Any]) -> RawLlama:
        """Return the library under an engine's chat model, with the same request."""
        options = GenerationOptions(Sampling(**sampling), max_tokens=tokens)
        body = await chat.completion([HumanMessage(text)], options)
        return cls(chat.server.library, body | {"stream": True})

    def seconds(self) -> float:
        """Return how long the whole answer takes."""
        begun = time.perf_counter()
        self._server.handle_completions(json.dumps(self._body), lambda _: None)
        return time.perf_counter() - begun

    def rate(self) -> float:
        """Return the tokens a second from the first token to the last."""
        times: list[float] = []
        self._server.handle_completions(json.dumps(self._body), lambda _: times.append(time.perf_counter()))
        # each piece is a token, but the last, which is empty
        return (len(times) - 2) / (times[-2] - times[0])


class Library:
    """The same weights under transformers alone, loaded as the engine loads them."""

    def __init__(self, folder: str, threads: int) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        from qwendesk.engines.transformers.device import Device

        place = Device.from_settings(Settings(home=Path(folder)))
        self._threads = threads
        self._tokenizer = AutoTokenizer.from_pretrained(folder)
        model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=place.dtype, attn_implementation="sdpa")
        self._model = model.eval()

    def one(self, text: str, tokens: int) -> float:
        """Return the tokens a second of a bare loop over the model, from the first token to the last."""
        import torch

        torch.set_num_threads(self._threads)
        with torch.inference_mode():
            out = self._model(**self._prompt(text), use_cache=True, logits_to_keep=1)
            begun = time.perf_counter()
            for _ in range(tokens - 1):
                token = out.logits[:, -1].argmax(-1, keepdim=True)
                out = self._model(
                    input_ids=token, past_key_values=out.past_key_values, use_cache=True, logits_to_keep=1
                )
            return (tokens - 1) / (time.perf_counter() - begun)

    def many(self, texts: list[str], tokens: int) -> float:
        """Return the tokens a second of one ``generate`` after the other."""
        import torch

        torch.set_num_threads(self._threads)
        begun, made = time.perf_counter(), 0
        for text in texts:
            prompt = self._prompt(text)
            out = self._model.generate(**prompt, max_new_tokens=tokens, do_sample=False, pad_token_id=0)
            made += out.shape[1] - prompt["input_ids"].shape[1]
        return made / (time.perf_counter() - begun)

    def _prompt(self, text: str) -> Any:
        chat = [{"role": "user", "content": text}]
        return self._tokenizer.apply_chat_template(chat, return_tensors="pt", return_dict=True)


def random_model(folder: Path) -> Path:
    """Write a Qwen2 of about 200 million random weights, with a tokenizer of single bytes."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM
    from transformers.utils import logging

    untyped: Any = logging
    untyped.disable_progress_bar()
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(letters)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    template = "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '\n' }}{% endfor %}"
    made: Any = PreTrainedTokenizerFast
    wrapped = made(tokenizer_object=tokenizer, eos_token="<|im_end|>", chat_template=template)
    config = Qwen2Config(
        vocab_size=1024,
        hidden_size=896,
        intermediate_size=4864,
        num_hidden_layers=12,
        num_attention_heads=14,
        num_key_value_heads=2,
        max_position_embeddings=16384,
        tie_word_embeddings=False,
        eos_token_id=wrapped.eos_token_id,
    )
    torch.manual_seed(0)
    model = Qwen2ForCausalLM(config)
    with torch.no_grad():
        # only letters are answered: an answer that ends by itself, or shows nothing, could not be timed
        model.lm_head.weight[97:].zero_()
        model.lm_head.weight[:33].zero_()
    model.save_pretrained(folder)
    wrapped.save_pretrained(folder)
    return folder
