"""Put one of our model folders onto the Hugging Face hub, with its model card.

The only way by which anything leaves this machine, and only weights and settings do: what is
sent is what `download` fetches.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Final

from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

from napari_ct_assistant.assistant.models.download import WANTED, reason_for
from napari_ct_assistant.assistant.models.hub_cache import is_repo
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.model.folder import HASHES, check_folder, sha256

CARD: Final = "README.md"


@dataclass(frozen=True)
class UploadPlan:
    """What would be sent.

    Attributes
    ----------
    folder : Path
    repo : str
    files : dict of str to int
        Name and bytes of each file.
    left_out : tuple of str
        Files of the folder that stay here.
    """

    folder: Path
    repo: str
    files: dict[str, int]
    left_out: tuple[str, ...]

    @property
    def bytes(self) -> int:
        """Bytes in all."""
        return sum(self.files.values())


def plan_upload(folder: Path, repo: str) -> UploadPlan:
    """Check a folder and list what would be sent; the network is not asked.

    Raises
    ------
    ModelLoadError
        If it is no sound model folder of ours, has no model card, or `repo` is no hub id.
    """
    name = folder.name
    if not is_repo(repo) or "/" not in repo:
        raise ModelLoadError(f"{repo}: is no hub id; give OWNER/NAME")
    check_folder(folder, name)
    if not (folder / CARD).is_file():
        raise ModelLoadError(
            f"{name}: has no {CARD}; write the model card first: what it was trained on, how good "
            "it is, whose licence it has"
        )
    present = sorted(file for file in folder.iterdir() if file.is_file())
    wanted = {
        file.name: file.stat().st_size
        for file in present
        if file.name != HASHES and any(fnmatch(file.name, pattern) for pattern in WANTED)
    }
    left = [file.name for file in present if file.name not in wanted and file.name != HASHES]
    return UploadPlan(folder, repo, wanted, tuple(left))


def upload(plan: UploadPlan, *, private: bool = True) -> str:
    """Send what a plan names as one commit; return the commit.

    `SHA256SUMS` is made anew from the files that are sent. The model card is not in it, so that
    it can be corrected on the hub.

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
    # The client raises RuntimeError where a large file does not get through.
    except (HfHubHTTPError, HFValidationError, OSError, ValueError, RuntimeError) as error:
        raise ModelLoadError(reason_for(plan.repo, error)) from error
    return str(done.oid)
