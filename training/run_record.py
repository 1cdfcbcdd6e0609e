"""What a run was made from: its resolved recipe, versions and data, kept beside its result.

A folder holds the result of one recipe. A rerun with another one is refused, so that results are
never kept from, or mixed with, an earlier run.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from napari_ct_assistant.support import atomic
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.config.recipe import PhantomData, Recipe
from napari_ct_assistant.training.data.datasets.store import DatasetStore
from napari_ct_assistant.training.data.volume_store import VolumeStore

# Not .json: it names files of the user, and is no part of a model that is published.
FILE = "run.yaml"
# They change nothing about a result, so a run may go on with others.
_FREE = ("workers", "save_minutes", "keep_checkpoints", "log_steps", "tensorboard")
# What the stages write; a restart removes these and nothing else.
_WRITTEN = (
    "checkpoints",
    "tensorboard",
    "done",
    FILE,
    "README.md",
    "losses.json",
    "training_data.json",
    "config.json",
    "generation_config.json",
    "processor_config.json",
    "chat_template.jinja",
    "special_tokens_map.json",
    "tokenizer*",
    "*.safetensors",
    "*.safetensors.index.json",
)


def recipe_values(recipe: Recipe) -> dict[str, Any]:
    """Return what a result depends on as {dotted key: value}."""
    values = recipe.model_dump(mode="json", exclude={"root", "output"})
    for key in _FREE:
        values["training"].pop(key)
    flat = dict(_flatten(values))
    # A start that was trained anew with another recipe is another start.
    starts = {"encoder.start": recipe.encoder.start if recipe.encoder else None}
    starts |= {"model": recipe.model, "language.start": recipe.language.start}
    starts |= {"perceiver.start": recipe.perceiver.start}
    for key, start in starts.items():
        if start is not None and (recipe.path(start) / FILE).is_file():
            content = _read(recipe.path(start)) or {}
            flat[f"{key} (its recipe)"] = _digest([content.get("recipe"), content.get("data")])
    return flat


def check_same_recipe(recipe: Recipe) -> None:
    """Refuse a folder that holds the result, or a part of it, of another recipe.

    Raises
    ------
    RecipeError
    """
    known = _read(recipe.folder)
    if known is None:
        return
    before, now = known["recipe"], recipe_values(recipe)
    keys = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    if keys:
        shown = [f"{key} {_shown(before.get(key))}, now {_shown(now.get(key))}" for key in keys]
        more = f" and {len(shown) - 5} more" if len(shown) > 5 else ""
        raise _refused(recipe, "; ".join(shown[:5]) + more)


def check_same_data(recipe: Recipe, store: VolumeStore) -> None:
    """Refuse a folder whose run had other scans, reports or questions.

    Raises
    ------
    RecipeError
    """
    known = _read(recipe.folder)
    if known is not None and known["data"] not in (None, data_digest(store)):
        raise _refused(recipe, "the scans, reports or questions of data have changed")


def write_record(recipe: Recipe, store: VolumeStore | None) -> None:
    """Write `run.yaml` into the folder of a run, unless it is there."""
    if _read(recipe.folder) is not None:
        return
    content = {
        "stage": recipe.stage,
        "recipe": recipe_values(recipe),
        "data": None if store is None else data_digest(store),
        "versions": {
            name: version(name) for name in ("napari-ct-assistant", "torch", "transformers")
        },
    }
    atomic.write_text(recipe.folder / FILE, yaml.safe_dump(content, sort_keys=False))


def remove_result(recipe: Recipe) -> None:
    """Remove what an earlier run wrote into the recipe's folder."""
    for pattern in _WRITTEN:
        for path in recipe.folder.glob(pattern):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def data_digest(store: VolumeStore) -> str | None:
    """Return a digest of a data set's scans and texts; None for phantoms, which a recipe names."""
    if not isinstance(store, DatasetStore):
        return None
    texts = [
        (r.name, r.patient, dict(r.reports), dict(r.labels), [*r.questions]) for r in store.records
    ]
    return _digest([store.key, repr(texts)])


def reads_data(recipe: Recipe) -> bool:
    """Return whether a recipe's data is read from files, which can change."""
    return not isinstance(recipe.data, PhantomData) and recipe.stage != "language"


def _read(folder: Path) -> dict[str, Any] | None:
    file = folder / FILE
    if not file.is_file():
        return None
    try:
        content: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    except yaml.YAMLError:
        raise RecipeError(f"{file}: damaged; train again with --restart") from None
    return content


def _refused(recipe: Recipe, difference: str) -> RecipeError:
    return RecipeError(
        f"{recipe.folder}: holds a run of another recipe ({difference}); give another output, or "
        "--restart to remove that run"
    )


def _flatten(values: dict[str, Any], above: str = "") -> list[tuple[str, Any]]:
    flat: list[tuple[str, Any]] = []
    for key, value in values.items():
        name = f"{above}{key}"
        flat += _flatten(value, f"{name}.") if isinstance(value, dict) else [(name, value)]
    return flat


def _digest(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def _shown(value: Any) -> str:
    text = "unset" if value is None else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
