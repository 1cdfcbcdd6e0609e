"""Refuse patients and scans that are both trained on and held out.

Patients are compared by hash, before any voxel is read. Scans are compared by a digest of their
voxels in HU, which also finds copies under another name, in another data set or with another
header. Each stage writes `training_data.json` beside its model: what it was trained on, and what
the models it started from were trained on.
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
from napari_ct_assistant.training.data.datasets.read_records import open_dataset, open_shards
from napari_ct_assistant.training.data.datasets.store import DatasetStore
from napari_ct_assistant.training.data.volume_files import voxel_digest
from napari_ct_assistant.training.data.volume_store import VolumeStore
from napari_ct_assistant.training.distributed import main_first, process_state
from napari_ct_assistant.volume import CTVolume

if TYPE_CHECKING:
    from napari_ct_assistant.training.evaluation.cases import CaseList

FILE = "training_data.json"


class LeakError(RecipeError):
    """Held-out data that was trained on."""


@dataclass(frozen=True)
class Seen:
    """The patients and scans that a model was trained on.

    patients: `patient_hash` of each; scans: `voxel_digest` of each scan in HU; validation_patients:
    those whose loss has chosen the weights, which were not trained on.
    """

    patients: frozenset[str] = frozenset()
    scans: frozenset[str] = frozenset()
    validation_patients: frozenset[str] = frozenset()

    def __or__(self, other: Seen) -> Seen:
        return Seen(
            self.patients | other.patients,
            self.scans | other.scans,
            self.validation_patients | other.validation_patients,
        )

    @classmethod
    def of(cls, store: DatasetStore) -> Seen:
        """Return the patients and scans of a prepared store."""
        digests = store.scan_digests()
        return cls(
            frozenset(store.records[i].patient for i in store.training),
            frozenset(digests[i] for i in store.training),
            frozenset(store.records[i].patient for i in store.validation),
        )

    @classmethod
    def read(cls, folder: Path) -> Seen:
        """Return what the model in a folder was trained on; nothing if no file says so."""
        file = folder / FILE
        if not file.is_file():
            return cls()
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            return cls(
                frozenset(content["patients"]),
                frozenset(content["scans"]),
                frozenset(content.get("validation_patients", ())),
            )
        except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError):
            raise RecipeError(
                f"{file}: damaged; restore it, or remove it to skip the leak check"
            ) from None

    def write(self, folder: Path) -> None:
        """Write `training_data.json` into a model's folder."""
        content = {"patients": sorted(self.patients), "scans": sorted(self.scans)}
        if self.validation_patients:
            content["validation_patients"] = sorted(self.validation_patients)
        atomic.write_text(folder / FILE, json.dumps(content) + "\n")


def refuse_patients(seen: Iterable[str], held_out: DatasetStore, what: str) -> None:
    """Refuse held-out patients that were trained on; no voxel is read.

    Parameters
    ----------
    seen
        Hashes of the patients trained on.
    held_out
        What must not contain them.
    what
        Name of the training, for the message.

    Raises
    ------
    LeakError
        With the number of such patients and the first of their scans.
    """
    seen = set(seen)
    common = [r for r in held_out.records if r.patient in seen]
    if common:
        raise LeakError(
            f"{what} and the held-out data share {len({r.patient for r in common})} patient(s), "
            f"first {common[0].dataset} {common[0].name}: change data.split or leave them out"
        )


def refuse_scans(seen: Iterable[str], held_out: DatasetStore, what: str) -> None:
    """Refuse held-out scans whose voxels were trained on, under any name.

    Raises
    ------
    LeakError
        With the number of such scans and the first of them.
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
    """Refuse to evaluate a model on patients or scans that it was trained on.

    Parameters
    ----------
    model
        The model's folder; without a `training_data.json` in it, nothing is refused.
    cases
        What it is evaluated on.

    Returns
    -------
    CaseList
        The same cases; opening one raises `LeakError` if its voxels were trained on.

    Raises
    ------
    LeakError
        If a patient was trained on.
    """
    seen = Seen.read(model)
    used = seen.patients | seen.validation_patients
    common = [case for case in cases.cases if case.patient_hash in used]
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
    """The leak check of one recipe: its data and its starts against `held_out`.

    Parameters
    ----------
    recipe : Recipe
    store : VolumeStore
        What it trains on.
    """

    def __init__(self, recipe: Recipe, store: VolumeStore):
        self.recipe = recipe
        self.store = store
        # Phantoms are no patients.
        self.held_out: list[DatasetStore] = []
        if isinstance(store, DatasetStore):
            self.held_out = [
                open_dataset(
                    data,
                    recipe.path(data.store),
                    store.box.size,
                    store.box.patch,
                    open_shards(data, recipe.root),
                )
                for data in recipe.held_out
            ]
        starts = [recipe.encoder.start if recipe.encoder else None, recipe.model]
        self.before = Seen()
        for start in starts:
            if start is not None:
                self.before |= Seen.read(recipe.path(start))

    def check_patients(self) -> None:
        """Refuse common patients; called before anything is prepared."""
        patients = set(self.before.patients)
        if isinstance(self.store, DatasetStore):
            patients |= {r.patient for r in self.store.records}
        for held_out in self.held_out:
            refuse_patients(patients, held_out, str(self.recipe.output))

    def check_scans(self) -> None:
        """Prepare the held-out scans, refuse common ones, and write what is trained on."""
        if not isinstance(self.store, DatasetStore):
            return
        seen = self.before | Seen.of(self.store)
        for held_out in self.held_out:
            with main_first():
                for _ in held_out.fill():
                    pass
            refuse_scans(seen.scans, held_out, str(self.recipe.output))
        if process_state().is_main_process:
            seen.write(self.recipe.folder)
