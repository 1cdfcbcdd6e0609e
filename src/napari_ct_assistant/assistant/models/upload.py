"""Upload a model folder to the Hugging Face hub, with its model card.

Only weights, settings and the card are sent: the files that `download` fetches.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

from napari_ct_assistant.assistant.models.download import WANTED
from napari_ct_assistant.assistant.models.hub_cache import is_repo
from napari_ct_assistant.model.configuration import VolumeLanguageConfig
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.model.folder import (
    HASHES,
    check_folder,
    refuse_code,
    sha256,
    weights_of,
)
from napari_ct_assistant.model.settings import check_files, read_json
from napari_ct_assistant.support.translation import said

CARD: Final = "README.md"
# Hashes of patients, from which short patient numbers can be guessed.
PATIENTS: Final = "training_data.json"
# Beside what a training stage has written, which may be an encoder or a language model alone.
STAGE_RECORD: Final = "run.yaml"


@dataclass(frozen=True)
class UploadPlan:
    """What an upload would send.

    Attributes
    ----------
    folder : Path
    repo : str
    files : dict of str to int
        Name and bytes of each file.
    left_out : tuple of str
        Files of the folder that are not sent.
    """

    folder: Path
    repo: str
    files: dict[str, int]
    left_out: tuple[str, ...]

    @property
    def bytes(self) -> int:
        """Bytes of all files."""
        return sum(self.files.values())


def plan_upload(folder: Path, repo: str) -> UploadPlan:
    """Check a folder and list what would be sent, without using the network.

    Raises
    ------
    ModelLoadError
        If the folder is not a valid model folder, has no model card, or `repo` is no hub id.
    """
    name = folder.name
    if not is_repo(repo) or "/" not in repo:
        raise ModelLoadError(said("{repo}: not a hub id; give OWNER/NAME", repo=repo))
    if (folder / STAGE_RECORD).is_file() and _model_type(folder) != VolumeLanguageConfig.model_type:
        check_files(folder, name)
        refuse_code(folder, name)
        weights_of(folder, name)
    else:
        check_folder(folder, name)
    if not (folder / CARD).is_file():
        raise ModelLoadError(
            said(
                "{name}: has no {card}; write the model card first: training data, measured "
                "performance, licence",
                name=name,
                card=CARD,
            )
        )
    present = sorted(file for file in folder.iterdir() if file.is_file())
    wanted = {
        file.name: file.stat().st_size
        for file in present
        if file.name not in (HASHES, PATIENTS)
        and any(fnmatch(file.name, pattern) for pattern in WANTED)
    }
    left = [file.name for file in present if file.name not in wanted and file.name != HASHES]
    return UploadPlan(folder, repo, wanted, tuple(left))


def _model_type(folder: Path) -> object:
    return read_json(folder / "config.json", folder.name).get("model_type")


def upload(plan: UploadPlan, *, private: bool = True) -> str:
    """Send the files of a plan as one commit and return the commit.

    `SHA256SUMS` is computed again from the files that are sent. It leaves out the model card,
    so that the card can be corrected on the hub.

    Raises
    ------
    ModelLoadError
        If the hub refuses or cannot be reached.
    """
    sums = "".join(
        f"{sha256(plan.folder / name)}  {name}\n" for name in plan.files if name != CARD
    ).encode()
    operations = [CommitOperationAdd(name, plan.folder / name) for name in plan.files]
    operations.append(CommitOperationAdd(HASHES, sums))
    digest = hashlib.sha256(sums).hexdigest()[:12]
    try:
        api = HfApi()
        api.create_repo(plan.repo, private=private, exist_ok=True)
        done = api.create_commit(plan.repo, operations, commit_message=f"Model {digest}")
    # The client raises RuntimeError if the upload of a large file fails.
    except (HfHubHTTPError, HFValidationError, OSError, ValueError, RuntimeError) as error:
        raise ModelLoadError(_reason(plan.repo, error)) from error
    return str(done.oid)


def _reason(repo: str, error: Exception) -> str:
    """Return why an upload failed, as one line."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in {401, 403}:
        return f"{repo}: no permission to write to this repository; log in with `hf auth login`"
    reason = " ".join(str(error).split())[:160] or type(error).__name__
    return f"{repo}: the upload failed ({reason}); nothing was changed on the hub"
