"""The models on this computer: bundled, imported, downloaded, and folders used before.

Nothing here uses the network, and importing it brings no torch.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from napari_ct_assistant.assistant.models.hub_cache import hub_cache, pinned_snapshot
from napari_ct_assistant.backends.families import family_of
from napari_ct_assistant.backends.loading.sizes import Counts
from napari_ct_assistant.backends.model_info import shown_name
from napari_ct_assistant.model.conversion.served import ENCODER_FOLDER
from napari_ct_assistant.model.conversion.served import FILE as ENCODER_FILE
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.support import atomic
from napari_ct_assistant.support.translation import said

HOME_VARIABLE: Final = "CT_ASSISTANT_MODELS"
FOLDERS_FILE: Final = "folders.json"
FOLDERS_KEPT: Final = 8

# Released models that can be downloaded, offered by name; nothing is looked up about them.
PUBLISHED: Final = (
    "GoodBaiBai88/M3D-LaMed-Phi-3-4B",
    "GoodBaiBai88/M3D-LaMed-Llama-2-7B",
    "nvidia/NV-Reason-CT",
    "google/medgemma-1.5-4b-it",
)

# Models that `models add` knows.
ADDABLE: Final = ("astra-backbone", "colipri")


@dataclass(frozen=True)
class InstalledModel:
    """A model on this computer.

    Attributes
    ----------
    name : str
        As `load_assistant` takes it: a bundled name, a folder or a hub id.
    source : str
        "bundled", "imported", "downloaded" or "folder".
    path : Path
    bytes : int
        Of its weight files.
    trained_on, notice : str
        From its configuration.
    writes_text : bool
        Whether it writes reports and answers; if not, it screens for findings.
    """

    name: str
    source: str
    path: Path
    bytes: int
    trained_on: str = ""
    notice: str = ""
    writes_text: bool = True

    @cached_property
    def counts(self) -> tuple[Counts, int] | None:
        """How many values it has, and the tokens of its longest prompt; None if it is broken."""
        try:
            config = json.loads((self.path / "config.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        family = family_of(config) if isinstance(config, dict) else None
        return None if family is None else family.count(self.path)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values, as `models list --json` prints it."""
        return {**asdict(self), "path": str(self.path)}


def models_home() -> Path:
    """Return the folder of imported models: `CT_ASSISTANT_MODELS`, or one beside the hub cache."""
    chosen = os.environ.get(HOME_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    return hub_cache().parent / "ct-assistant"


def imported_folder(repo: str) -> Path:
    """Return the folder of an imported hub model, whether it exists or not."""
    return models_home() / repo.replace("/", "--")


def imported_snapshot(repo: str) -> Path | None:
    """Return the folder of an imported hub model; None if it was not imported."""
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repo) or ".." in repo:
        return None
    folder = imported_folder(repo)
    return folder if (folder / "config.json").is_file() else None


def added_folder(name: str) -> Path | None:
    """Return the folder of a model in `models_home` by its plain name; None without one."""
    if not re.fullmatch(r"\w[\w.-]*", name):
        return None
    folder = models_home() / name
    return folder if (folder / "config.json").is_file() else None


def find_model(model: str | Path) -> Path:
    """Return the folder of a model on this computer.

    Parameters
    ----------
    model
        "demo" (bundled), a folder, the hub id of a model that was downloaded or imported, or the
        name of one that was added (`models add`).

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
        raise ModelLoadError(
            said("{name}: a file, not a folder; give the model's folder", name=folder.name)
        )
    snapshot = added_folder(name) or imported_snapshot(name) or pinned_snapshot(name)
    if snapshot is None:
        raise ModelLoadError(
            said(
                "{shown_name}: not a folder and not a downloaded model; give 'demo', a model "
                "folder, or download it first",
                shown_name=shown_name(name),
            )
        )
    return snapshot


def describe_model(name: str, source: str, folder: Path) -> InstalledModel | None:
    """Return the model in a folder; None if the folder holds no model that can be loaded."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        sizes = [file.stat().st_size for file in folder.glob("model*.safetensors")]
    except (OSError, ValueError):
        return None
    family = family_of(config) if isinstance(config, dict) else None
    if family is None or not sizes:
        return None
    trained_on, notice = family.about(config)
    return InstalledModel(
        name, source, folder, sum(sizes), trained_on, notice, writes_text=family.writes_text
    )


def bundled_models() -> Iterator[InstalledModel]:
    """Yield each model that comes with the package."""
    folder = Path(str(files("napari_ct_assistant").joinpath("bundled")))
    for path in sorted(folder.glob("*/config.json")):
        if described := describe_model(path.parent.name, "bundled", path.parent):
            yield described


def imported_models() -> Iterator[InstalledModel]:
    """Yield each imported model; one that came from the hub is named by its hub id."""
    for path in sorted(models_home().glob("[!.]*/config.json")):
        folder = path.parent
        repo = folder.name.replace("--", "/")
        name = repo if imported_folder(repo) == folder and "/" in repo else str(folder)
        if folder.name in ADDABLE:
            name = folder.name
        if described := describe_model(name, "imported", folder):
            yield described


def downloaded_models() -> Iterator[InstalledModel]:
    """Yield each completely downloaded model in the Hugging Face cache."""
    for home in sorted(hub_cache().glob("models--*")):
        repo = home.name.removeprefix("models--").replace("--", "/")
        folder = pinned_snapshot(repo)
        if folder and (described := describe_model(repo, "downloaded", folder)):
            yield described


def used_folders() -> Iterator[InstalledModel]:
    """Yield the models in folders that were loaded before, the latest first."""
    for folder in _remembered():
        if described := describe_model(str(folder), "folder", folder):
            yield described


def encoder_folders() -> list[Path]:
    """Return the folders with an encoder whose language model is on a server.

    They are looked for in the folder of imported models: copies of the folder `encoder` that
    `models export-llm` writes, or of the whole export.
    """
    home = models_home()
    found = {
        file.parent
        for depth in ("*", f"*/{ENCODER_FOLDER}")
        for file in home.glob(f"{depth}/{ENCODER_FILE}")
    }
    return sorted(found)


def installed_models() -> list[InstalledModel]:
    """Return every model on this computer."""
    return [*bundled_models(), *imported_models(), *downloaded_models(), *used_folders()]


def published_models(installed: list[InstalledModel]) -> list[str]:
    """Return the hub ids of released models that are not on this computer yet."""
    here = {model.name for model in installed}
    return [repo for repo in PUBLISHED if repo not in here]


def remember_folder(folder: Path) -> None:
    """Remember a folder for `used_folders`; do nothing if the list cannot be written."""
    folder = folder.expanduser().absolute()
    if folder.is_relative_to(models_home()):
        return
    kept = [folder, *(other for other in _remembered() if other != folder)][:FOLDERS_KEPT]
    try:
        models_home().mkdir(parents=True, exist_ok=True)
        atomic.write_text(models_home() / FOLDERS_FILE, json.dumps([str(path) for path in kept]))
    except OSError:
        return


def _remembered() -> list[Path]:
    try:
        content = json.loads((models_home() / FOLDERS_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    listed = content if isinstance(content, list) else []
    return [Path(entry) for entry in listed if isinstance(entry, str)]
