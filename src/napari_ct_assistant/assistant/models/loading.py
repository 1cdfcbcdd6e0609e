"""Load a model from this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from napari_ct_assistant.assistant.assistant import Assistant
from napari_ct_assistant.assistant.journal.store import data_folder
from napari_ct_assistant.assistant.models.installed import encoder_folders, find_model
from napari_ct_assistant.backends.families import family_of
from napari_ct_assistant.backends.loading.options import Quantize
from napari_ct_assistant.backends.model_info import shown_name
from napari_ct_assistant.backends.other_models import refuse_other_model
from napari_ct_assistant.backends.scan_cache import FOLDER, ScanCache
from napari_ct_assistant.backends.server.address import is_address
from napari_ct_assistant.backends.server.connection import ServerOptions
from napari_ct_assistant.backends.server.loading import load_served
from napari_ct_assistant.backends.server.profiles import Profile, find_profile
from napari_ct_assistant.backends.settings import GenerationSettings
from napari_ct_assistant.backends.slices.preset import SlicePreset
from napari_ct_assistant.backends.volume_language.family import VOLUME_LANGUAGE
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.model.settings import MAX_JSON
from napari_ct_assistant.support.loading_lock import LOADING_LOCK
from napari_ct_assistant.support.translation import said


def load_assistant(
    model: str | Path = "demo",
    *,
    device: str | None = None,
    settings: GenerationSettings | None = None,
    dtype: str | None = None,
    quantize: Quantize | None = None,
    device_map: Literal["auto"] | None = None,
    scan_cache: bool = False,
    server: ServerOptions | None = None,
    preset: SlicePreset | str | None = None,
) -> Assistant:
    """Load a model from this machine, or connect to one on a server. Nothing is downloaded.

    Parameters
    ----------
    model
        "demo" (bundled), a local folder, the hub id of a model downloaded before, or the address
        of a server (`https://gpu1:8000`) or the name of a saved one; see docs/server.md.
    device
        "cpu", "cuda", "cuda:1", "mps"; the best of the machine when absent.
    settings : GenerationSettings, optional
    dtype
        "float32", "bfloat16" or "float16", or "fp32", "bf16", "fp16"; the best for the device
        when absent.
    quantize
        The language model's weights in 8 or 4 bits (needs bitsandbytes or torchao).
    device_map
        "auto" keeps what the device cannot hold in the computer's memory (needs accelerate).
    scan_cache
        Whether encoded scans are kept on this computer, so that a scan that was read before is
        not encoded again. At most 2 GiB; deleted with the journal.
    server : ServerOptions, optional
        For a model on a server: the folder of its encoder, and what may be sent without asking.
    preset
        How a model that looks at slices is shown a scan: the name or file of a preset
        (`backends.slices.find_preset`); the folder's own or its family's when absent.

    Raises
    ------
    ModelLoadError
        One line with the model's name and what to do; `NotEnoughMemoryError` where it does not
        fit in memory.
    ServerError
        The same for a server.
    """
    profile = _server(model)
    if profile is not None:
        if preset is not None:
            raise ModelLoadError(
                said(
                    "{shown_name}: the preset of a model on a server stands in its profile; "
                    "leave it out here",
                    shown_name=shown_name(model),
                )
            )
        return Assistant(
            load_served(
                profile,
                server or ServerOptions(),
                encoder_folders(),
                device=device,
                settings=settings,
                dtype=dtype,
            )
        )
    folder = find_model(model)
    # A folder of no known family gets the errors of the first one, which say what is expected.
    config = _config(folder)
    family = family_of(config)
    if family is None:
        refuse_other_model(config, shown_name(model))
        family = VOLUME_LANGUAGE
    more: dict[str, Any] = {}
    if preset is not None:
        if not family.slices:
            raise ModelLoadError(
                said(
                    "{shown_name}: reads the scan as a volume; leave out the preset of slices",
                    shown_name=shown_name(model),
                )
            )
        more["preset"] = preset
    with LOADING_LOCK:
        backend = family.load(
            folder,
            shown_name(model),
            device=device,
            settings=settings,
            dtype=dtype,
            quantize=quantize,
            device_map=device_map,
            **more,
        )
    return Assistant(
        backend,
        ScanCache(data_folder() / FOLDER) if scan_cache else None,
    )


def _server(model: str | Path) -> Profile | None:
    """Return the server that a model's name stands for; None for a model of this computer."""
    name = str(model)
    if is_address(name):
        return find_profile(name)
    if name == "demo" or "/" in name or Path(name).expanduser().exists():
        return None
    return find_profile(name)


def _config(folder: Path) -> dict[str, object]:
    """Return the content of a folder's `config.json`; {} if there is none that can be read.

    The family checks the folder again, with an error for what is wrong.
    """
    try:
        if not (folder / "config.json").is_file() or (
            (folder / "config.json").stat().st_size > MAX_JSON
        ):
            return {}
        content = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
