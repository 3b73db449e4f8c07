"""Write tiny real models that play a script: what comes next depends on the last token alone.

All layers are zero, so a token's own vector reaches the output untouched, and the output's weights are the table of
what follows what. The same script becomes a GGUF file for llama.cpp and Ollama, or a folder for transformers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

END = "</s>"
_TAGS = ("<think>", "</think>")
_TEMPLATE = "{% for m in messages %}{{ m['content'] }}{% endfor %}{% if enable_thinking is defined %}{% endif %}"
_SPARE = 4
_BYTES = 3
"""Where the tokens of single bytes begin."""


@dataclass
class Play:
    """The tokens of a script, and which of them follows which."""

    tokens: list[str] = field(default_factory=list)
    """Triggers, tags and pieces of replies; control and byte tokens stand before them."""
    follows: dict[int, int] = field(default_factory=dict)

    def number(self, token: str) -> int:
        if token == END:
            return 2
        if token == "\n":
            return _BYTES + ord("\n")
        return _BYTES + 256 + self.tokens.index(token)

    @property
    def size(self) -> int:
        """Number of tokens, with room for those that transformers adds by itself."""
        return _BYTES + 256 + len(self.tokens) + _SPARE

    @property
    def width(self) -> int:
        return -(-self.size // 64) * 64


def play_of(script: dict[str, str]) -> Play:
    """Cut replies into pieces; each occurs once in all of them, because a token has only one that follows it."""
    play = Play([*(trigger for trigger in script if trigger != "\n"), *_TAGS])
    for trigger, reply in script.items():
        last = trigger
        for piece in _pieces(reply, play):
            play.follows[play.number(last)] = play.number(piece)
            last = piece
        play.follows[play.number(last)] = play.number(END)
    return play


def _pieces(reply: str, play: Play) -> list[str]:
    pieces: list[str] = []
    for part in re.split(f"({'|'.join(_TAGS)})", reply):
        if part in _TAGS:
            pieces.append(part)
        elif part:
            pieces += _cut(part, play)
    return pieces


def _cut(text: str, play: Play) -> list[str]:
    found: list[str] = []
    start = 0
    while start < len(text):
        end = next((e for e in range(start + 3, len(text) + 1) if text[start:e] not in play.tokens), len(text))
        # a tail that is short or taken goes to the piece before it
        if end == len(text) and (text[start:end] in play.tokens or end - start < 3):
            assert found, f"{text!r} is too much like another reply"
            play.tokens[play.tokens.index(found[-1])] += text[start:]
            found[-1] += text[start:]
            break
        found.append(text[start:end])
        play.tokens.append(text[start:end])
        start = end
    return found


def _tables(play: Play) -> tuple[Any, Any]:
    """Return the vectors of the tokens and the output's weights."""
    import numpy as np

    vectors = np.eye(play.size, play.width, dtype=np.float32)
    output = np.zeros((play.size, play.width), np.float32)
    for token in range(play.size):
        output[play.follows.get(token, 2), token] = 1.0
    return vectors, output


def write_gguf(script: dict[str, str], file: Path) -> Path:
    """Write a GGUF file for llama.cpp."""
    import gguf
    import numpy as np

    play = play_of(script)
    kind, width = gguf.TokenType, play.width
    names = ["<unk>", "<s>", END, *(f"<0x{byte:02X}>" for byte in range(256)), *play.tokens]
    names += [f"<unused{n}>" for n in range(_SPARE)]
    kinds = [
        kind.UNKNOWN,
        kind.CONTROL,
        kind.CONTROL,
        *[kind.BYTE] * 256,
        *[kind.USER_DEFINED] * (len(play.tokens) + _SPARE),
    ]
    writer = gguf.GGUFWriter(file, "llama")
    writer.add_context_length(8192)
    writer.add_embedding_length(width)
    writer.add_block_count(1)
    writer.add_feed_forward_length(64)
    writer.add_head_count(width // 64)
    writer.add_head_count_kv(1)
    writer.add_rope_dimension_count(64)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(play.size)
    writer.add_tokenizer_model("llama")
    writer.add_token_list([name.encode() for name in names])
    writer.add_token_scores([-1e4] * play.size)
    writer.add_token_types([int(one) for one in kinds])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    writer.add_add_bos_token(False)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(_TEMPLATE)
    vectors, output = _tables(play)
    tensors = {"token_embd": vectors, "output": output, "output_norm": np.ones(width, np.float32)}
    tensors |= {f"blk.0.{name}_norm": np.ones(width, np.float32) for name in ("attn", "ffn")}
    shapes = {"attn_q": (width, width), "attn_k": (64, width), "attn_v": (64, width), "attn_output": (width, width)}
    shapes |= {"ffn_gate": (64, width), "ffn_up": (64, width), "ffn_down": (width, 64)}
    tensors |= {f"blk.0.{name}": np.zeros(shape, np.float32) for name, shape in shapes.items()}
    for name, tensor in tensors.items():
        writer.add_tensor(f"{name}.weight", tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def write_folder(script: dict[str, str], folder: Path) -> Path:
    """Write a folder of safetensors for transformers, as a Qwen2."""
    import torch
    from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

    play = play_of(script)
    config = Qwen2Config(
        vocab_size=play.size,
        hidden_size=play.width,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=play.width // 64,
        num_key_value_heads=1,
        max_position_embeddings=8192,
        tie_word_embeddings=False,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
    )
    model = Qwen2ForCausalLM(config)
    vectors, output = _tables(play)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.fill_(1.0 if "norm" in name else 0.0)
        model.model.embed_tokens.weight.copy_(torch.from_numpy(vectors))
        model.lm_head.weight.copy_(torch.from_numpy(output))
    model.save_pretrained(folder)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=_tokenizer(play), eos_token=END, chat_template=_TEMPLATE)
    tokenizer.save_pretrained(folder)
    return folder


def _tokenizer(play: Play) -> Any:
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    letters = bytes_to_unicode()
    names = ["<unk>", "<s>", END, *(letters[byte] for byte in range(256)), *play.tokens]
    tokenizer = Tokenizer(models.BPE(vocab={name: number for number, name in enumerate(names)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in ("<unk>", "<s>", END)])
    tokenizer.add_tokens([AddedToken(token, normalized=False) for token in play.tokens])
    return tokenizer
