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
from napari_ct_assistant.backends.server.address import is_address
from napari_ct_assistant.backends.server.agreements import agreements
from napari_ct_assistant.backends.server.profiles import Profile, find_profile, profiles
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.support.errors import CTAssistantError
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
ON_SERVERS: Final = N_("On servers")


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
    servers : list of Profile
        The saved servers.
    """

    installed: list[InstalledModel] = field(default_factory=list)
    place: LoadTarget | None = None
    options: LoadOptions = BEST
    servers: list[Profile] = field(default_factory=list)

    def server(self, name: str) -> Profile | None:
        """Return the server that a name or an address stands for; None for another model."""
        saved = next((server for server in self.servers if server.name == name), None)
        if saved is not None or not is_address(name):
            return saved
        try:
            return find_profile(name)
        except CTAssistantError:  # connecting will show this error
            return None

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
    return ModelSurvey(installed_models(), servers=saved_servers())


def survey_models_and_memory(options: LoadOptions) -> ModelSurvey:
    """List the models, and ask torch for the device and its free memory (in a worker thread)."""
    models = installed_models()
    try:
        from napari_ct_assistant.backends.loading.devices import load_target

        for model in models:
            model.counts  # noqa: B018 - read here, not on the Qt thread
        place = load_target(options)
    except (ModelLoadError, ImportError):  # loading the model will show this error
        place = None
    return ModelSurvey(models, place, options, saved_servers())


def saved_servers() -> list[Profile]:
    """Return the saved servers; none if a file of them is wrong, which using one will show."""
    try:
        return list(profiles())
    except CTAssistantError:
        return []


def server_facts(server: Profile) -> str:
    """Return where a server is and what may be sent there, as one line."""
    origin = server.address.origin
    if server.saved.consent != "ask":
        allowed = server.saved.consent == "granted"
        who = _("your department allows it") if allowed else _("your department forbids it")
        return f"{origin}  ·  {who}"
    agreed = any(key.startswith(f"{origin} ") for key in agreements())
    return f"{origin}  ·  " + (
        _("you agreed to send scans there")
        if agreed
        else _("you are asked before a scan is sent there")
    )


def could_be_on_the_hub(name: str) -> bool:
    """Return whether a name may be a hub id: it has the form OWNER/NAME and is not a folder."""
    return (
        "/" in name
        and not is_address(name)
        and is_repo(name)
        and not Path(name).expanduser().exists()
    )


def size(count: int) -> str:
    """Return a number of bytes in MB or GB, such as "3.4 MB" or "15.7 GB"."""
    if count >= 100e6:
        return f"{decimal(count / 1e9, 1)} GB"
    return f"{decimal(count / 1e6, 1)} MB"
