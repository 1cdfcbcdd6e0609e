"""Open and fill the store of volumes that a recipe trains on."""

from __future__ import annotations

from napari_ct_assistant.training.config.encoders import encoder_config
from napari_ct_assistant.training.config.recipe import PhantomData, Recipe
from napari_ct_assistant.training.data.datasets.read_records import open_dataset
from napari_ct_assistant.training.data.phantom_store import PhantomStore
from napari_ct_assistant.training.data.volume_store import VolumeStore
from napari_ct_assistant.training.distributed import process_state


def open_store(recipe: Recipe) -> VolumeStore:
    """Return the store of a recipe's volumes; nothing is prepared yet."""
    data = recipe.data
    folder = recipe.path(data.store)
    if isinstance(data, PhantomData):
        return PhantomStore(folder, data.first_seed, data.count)
    config = encoder_config(recipe)
    return open_dataset(data, folder, config.image_size, config.patch_size)


def fill_store(store: VolumeStore) -> None:
    """Prepare missing volumes in the main process and print the progress."""
    state = process_state()
    with state.main_process_first():
        for number in store.fill():
            if state.is_main_process and (number % 100 == 0 or number == len(store)):
                print(f"volumes: {number} of {len(store)}", flush=True)
    if state.is_main_process:
        for line in (*store.notes, *([store.skipped] if store.skipped else [])):
            print(line, flush=True)
