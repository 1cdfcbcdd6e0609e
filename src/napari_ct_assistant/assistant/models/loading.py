"""Find a model, put it on a device, and read scans with it."""

from __future__ import annotations

import ctypes
import gc
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, cast

import torch
from safetensors import SafetensorError
from transformers.utils import logging as transformers_logging

from napari_ct_assistant.assistant.models.download import pinned_snapshot
from napari_ct_assistant.assistant.models.installed import imported_snapshot
from napari_ct_assistant.assistant.models.memory import check_room, free_bytes
from napari_ct_assistant.assistant.models.options import (
    DTYPES,
    LoadOptions,
    NotEnoughMemoryError,
    Remedy,
)
from napari_ct_assistant.assistant.models.quantization import Quantize, quantization_config
from napari_ct_assistant.assistant.models.sizes import QUESTION_TOKENS
from napari_ct_assistant.assistant.reading.generation import GenerationSettings
from napari_ct_assistant.assistant.reading.ood import OutOfDistributionDetector
from napari_ct_assistant.assistant.reading.reading import Reading
from napari_ct_assistant.assistant.reading.results import ModelInfo, ModelLoadError
from napari_ct_assistant.model.configuration import VolumeLanguageConfig
from napari_ct_assistant.model.folder import WEIGHTS, check_folder, check_tensors
from napari_ct_assistant.model.modeling import VolumeLanguageModel
from napari_ct_assistant.model.processor import VolumeLanguageProcessor
from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.volume import CTVolume


class Assistant:
    """A model on a device.

    Parameters
    ----------
    model, processor
        As `load_assistant` loads them.
    info : ModelInfo
    familiarity : OutOfDistributionDetector, optional
        What the training scans looked like to the encoder.
    settings : GenerationSettings, optional
    """

    def __init__(
        self,
        model: VolumeLanguageModel,
        processor: VolumeLanguageProcessor,
        info: ModelInfo,
        *,
        familiarity: OutOfDistributionDetector | None = None,
        settings: GenerationSettings | None = None,
    ):
        self.model: VolumeLanguageModel | None = model.eval()
        self.processor = processor
        self.info = info
        self.familiarity = familiarity
        self.settings = settings or GenerationSettings()

    @property
    def device(self) -> str:
        """Where the model is, e.g. "cpu" or "cuda:0"; "closed" after `close`."""
        return "closed" if self.model is None else str(self.model.device)

    def read(self, volume: CTVolume, *, progress: Callable[[str], None] | None = None) -> Reading:
        """Encode a scan once; everything asked of the reading reuses it.

        Parameters
        ----------
        volume : CTVolume
        progress
            Called with a short sentence before each step.
        """
        if self.model is None:
            raise ModelLoadError(f"{self.info.name}: this model was closed; load it again")
        return Reading(self, volume, progress=progress)

    def close(self) -> None:
        """Free the model's memory."""
        self.model = None
        free_memory()


def load_assistant(
    model: str | Path = "demo",
    *,
    device: str | None = None,
    settings: GenerationSettings | None = None,
    dtype: str | None = None,
    quantize: Quantize | None = None,
    device_map: Literal["auto"] | None = None,
) -> Assistant:
    """Load a model from this machine. Nothing is downloaded.

    Parameters
    ----------
    model
        "demo" (bundled), a local folder, or the hub id of a model downloaded before.
    device
        "cpu", "cuda", "cuda:1", "mps"; the best there is when absent.
    settings : GenerationSettings, optional
    dtype
        "float32", "bfloat16" or "float16", or "fp32", "bf16", "fp16"; the best for the device
        when absent.
    quantize
        The language model's weights in 8 or 4 bits (needs bitsandbytes or torchao).
    device_map
        "auto" keeps what the device cannot hold in the computer's memory (needs accelerate).

    Raises
    ------
    ModelLoadError
        One line with the model's name and what to do: also where it does not fit in memory.
    """
    name = str(model)
    folder = find_model(model)
    place = _device(device, name)
    precision = _dtype(dtype, place, name)
    headers = check_folder(folder, name)
    how: dict[str, Any] = {}
    if quantize is not None:
        how["quantization_config"] = quantization_config(quantize, precision, name)
        how["device_map"] = {"": place}
    if device_map is not None:
        how["device_map"] = _device_map(device_map, name)
        if device is not None:
            raise ModelLoadError(
                f"{name}: device_map='auto' chooses the places itself; leave device {device!r} out"
            )
    # A bar for weights that are read in a second is noise in a terminal and in a log.
    transformers_logging.disable_progress_bar()
    try:
        config = VolumeLanguageConfig.from_pretrained(folder, local_files_only=True)
        check_tensors({key: header.shape for key, header in headers.items()}, config, name)
        processor = VolumeLanguageProcessor.from_pretrained(folder, local_files_only=True)
        check_room(
            name,
            headers,
            config,
            place,
            precision,
            quantize=quantize,
            offload=device_map is not None,
            tokens=processor.num_image_tokens + QUESTION_TOKENS + processor.max_new_tokens,
        )
        network = _network(folder, config, precision, place, how)
    except ModelLoadError:
        raise
    except torch.OutOfMemoryError as error:
        # The frames that the error came through hold what was loaded so far.
        traceback.clear_frames(error.__traceback__)
        free_memory()
        remedies = [Remedy("quantize", "8bit")] if quantize is None else []
        if device_map is None and place.type == "cuda":
            remedies.append(Remedy("device_map", "auto"))
        raise NotEnoughMemoryError(
            f"{name}: does not fit in the memory of {place.type}; close other programs",
            tuple(remedies),
        ) from error
    except (
        OSError,
        ValueError,
        TypeError,
        KeyError,
        RuntimeError,
        ImportError,
        SafetensorError,
    ) as error:
        reason = " ".join(str(error).split())[:300]
        raise ModelLoadError(
            f"{name}: cannot be loaded: {reason or type(error).__name__}"
        ) from error
    info = ModelInfo(
        # A local folder's own name, not the path to it: the path may name a person.
        name=folder.resolve().name if Path(name).expanduser() == folder else name,
        trained_on=config.trained_on,
        notice=config.notice,
        findings=FINDINGS,
        unreliable_findings=tuple(config.unreliable_findings),
        files=tuple(sorted(folder.glob(WEIGHTS))),
        skills=tuple(config.skills),
    )
    return Assistant(
        network,
        processor,
        info,
        familiarity=OutOfDistributionDetector.load(folder),
        settings=settings,
    )


def _network(
    folder: Path,
    config: VolumeLanguageConfig,
    dtype: torch.dtype,
    place: torch.device,
    how: dict[str, Any],
) -> VolumeLanguageModel:
    """Build the network; a frame of its own, so that a load cut short keeps no tensor."""
    network = VolumeLanguageModel.from_pretrained(
        folder,
        config=config,
        dtype=dtype,
        use_safetensors=True,
        local_files_only=True,
        **how,
    )
    return network if how else network.to(place)


@dataclass(frozen=True)
class LoadTarget:
    """Where a model would be loaded, and how.

    Attributes
    ----------
    device, dtype : str
        As torch calls them.
    width : int
        Bytes of a value.
    free : int or None
        Bytes free there; None where that cannot be asked.
    """

    device: str
    dtype: str
    width: int
    free: int | None


def load_target(options: LoadOptions) -> LoadTarget:
    """Return where a model would be loaded with these options, and what is free there now.

    Raises
    ------
    ModelLoadError
        If torch cannot use the device.
    """
    device = _device(options.device, "load options")
    dtype = _dtype(options.dtype, device, "load options")
    free = free_bytes(device)
    if options.device_map is not None and device.type == "cuda" and free is not None:
        free += free_bytes(torch.device("cpu")) or 0
    return LoadTarget(device.type, str(dtype).removeprefix("torch."), dtype.itemsize, free)


def find_model(model: str | Path) -> Path:
    """Return the folder of a model on this machine.

    Raises
    ------
    ModelLoadError
        If there is none.
    """
    name = str(model)
    if name == "demo":
        return Path(str(files("napari_ct_assistant").joinpath("bundled", "demo")))
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder
    if folder.exists():
        raise ModelLoadError(f"{name}: is a file; give the model's folder")
    snapshot = imported_snapshot(name) or pinned_snapshot(name)
    if snapshot is None:
        raise ModelLoadError(
            f"{name}: not a folder and not a downloaded model; give 'demo', a model folder, "
            f"or download it first"
        )
    return snapshot


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


def free_memory() -> None:
    """Give back to the device, and to the computer, what nothing uses any more."""
    gc.collect()
    if sys.platform == "linux":
        # The C library keeps freed pieces for itself until it is asked.
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _device(device: str | None, name: str) -> torch.device:
    """Return the device called so; `ModelLoadError` where torch cannot use it here."""
    if device is None:
        return best_device()
    try:
        torch.empty(1, device=device)
    except (AssertionError, RuntimeError) as error:  # torch raises either
        reason = str(error).partition("\n")[0]
        raise ModelLoadError(
            f"{name}: device {device}: {reason}; leave it out for the best there is"
        ) from error
    return torch.device(device)


def _dtype(dtype: str | None, device: torch.device, name: str) -> torch.dtype:
    if dtype is None:
        return best_dtype(device)
    full = DTYPES.get(dtype, dtype)
    if full not in DTYPES.values():
        known = ", ".join(DTYPES.values())
        raise ModelLoadError(f"{name}: dtype is {dtype!r}; give one of {known}")
    return cast("torch.dtype", getattr(torch, full))


def _device_map(device_map: str, name: str) -> str:
    if device_map != "auto":
        raise ModelLoadError(f"{name}: device_map is {device_map!r}; give 'auto' or leave it out")
    if find_spec("accelerate") is None:
        raise ModelLoadError(f"{name}: device_map='auto' needs accelerate: pip install accelerate")
    return device_map
