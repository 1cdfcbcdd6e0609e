"""The scans that heads are trained and measured on, with their labels."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from napari_ct_assistant.phantoms import draw_truth, make_phantom
from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.config.recipe import PhantomData, Recipe
from napari_ct_assistant.training.data.csv_labels import read_labels_table
from napari_ct_assistant.training.data.datasets.preparing import read_scan, source_stamp
from napari_ct_assistant.training.data.datasets.read_records import read_records
from napari_ct_assistant.training.data.datasets.record import ScanRecord
from napari_ct_assistant.training.data.datasets.specs import TableData
from napari_ct_assistant.training.data.datasets.splits import EmptySplitError
from napari_ct_assistant.training.data.datasets.validation import choose_patients
from napari_ct_assistant.volume import CTVolume


@dataclass(frozen=True)
class Sample:
    """A scan.

    Attributes
    ----------
    name : str
        For messages.
    key : str
        Identifies the scan's file as it is now.
    patient : str
    held_out : bool
        Whether the heads are measured on it instead of trained.
    labels : mapping of finding to 0 or 1
        A finding that is not in it is unknown.
    read : callable
        Reads the scan.
    """

    name: str
    key: str
    patient: str
    held_out: bool
    labels: Mapping[str, int]
    read: Callable[[], CTVolume]


def probe_samples(recipe: Recipe) -> list[Sample]:
    """Return the scans of a recipe; the held-out patients are those of a validation loss.

    Raises
    ------
    RecipeError
        If nobody is held out, or the data have no labels.
    """
    data = recipe.data
    if isinstance(data, PhantomData):
        samples = _phantoms(data, recipe.validation.share)
    else:
        samples = _scans(recipe)
    if not any(sample.held_out for sample in samples):
        raise RecipeError(
            "validation.share: nobody is held out, so the heads could not be measured; set it, "
            "e.g. to 0.2"
        )
    if not any(sample.labels for sample in samples):
        raise RecipeError(
            "data: no scan has labels; add columns of findings to the table, or name a table of "
            "your own labels in probe.labels"
        )
    return samples


def _phantoms(data: PhantomData, share: float | None) -> list[Sample]:
    held = max(1, round(data.count * share)) if share else 0
    if held >= data.count:
        raise RecipeError(f"validation.share: {share} of {data.count} phantom(s) leaves none")
    made = []
    for number in range(data.count):
        seed = data.first_seed + number
        made.append(
            Sample(
                f"phantom {seed}",
                f"phantom {seed}",
                str(seed),
                number >= data.count - held,
                _phantom_labels(seed),
                partial(_phantom, seed),
            )
        )
    return made


def _phantom(seed: int) -> CTVolume:
    return make_phantom(seed).volume


def _phantom_labels(seed: int) -> dict[str, int]:
    present = {finding.name for finding in draw_truth(seed).findings}
    return {name: int(name in present) for name in FINDINGS}


def _scans(recipe: Recipe) -> list[Sample]:
    data = recipe.data
    assert not isinstance(data, PhantomData)  # noqa: S101  the caller asked
    records, _ = read_records(data)
    share = recipe.validation.share
    if isinstance(data, TableData) and data.split == "train" and share is None:
        # No such row is an error for this split alone.
        with suppress(EmptySplitError):
            records += read_records(data.model_copy(update={"split": "validation"}))[0]
    held = choose_patients(records, share)
    own = None
    if recipe.probe.labels is not None:
        own = read_labels_table(recipe.path(recipe.probe.labels), recipe.probe.findings)
    return [
        Sample(
            f"{record.dataset} {record.name}",
            _key(record),
            record.patient,
            record.patient in held,
            record.labels if own is None else own.get(record.image.resolve(), {}),
            partial(read_scan, record.image, record.stored),
        )
        for record in records
    ]


def refuse_held_out(recipe: Recipe, samples: list[Sample]) -> None:
    """Refuse training patients that are in the recipe's `held_out` data.

    Raises
    ------
    RecipeError
        With the first of their scans.
    """
    trained = {sample.patient for sample in samples if not sample.held_out}
    for data in recipe.held_out:
        for record in read_records(data)[0]:
            if record.patient in trained:
                raise RecipeError(
                    f"held_out: {record.dataset} {record.name} is of a patient who is trained on; "
                    "change data.split or leave the patient out"
                )


def _key(record: ScanRecord) -> str:
    stamp = source_stamp(record.image) if record.image.exists() else ()
    content = repr((record.dataset, record.name, stamp, record.stored))
    return hashlib.sha256(content.encode()).hexdigest()
