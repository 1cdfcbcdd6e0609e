"""Open and fill the store of volumes that a recipe trains on."""

from __future__ import annotations

from contextlib import suppress

import numpy as np

from napari_ct_assistant.training.config.encoders import encoder_config
from napari_ct_assistant.training.config.recipe import PhantomData, Recipe
from napari_ct_assistant.training.data.datasets.read_records import (
    box_of,
    open_shards,
    read_records,
)
from napari_ct_assistant.training.data.datasets.specs import TableData
from napari_ct_assistant.training.data.datasets.splits import EmptySplitError
from napari_ct_assistant.training.data.datasets.store import DatasetStore
from napari_ct_assistant.training.data.phantom_store import PhantomStore
from napari_ct_assistant.training.data.volume_store import VolumeStore
from napari_ct_assistant.training.distributed import main_first, process_state


def open_store(recipe: Recipe) -> VolumeStore:
    """Return the store of a recipe's volumes; nothing is prepared yet.

    Rows of split "validation" of a table of one's own are read with those of split "train".
    """
    data = recipe.data
    folder = recipe.path(data.store)
    if isinstance(data, PhantomData):
        store: VolumeStore = PhantomStore(folder, data.first_seed, data.count)
    else:
        config = encoder_config(recipe)
        records, skips = read_records(data)
        share = recipe.validation.share
        if (
            isinstance(data, TableData)
            and data.split == "train"
            and data.limit is None
            and share is None
        ):
            # No such row is an error for this split alone.
            with suppress(EmptySplitError):
                records += read_records(data.model_copy(update={"split": "validation"}))[0]
        store = DatasetStore(
            folder,
            records,
            box_of(data, config.image_size, config.patch_size),
            skips,
            open_shards(data, recipe.root),
        )
    store.hold_out(recipe.validation.share)
    return store


def stand_in(store: VolumeStore) -> None:
    """Let a check read noise in place of the volumes that are not prepared yet."""
    missing = sum(not store.is_prepared(index) for index in range(len(store)))
    if missing and process_state().is_main_process:
        print(
            f"{missing} of {len(store)} scan(s) are not prepared yet; the check uses noise instead",
            flush=True,
        )
    noise = np.random.default_rng(0).integers(-1000, 1000, store.shape, dtype=np.int16)
    store.stand_in = noise


def fill_store(store: VolumeStore) -> None:
    """Prepare missing volumes in the main process and print the progress."""
    state = process_state()
    with main_first():
        for number in store.fill():
            if state.is_main_process and (number % 100 == 0 or number == len(store)):
                print(f"volumes: {number} of {len(store)}", flush=True)
    if state.is_main_process:
        warned = [f"warning: {text} ({scans})" for text, scans in store.warnings.items()]
        for line in (*store.notes, *warned, *([store.skipped] if store.skipped else [])):
            print(line, flush=True)
