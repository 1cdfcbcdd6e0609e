"""Where a model is loaded and in which precision it computes."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from typing import cast

import torch

from napari_ct_assistant.backends.loading.memory import free_bytes
from napari_ct_assistant.backends.loading.options import DTYPES, LoadOptions
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.support.translation import said


def find_device(device: str | None, name: str) -> torch.device:
    """Return a device by torch's name for it, the best of this machine when absent.

    Raises
    ------
    ModelLoadError
        If torch cannot use it here; the line begins with `name`, the model's.
    """
    if device is None:
        return best_device()
    try:
        torch.empty(1, device=device)
    except (AssertionError, RuntimeError) as error:  # torch raises either
        reason = str(error).partition("\n")[0]
        raise ModelLoadError(
            said(
                "{name}: device {device}: {reason}; leave it out to use the best device",
                name=name,
                device=device,
                reason=reason,
            )
        ) from error
    return torch.device(device)


def find_dtype(dtype: str | None, device: torch.device, name: str) -> torch.dtype:
    """Return a precision by its short or long name, the best for the device when absent.

    Raises
    ------
    ModelLoadError
        If it is none of `DTYPES`; the line begins with `name`, the model's.
    """
    if dtype is None:
        return best_dtype(device)
    full = DTYPES.get(dtype, dtype)
    if full not in DTYPES.values():
        known = ", ".join(DTYPES.values())
        raise ModelLoadError(
            said(
                "{name}: dtype is {dtype}; give one of {known}",
                name=name,
                dtype=repr(dtype),
                known=known,
            )
        )
    return cast("torch.dtype", getattr(torch, full))


def check_device_map(device_map: str, device: str | None, name: str) -> None:
    """Raise `ModelLoadError` unless it is "auto", no device is named and accelerate is there."""
    if device_map != "auto":
        raise ModelLoadError(
            said(
                "{name}: device_map is {device_map}; give 'auto' or leave it out",
                name=name,
                device_map=repr(device_map),
            )
        )
    if find_spec("accelerate") is None:
        raise ModelLoadError(
            said("{name}: device_map='auto' needs accelerate: pip install accelerate", name=name)
        )
    if device is not None:
        raise ModelLoadError(
            said(
                "{name}: device_map='auto' and device {device} exclude each other; leave one out",
                name=name,
                device=repr(device),
            )
        )


def best_device() -> torch.device:
    """Return the fastest device that torch can use here."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def best_dtype(device: torch.device) -> torch.dtype:
    """Return fp32 on CPU, bf16 on GPUs that have it, else fp16."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return torch.float32


@dataclass(frozen=True)
class LoadTarget:
    """Where a model would be loaded, and in which precision.

    Attributes
    ----------
    device, dtype : str
        As torch calls them.
    itemsize : int
        Bytes of one value.
    free : int or None
        Free bytes there; None where they cannot be asked for.
    """

    device: str
    dtype: str
    itemsize: int
    free: int | None


def load_target(options: LoadOptions) -> LoadTarget:
    """Return where a model would be loaded with these options, and what is free there now.

    Raises
    ------
    ModelLoadError
        If torch cannot use the device.
    """
    device = find_device(options.device, "load options")
    dtype = find_dtype(options.dtype, device, "load options")
    free = free_bytes(device)
    if options.device_map is not None and device.type == "cuda" and free is not None:
        free += free_bytes(torch.device("cpu")) or 0
    return LoadTarget(device.type, str(dtype).removeprefix("torch."), dtype.itemsize, free)
