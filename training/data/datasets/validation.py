"""Choose the patients whose scans measure the validation loss; none of them is trained on."""

from __future__ import annotations

from collections.abc import Sequence

from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.data.datasets.record import ScanRecord
from napari_ct_assistant.training.data.datasets.splits import place_of

OWN = "table"  # begins the name of a data set that is a table of one's own
DEFAULT_SHARE = 0.05
FEWEST_PATIENTS = 10


def choose_patients(records: Sequence[ScanRecord], share: float | None) -> frozenset[str]:
    """Return the patients to hold out.

    They are those with the lowest hashes, so that the stages of a model, and data sets that share
    patients, mostly hold out the same ones.

    Parameters
    ----------
    records
        The scans of a run.
    share
        Share of the patients, at least one; 0 for none. None takes the rows of split "validation"
        beside those of "train"; where there are none, 5 % of a table of one's own with at least ten
        patients, and nobody of other data, which the papers train on whole.

    Raises
    ------
    RecipeError
        If there are too few patients to hold out one, or one would be on both sides.
    """
    patients = {record.patient for record in records}
    if share is None and {r.split for r in records} == {"train", "validation"}:
        held = frozenset(r.patient for r in records if r.split == "validation")
        both = [r for r in records if r.split == "train" and r.patient in held]
        if both:
            raise RecipeError(
                f"table {both[0].name}: its patient has rows of split train and of split "
                "validation; put all scans of a patient into one"
            )
        return held
    if share is None:
        own = all(record.dataset.startswith(OWN) for record in records)
        share = DEFAULT_SHARE if own and len(patients) >= FEWEST_PATIENTS else 0
    if not share:
        return frozenset()
    if len(patients) < 2:
        raise RecipeError(
            f"validation.share: {share}, but there is only {len(patients)} patient, who is needed "
            "for training; set it to 0"
        )
    places = sorted((place_of(patient, "validation"), patient) for patient in patients)
    count = sum(place < share for place, _ in places)
    return frozenset(patient for _, patient in places[: min(max(count, 1), len(places) - 1)])
