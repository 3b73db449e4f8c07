"""The device of a model, its number format, and the memory available there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psutil
import torch

from qwendesk.errors import EngineError
from qwendesk.settings import Settings

_MEMORY_FRACTION = 0.8
"""Fraction of the free memory that models may take."""
_CPU_INFO = Path("/proc/cpuinfo")
_BFLOAT16_FLAGS = frozenset({"avx512_bf16", "amx_tile"})
"""The features of CPUs with instructions for bfloat16."""


@dataclass(frozen=True, slots=True)
class Device:
    """A device, and the number format of weights there."""

    device: str
    dtype: torch.dtype
    quantize: Literal["8bit", "4bit"] | None = None

    @classmethod
    def from_settings(cls, settings: Settings) -> Device:
        """Return the device of the settings, by default the best one of this machine.

        Raises:
            EngineError: the machine does not have the device, or it cannot quantize.
        """
        device = settings.device or _best_device()
        if device.startswith("cuda") and not torch.cuda.is_available():
            raise EngineError(f"This machine has no device {device!r}: unset QWENDESK_DEVICE to use the available one.")
        if settings.quantize and not device.startswith("cuda"):
            raise EngineError(
                f"Weights of {settings.quantize} need an NVIDIA GPU, and the device is {device!r}: unset "
                "QWENDESK_QUANTIZE, or use a quantised GGUF file with the engine 'llamacpp'."
            )
        named = settings.dtype
        dtype: torch.dtype = getattr(torch, named) if named else _best_dtype(device)
        return cls(device, dtype, settings.quantize)

    @property
    def bytes_per_parameter(self) -> float:
        """Bytes of one weight."""
        return {"8bit": 1.1, "4bit": 0.6}.get(self.quantize or "", float(self.dtype.itemsize))

    def free_bytes(self) -> int:
        """Return the memory in bytes that a model may take now."""
        if self.device.startswith("cuda"):
            free = torch.cuda.mem_get_info(self.device)[0]
        else:
            free = psutil.virtual_memory().available
        return int(free * _MEMORY_FRACTION)

    def quantization(self) -> Any:
        """Return transformers' quantization settings; None without quantization."""
        if self.quantize is None:
            return None
        import transformers

        try:
            import bitsandbytes  # noqa: F401 - imported for a clear error
        except ImportError as error:
            raise EngineError("QWENDESK_QUANTIZE needs bitsandbytes: pip install bitsandbytes") from error
        made: Any = transformers.BitsAndBytesConfig
        if self.quantize == "8bit":
            return made(load_in_8bit=True)
        return made(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
        )


def _best_device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _best_dtype(device: str) -> torch.dtype:
    if device.startswith("cuda"):
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    if device.startswith("mps"):
        return torch.float16
    return torch.bfloat16 if _has_native_bfloat16() else torch.float32


def _has_native_bfloat16() -> bool:
    """Return whether the CPU computes in bfloat16; other CPUs emulate it slowly."""
    try:
        flags = _CPU_INFO.read_text("utf-8", errors="replace")
    except OSError:  # only Linux lists the CPU's features in a file
        return False
    return not _BFLOAT16_FLAGS.isdisjoint(flags.split())
