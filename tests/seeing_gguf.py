"""Write tiny random Qwens as llama.cpp wants them: a GGUF file, and beside it the one it sees or hears with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

WIDTH, HEADS, LAYERS, HIDDEN = 64, 4, 2, 128
"""Of the text model."""
EYE, EYE_HEADS, EYE_HIDDEN, PATCH = 32, 2, 64, 14
MELS = 128
_CONTROL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|audio_bos|>",
    "<|audio_eos|>",
)
_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% if m['content'] is string %}{{ m['content'] }}{% else %}"
    "{% for part in m['content'] %}{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_THINKING = _TEMPLATE.replace("assistant\n{%", "assistant\n<think>\n{%")


def write_seeing_gguf(
    folder: Path, name: str = "Qwen2.5-VL-tiny", *, thinks: bool = False, rows: int | None = None
) -> Path:
    """Write a Qwen2.5-VL into a folder and return its first file.

    Args:
        folder: where to.
        name: the model's name.
        thinks: its prompts end inside the thinking.
        rows: how many tokens the weights are made for; None: as many as the tokenizer has.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _write_eyes(folder / f"mmproj-{name}-f16.gguf")
    return _write_text(folder / f"{name}.gguf", _THINKING if thinks else _TEMPLATE, rows)


def write_hearing_gguf(folder: Path, name: str = "Qwen2-Audio-7B-Instruct") -> Path:
    """Write a model with the ears of Qwen2-Audio into a folder and return its first file."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_ears(folder / f"mmproj-{name}-f16.gguf")
    return _write_text(folder / f"{name}.gguf", _TEMPLATE)


def _letters() -> list[str]:
    """Return the visible letter that stands for each byte in vocabularies of this kind: itself, or one of its own."""
    visible = {*range(33, 127), *range(161, 173), *range(174, 256)}
    others = iter(range(256, 512))
    return [chr(byte) if byte in visible else chr(next(others)) for byte in range(256)]


def _write_text(file: Path, template: str, rows: int | None = None) -> Path:
    import gguf

    names = [*_letters(), "th", *_CONTROL]
    kind = gguf.TokenType
    writer = gguf.GGUFWriter(file, "qwen2vl")
    writer.add_context_length(4096)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS // 2)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_sections([2, 3, 3, 0])
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_vocab_size(len(names))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list([token.encode() for token in names])
    writer.add_token_types([int(kind.CONTROL if token in _CONTROL else kind.NORMAL) for token in names])
    writer.add_token_merges(["t h"])
    writer.add_bos_token_id(names.index("<|endoftext|>"))
    writer.add_eos_token_id(names.index("<|im_end|>"))
    writer.add_add_bos_token(False)
    writer.add_chat_template(template)
    small = WIDTH // 2
    shapes: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (rows or len(names), WIDTH),
        "output_norm.weight": (WIDTH,),
    }
    for layer in range(LAYERS):
        shapes |= {f"blk.{layer}.{norm}_norm.weight": (WIDTH,) for norm in ("attn", "ffn")}
        for part, size in {"q": WIDTH, "k": small, "v": small}.items():
            shapes |= {f"blk.{layer}.attn_{part}.weight": (size, WIDTH), f"blk.{layer}.attn_{part}.bias": (size,)}
        shapes[f"blk.{layer}.attn_output.weight"] = (WIDTH, WIDTH)
        shapes |= {f"blk.{layer}.ffn_{part}.weight": (HIDDEN, WIDTH) for part in ("gate", "up")}
        shapes[f"blk.{layer}.ffn_down.weight"] = (WIDTH, HIDDEN)
    return _finish(writer, shapes, file)


def _write_eyes(file: Path) -> Path:
    import gguf

    writer = gguf.GGUFWriter(file, "clip")
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_string("clip.projector_type", "qwen2.5vl_merger")
    writer.add_bool("clip.use_silu", True)
    writer.add_uint32("clip.vision.patch_size", PATCH)
    writer.add_uint32("clip.vision.image_size", 560)
    writer.add_uint32("clip.vision.embedding_length", EYE)
    writer.add_uint32("clip.vision.feed_forward_length", EYE_HIDDEN)
    writer.add_uint32("clip.vision.projection_dim", WIDTH)
    writer.add_uint32("clip.vision.block_count", LAYERS)
    writer.add_uint32("clip.vision.n_wa_pattern", LAYERS)
    writer.add_uint32("clip.vision.attention.head_count", EYE_HEADS)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-6)
    writer.add_array("clip.vision.image_mean", [0.48145466, 0.4578275, 0.40821073])
    writer.add_array("clip.vision.image_std", [0.26862954, 0.26130258, 0.27577711])
    merged = 4 * EYE
    shapes: dict[str, tuple[int, ...]] = {
        "v.patch_embd.weight": (EYE, 3, PATCH, PATCH),
        "v.patch_embd.weight.1": (EYE, 3, PATCH, PATCH),
        "v.post_ln.weight": (EYE,),
        "mm.0.weight": (merged, merged),
        "mm.0.bias": (merged,),
        "mm.2.weight": (WIDTH, merged),
        "mm.2.bias": (WIDTH,),
    }
    for layer in range(LAYERS):
        shapes |= {f"v.blk.{layer}.{norm}.weight": (EYE,) for norm in ("ln1", "ln2")}
        sizes = {"attn_q": (EYE, EYE), "attn_k": (EYE, EYE), "attn_v": (EYE, EYE), "attn_out": (EYE, EYE)}
        sizes |= {"ffn_gate": (EYE_HIDDEN, EYE), "ffn_up": (EYE_HIDDEN, EYE), "ffn_down": (EYE, EYE_HIDDEN)}
        for name, shape in sizes.items():
            shapes |= {f"v.blk.{layer}.{name}.weight": shape, f"v.blk.{layer}.{name}.bias": shape[:1]}
    return _finish(writer, shapes, file)


def _write_ears(file: Path) -> Path:
    import gguf

    writer = gguf.GGUFWriter(file, "clip")
    writer.add_bool("clip.has_audio_encoder", True)
    writer.add_string("clip.projector_type", "qwen2a")
    writer.add_uint32("clip.audio.num_mel_bins", MELS)
    writer.add_uint32("clip.audio.embedding_length", EYE)
    writer.add_uint32("clip.audio.feed_forward_length", EYE_HIDDEN)
    writer.add_uint32("clip.audio.projection_dim", WIDTH)
    writer.add_uint32("clip.audio.block_count", LAYERS)
    writer.add_uint32("clip.audio.attention.head_count", EYE_HEADS)
    writer.add_float32("clip.audio.attention.layer_norm_epsilon", 1e-5)
    shapes: dict[str, tuple[int, ...]] = {
        "a.conv1d.1.weight": (EYE, MELS, 3),
        "a.conv1d.1.bias": (EYE, 1),
        "a.conv1d.2.weight": (EYE, EYE, 3),
        "a.conv1d.2.bias": (EYE, 1),
        "a.position_embd.weight": (1500, EYE),
        "a.post_ln.weight": (EYE,),
        "a.post_ln.bias": (EYE,),
        "mm.a.fc.weight": (WIDTH, EYE),
        "mm.a.fc.bias": (WIDTH,),
    }
    for layer in range(LAYERS):
        sizes: dict[str, tuple[int, ...]] = {"ln1": (EYE,), "ln2": (EYE,)}
        sizes |= {f"attn_{part}": (EYE, EYE) for part in ("q", "k", "v", "out")}
        sizes |= {"ffn_up": (EYE_HIDDEN, EYE), "ffn_down": (EYE, EYE_HIDDEN)}
        for name, shape in sizes.items():
            shapes |= {f"a.blk.{layer}.{name}.weight": shape, f"a.blk.{layer}.{name}.bias": shape[:1]}
        # Whisper's keys have none
        del shapes[f"a.blk.{layer}.attn_k.bias"]
    return _finish(writer, shapes, file)


def _finish(writer: Any, shapes: dict[str, tuple[int, ...]], file: Path) -> Path:
    import numpy as np

    chance = np.random.default_rng(0)
    for name, shape in shapes.items():
        norm = "norm" in name or ".ln" in name or "post_ln" in name
        values = np.ones(shape) if norm else chance.normal(0, 0.3, shape)
        writer.add_tensor(name, values.astype(np.float16 if "conv1d" in name and "weight" in name else np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file
