"""Does a model fit? What it needs, counted from its files' headers, against what is free now."""

from __future__ import annotations

import ctypes
import sys
import traceback

import torch

from napari_ct_assistant.backends.loading.options import NotEnoughMemoryError, Remedy
from napari_ct_assistant.backends.loading.sizes import QUANTIZED, Counts
from napari_ct_assistant.support.collector import collect_everything
from napari_ct_assistant.support.memory import available_memory
from napari_ct_assistant.support.translation import said


def free_bytes(device: torch.device) -> int | None:
    """Return the free memory of a device in bytes; None where it cannot be asked for."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        # Memory that torch has reserved and does not use is free for a model, too.
        return int(free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device))
    if device.type in {"cpu", "mps"}:  # Apple's GPUs share the computer's memory
        return available_memory()
    return None


def check_memory(
    name: str,
    counts: Counts,
    device: torch.device,
    dtype: torch.dtype,
    *,
    quantize: str | None = None,
    offload: bool = False,
    tokens: int = 1024,
) -> None:
    """Refuse a model that does not fit, and name the remedies.

    Parameters
    ----------
    name : str
        Of the model, for the error.
    counts : Counts
        Of its tensors.
    device : torch.device
    dtype, quantize, tokens
        As for `Counts.need`.
    offload : bool
        What the device cannot hold goes to the computer's memory (`device_map="auto"`).

    Raises
    ------
    NotEnoughMemoryError
        With what the model needs, what is free, and the options with which it would fit.
    """
    free = free_bytes(device)
    if free is None:
        return
    computer = available_memory()
    if offload and device.type == "cuda":
        free += computer
    need = counts.need(dtype.itemsize, quantize=quantize, tokens=tokens).total
    if need <= free:
        return
    kind = quantize or str(dtype).removeprefix("torch.")
    half = counts.need(torch.bfloat16.itemsize, tokens=tokens).total
    remedies: list[Remedy] = []
    if quantize is None:
        if dtype == torch.float32 and half <= free:
            remedies.append(Remedy("dtype", "bfloat16", half))
        for smaller in QUANTIZED:
            size = counts.need(2, quantize=smaller, tokens=tokens).total
            if size <= free:
                remedies.append(Remedy("quantize", smaller, size))
                break
    if device.type == "cuda" and not offload:
        if half <= free + computer:
            kept = ", which keeps a part in the computer's memory (slow)"
            remedies.append(Remedy("device_map", "auto", remark=kept))
        whole = counts.need(torch.float32.itemsize, tokens=tokens).total
        if whole <= computer:
            remedies.append(Remedy("device", "cpu", whole))
    raise NotEnoughMemoryError(
        said(
            "{name}: needs about {number} GB in {kind} on {type}, {number2} GB are free; close "
            "other programs or use a smaller model",
            name=name,
            number=f"{need / 1000000000.0:.1f}",
            kind=kind,
            type=device.type,
            number2=f"{free / 1000000000.0:.1f}",
        ),
        tuple(remedies),
    )


def out_of_memory(
    error: torch.OutOfMemoryError,
    name: str,
    device: torch.device,
    *,
    eight_bit: bool = False,
    spread: bool = False,
) -> NotEnoughMemoryError:
    """Free what was loaded before memory ran out, and return the error to raise.

    Parameters
    ----------
    error : torch.OutOfMemoryError
        What ended the loading.
    name : str
        Of the model.
    device : torch.device
    eight_bit, spread : bool
        Whether 8-bit weights, and a GPU model spread over GPU and computer memory, can still be
        chosen.
    """
    # The frames that the error came through hold what was loaded so far.
    traceback.clear_frames(error.__traceback__)
    free_memory()
    remedies = [Remedy("quantize", "8bit")] if eight_bit else []
    if spread and device.type == "cuda":
        remedies.append(Remedy("device_map", "auto"))
    return NotEnoughMemoryError(
        said(
            "{name}: does not fit in the memory of {type}; close other programs",
            name=name,
            type=device.type,
        ),
        tuple(remedies),
    )


def free_memory() -> None:
    """Return unused memory to the device and to the operating system."""
    collect_everything()
    if sys.platform == "linux":
        # The C library keeps freed memory until it is asked to return it.
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
