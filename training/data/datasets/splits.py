"""Split scans by patient: all scans of a patient are on the same side."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import replace

from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.data.datasets.record import ScanRecord


class EmptySplitError(RecipeError):
    """A split without any scan."""


def is_held_out(patient: str, share: float) -> bool:
    """Return whether a patient belongs to the held-out share.

    It depends on the patient's hash alone. It is therefore the same on every machine and in every
    order, and no patient changes sides when others are added or removed.
    """
    return place_of(patient, "held out") < share


def place_of(patient: str, what: str) -> float:
    """Return a patient's place from 0 to 1 in a random order, which is always the same."""
    digest = hashlib.sha256(f"{what} {patient}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def keep_split(records: Iterable[ScanRecord], split: str, held_out: float) -> list[ScanRecord]:
    """Return the records of a split; records without a split of their own are split by patient.

    Raises
    ------
    EmptySplitError
        If no record is in the split.
    """
    parted = [
        r if r.split else replace(r, split="test" if is_held_out(r.patient, held_out) else "train")
        for r in records
    ]
    if split == "all":
        return parted
    known = sorted({r.split for r in parted})
    kept = [r for r in parted if r.split == split]
    if not kept:
        raise EmptySplitError(
            f"data.split {split}: contains no scan; the splits are {', '.join(known)}"
        )
    return kept
