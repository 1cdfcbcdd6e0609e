"""Find a model, put it on a device, and read scans with it."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError
from safetensors import SafetensorError
from transformers.utils import logging as transformers_logging

from napari_ct_assistant.assistant.familiarity import Familiarity
from napari_ct_assistant.assistant.generation import GenerationSettings
from napari_ct_assistant.assistant.reading import Reading
from napari_ct_assistant.assistant.results import ModelInfo, ModelLoadError
from napari_ct_assistant.findings import FINDINGS
from napari_ct_assistant.model.configuration import VolumeLanguageConfig
from napari_ct_assistant.model.modeling import VolumeLanguageModel
from napari_ct_assistant.model.processor import VolumeLanguageProcessor
from napari_ct_assistant.volume import CTVolume


class Assistant:
    """A model on a device.

    Parameters
    ----------
    model, processor
        As `load_assistant` loads them.
    info : ModelInfo
    familiarity : Familiarity, optional
        What the training scans looked like to the encoder.
    settings : GenerationSettings, optional
    """

    def __init__(
        self,
        model: VolumeLanguageModel,
        processor: VolumeLanguageProcessor,
        info: ModelInfo,
        *,
        familiarity: Familiarity | None = None,
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
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def load_assistant(
    model: str | Path = "demo",
    *,
    device: str | None = None,
    settings: GenerationSettings | None = None,
) -> Assistant:
    """Load a model from this machine. Nothing is downloaded.

    Parameters
    ----------
    model
        "demo" (bundled), a local folder, or the hub id of a model downloaded before.
    device
        "cpu", "cuda", "cuda:1", "mps"; the best there is when absent.
    settings : GenerationSettings, optional

    Raises
    ------
    ModelLoadError
        One line with the model's name and what to do.
    """
    name = str(model)
    folder = find_model(model)
    place = torch.device(device) if device else best_device()
    _check_folder(folder, name)
    # A bar for weights that are read in a second is noise in a terminal and in a log.
    transformers_logging.disable_progress_bar()
    try:
        config = VolumeLanguageConfig.from_pretrained(folder, local_files_only=True)
        network = VolumeLanguageModel.from_pretrained(
            folder,
            config=config,
            dtype=best_dtype(place),
            use_safetensors=True,
            local_files_only=True,
        ).to(place)
        processor = VolumeLanguageProcessor.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, TypeError, KeyError, RuntimeError, SafetensorError) as error:
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
        untaught=tuple(config.untaught_findings),
        files=tuple(sorted(folder.glob("model*.safetensors"))),
    )
    return Assistant(
        network, processor, info, familiarity=Familiarity.load(folder), settings=settings
    )


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
    try:
        return Path(snapshot_download(name, local_files_only=True))
    except (LocalEntryNotFoundError, HFValidationError, OSError):
        raise ModelLoadError(
            f"{name}: not a folder and not a downloaded model; give 'demo', a model folder, "
            f"or download it first"
        ) from None


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


def _check_folder(folder: Path, name: str) -> None:
    """Refuse a folder that is not one of our models, before anything of it is loaded."""
    file = folder / "config.json"
    if not file.is_file():
        raise ModelLoadError(f"{name}: no config.json in {folder}; give a model's folder")
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise ModelLoadError(f"{name}: {file} is not valid JSON; copy the model again") from None
    kind = config.get("model_type") if isinstance(config, dict) else None
    if kind != VolumeLanguageConfig.model_type:
        raise ModelLoadError(
            f"{name}: config.json says model_type {kind!r}, expected "
            f"{VolumeLanguageConfig.model_type!r}"
        )
    if not list(folder.glob("model*.safetensors")):
        raise ModelLoadError(f"{name}: no safetensors weights in {folder}; copy the model again")
