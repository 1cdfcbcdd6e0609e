"""No patient and no scan may be both trained on and held out.

Patients are compared by their hash, before any voxel is read; scans by the digest of their
voxels in HU, so that a copy under another name, in another data set or with another header is
found as well. What a model has seen is written beside it as `training_data.json`, each stage
adding to what its start had seen.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from napari_ct_assistant.support import atomic
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.config.recipe import Recipe
from napari_ct_assistant.training.data.datasets.reading import open_dataset
from napari_ct_assistant.training.data.datasets.store import DatasetStore
from napari_ct_assistant.training.data.volume_files import voxel_digest
from napari_ct_assistant.training.data.volume_store import VolumeStore
from napari_ct_assistant.training.distributed import process_state
from napari_ct_assistant.volume import CTVolume

if TYPE_CHECKING:
    from napari_ct_assistant.training.evaluation.cases import CaseList

FILE = "training_data.json"


class LeakError(RecipeError):
    """Held-out data that was trained on, in one line."""


@dataclass(frozen=True)
class Seen:
    """Whose scans, and which, a model has been trained on.

    patients: `patient_hash` of each; scans: `voxel_digest` of each scan in HU.
    """

    patients: frozenset[str] = frozenset()
    scans: frozenset[str] = frozenset()

    def __or__(self, other: Seen) -> Seen:
        return Seen(self.patients | other.patients, self.scans | other.scans)

    @classmethod
    def of(cls, store: DatasetStore) -> Seen:
        """Return what training on a prepared store shows to a model."""
        return cls(frozenset(r.patient for r in store.records), frozenset(store.scan_digests()))

    @classmethod
    def read(cls, folder: Path) -> Seen:
        """Return what the model in a folder has seen; nothing where that is not written."""
        file = folder / FILE
        if not file.is_file():
            return cls()
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            return cls(frozenset(content["patients"]), frozenset(content["scans"]))
        except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError):
            raise RecipeError(f"{file}: damaged; it says what the model was trained on") from None

    def write(self, folder: Path) -> None:
        """Write it beside a model."""
        content = {"patients": sorted(self.patients), "scans": sorted(self.scans)}
        atomic.write_text(folder / FILE, json.dumps(content) + "\n")


def refuse_patients(seen: Iterable[str], held_out: DatasetStore, what: str) -> None:
    """Refuse held-out patients that were seen; needs no voxel.

    Parameters
    ----------
    seen
        Hashes of the patients trained on.
    held_out
        What must be new.
    what
        Who saw them, for the message.

    Raises
    ------
    LeakError
        One line: how many, and the first scan of such a patient.
    """
    seen = set(seen)
    common = [r for r in held_out.records if r.patient in seen]
    if common:
        raise LeakError(
            f"{what} and the held-out data share {len({r.patient for r in common})} patient(s), "
            f"first {common[0].dataset} {common[0].name}: change data.split or leave them out"
        )


def refuse_scans(seen: Iterable[str], held_out: DatasetStore, what: str) -> None:
    """Refuse held-out scans whose voxels were seen, whatever they are called.

    Raises
    ------
    LeakError
        One line: how many, and the first of them.
    """
    seen = set(seen)
    digests = zip(held_out.records, held_out.scan_digests(), strict=True)
    common = [record for record, digest in digests if digest in seen]
    if common:
        raise LeakError(
            f"{what} and the held-out data share {len(common)} scan(s), voxel for voxel, first "
            f"{common[0].dataset} {common[0].name}: leave it out of one of the two"
        )


def guard_cases(model: Path, cases: CaseList) -> CaseList:
    """Refuse to evaluate a model on whom it was trained on.

    Parameters
    ----------
    model
        The model's folder; where no `training_data.json` is in it, nothing is refused.
    cases
        What it is to be evaluated on.

    Returns
    -------
    CaseList
        The same cases, each of which refuses to open if its voxels were trained on.

    Raises
    ------
    LeakError
        If a patient was trained on.
    """
    seen = Seen.read(model)
    common = [case for case in cases.cases if case.patient_hash in seen.patients]
    if common:
        raise LeakError(
            f"{len({case.patient_hash for case in common})} patient(s) of {cases.name} were in the "
            f"training of {model.name} ({FILE}): evaluate on another split"
        )
    if not seen.scans:
        return cases

    def open_unseen(read: Callable[[], CTVolume]) -> CTVolume:
        volume = read()
        if voxel_digest(volume.hu) in seen.scans:
            raise LeakError(
                f"a scan of {cases.name} was, voxel for voxel, in the training of {model.name} "
                f"({FILE}): leave it out"
            )
        return volume

    return replace(
        cases,
        cases=tuple(replace(case, open=partial(open_unseen, case.open)) for case in cases.cases),
    )


class RecipeLeaks:
    """The check of one recipe's training: what it and its start have seen against `held_out`.

    Parameters
    ----------
    recipe : Recipe
    store : VolumeStore
        What it trains on.
    """

    def __init__(self, recipe: Recipe, store: VolumeStore):
        self.recipe = recipe
        self.store = store
        # Phantoms are nobody's scans.
        self.held_out: list[DatasetStore] = []
        if isinstance(store, DatasetStore):
            self.held_out = [
                open_dataset(data, recipe.path(data.store), store.box.size, store.box.patch)
                for data in recipe.held_out
            ]
        starts = [recipe.encoder.start if recipe.encoder else None, recipe.model]
        self.before = Seen()
        for start in starts:
            if start is not None:
                self.before |= Seen.read(recipe.path(start))

    def check_patients(self) -> None:
        """Refuse common patients, before anything is prepared."""
        patients = set(self.before.patients)
        if isinstance(self.store, DatasetStore):
            patients |= {r.patient for r in self.store.records}
        for held_out in self.held_out:
            refuse_patients(patients, held_out, str(self.recipe.output))

    def check_scans(self) -> None:
        """Prepare the held-out scans, refuse common ones, and write what is seen."""
        if not isinstance(self.store, DatasetStore):
            return
        seen = self.before | Seen.of(self.store)
        for held_out in self.held_out:
            with process_state().main_process_first():
                for _ in held_out.fill():
                    pass
            refuse_scans(seen.scans, held_out, str(self.recipe.output))
        if process_state().is_main_process:
            seen.write(self.recipe.folder)
