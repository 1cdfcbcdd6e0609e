"""The models that can be chosen, with their size and the memory that they need."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from napari_ct_assistant.assistant.models.hub_cache import is_repo
from napari_ct_assistant.assistant.models.installed import (
    InstalledModel,
    describe_model,
    installed_models,
    published_models,
)
from napari_ct_assistant.backends.loading.options import BEST, LoadOptions
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.support.translation import N_, Texts, _, decimal

if TYPE_CHECKING:
    from napari_ct_assistant.backends.loading.devices import LoadTarget

SECTIONS: Final = Texts(
    {
        "bundled": N_("Bundled"),
        "imported": N_("Imported on this machine"),
        "downloaded": N_("Downloaded from the hub"),
        "folder": N_("Folders used before"),
    }
)
ON_THE_HUB: Final = N_("On the Hugging Face hub")


@dataclass(frozen=True)
class ModelSurvey:
    """The models that can be chosen.

    Attributes
    ----------
    installed : list of InstalledModel
    place : LoadTarget or None
        Where a model would be loaded now; None until torch was asked.
    options : LoadOptions
        The load options that the figures are for.
    """

    installed: list[InstalledModel] = field(default_factory=list)
    place: LoadTarget | None = None
    options: LoadOptions = BEST

    def find(self, name: str) -> InstalledModel | None:
        """Return the model of that name; a folder that is not in the list is read."""
        for model in self.installed:
            if model.name == name or (model.source == "bundled" and model.path.name == name):
                return model
        if not name:
            return None
        folder = Path(name).expanduser()
        return describe_model(str(folder), "folder", folder) if folder.is_dir() else None

    def hub_only(self) -> list[str]:
        """Return the ids of released models that are not on this machine."""
        return published_models(self.installed)

    def needed(self, model: InstalledModel) -> int | None:
        """Return the bytes that a model needs in memory, None if that is not known."""
        if self.place is None or model.counts is None:
            return None
        counts, tokens = model.counts
        quantize = self.options.quantize
        return counts.need(self.place.itemsize, quantize=quantize, tokens=tokens).total

    def facts(self, model: InstalledModel) -> str:
        """Return the size on disk, and the memory needed and free, as one line."""
        parts = [_("{size} on disk").format(size=size(model.bytes))]
        needed = self.needed(model)
        if needed is not None and self.place is not None:
            kind = self.options.quantize or self.place.dtype
            if self.place.free is None:
                text = _("needs {needed} ({device}, {kind})").format(
                    needed=size(needed), device=self.place.device, kind=kind
                )
            else:
                text = _("needs {needed} of {free} free ({device}, {kind})").format(
                    needed=size(needed),
                    free=size(self.place.free),
                    device=self.place.device,
                    kind=kind,
                )
            parts.append(text)
        return "  ·  ".join(parts)

    def fits(self, model: InstalledModel) -> bool:
        """Return False if it is known that a model does not fit into memory."""
        needed = self.needed(model)
        free = None if self.place is None else self.place.free
        return needed is None or free is None or needed <= free


def survey_models() -> ModelSurvey:
    """List the models on this machine; this takes some milliseconds."""
    return ModelSurvey(installed_models())


def survey_models_and_memory(options: LoadOptions) -> ModelSurvey:
    """List the models, and ask torch for the device and its free memory (in a worker thread)."""
    from napari_ct_assistant.backends.loading.devices import load_target

    models = installed_models()
    for model in models:
        model.counts  # noqa: B018 - read here, not on the Qt thread
    try:
        place = load_target(options)
    except ModelLoadError:  # loading the model will show this error
        place = None
    return ModelSurvey(models, place, options)


def could_be_on_the_hub(name: str) -> bool:
    """Return whether a name may be a hub id: it has the form OWNER/NAME and is not a folder."""
    return "/" in name and is_repo(name) and not Path(name).expanduser().exists()


def size(count: int) -> str:
    """Return a number of bytes in MB or GB, such as "3.4 MB" or "15.7 GB"."""
    if count >= 100e6:
        return f"{decimal(count / 1e9, 1)} GB"
    return f"{decimal(count / 1e6, 1)} MB"
