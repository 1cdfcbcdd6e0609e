"""What a run was made from: its resolved recipe, versions and data, kept beside its result.

A folder holds the result of one recipe. A rerun with another one is refused, so that results are
never kept from, or mixed with, an earlier run.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import yaml

from napari_ct_assistant.support import atomic
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.config.recipe import PhantomData, Recipe
from napari_ct_assistant.training.data.datasets.store import DatasetStore
from napari_ct_assistant.training.data.volume_store import VolumeStore
from napari_ct_assistant.training.distributed import process_state
from napari_ct_assistant.training.release.code_version import code_commit, package_versions
from napari_ct_assistant.training.release.stage_card import trained_on

# Not .json: it names files of the user, and is no part of a model that is published.
FILE = "run.yaml"
# They change nothing about a result, so a run may go on with others.
_FREE = ("workers", "save_minutes", "keep_checkpoints", "log_steps", "tensorboard", "timed_steps")
# What the stages write; a restart removes these and nothing else.
_WRITTEN = (
    "checkpoints",
    "tensorboard",
    "done",
    FILE,
    "README.md",
    "losses.json",
    "losses.png",
    "turns.csv",
    "validation.json",
    "training_data.json",
    "config.json",
    "generation_config.json",
    "encoder",
    "figures.json",
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
    for data in (values["data"], *values["held_out"]):
        data.pop("shards", None)  # the voxels are the same wherever they are read from
        for part in data.get("parts", ()):
            part.pop("shards", None)
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
    if known is None or not _has_result(recipe.folder):
        return
    before, now = known["recipe"], recipe_values(recipe)
    keys = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    if keys:
        shown = [f"{key} {_shown(before.get(key))}, now {_shown(now.get(key))}" for key in keys]
        more = f" and {len(shown) - 5} more" if len(shown) > 5 else ""
        raise _refused(recipe, "; ".join(shown[:5]) + more)


def check_same_texts(recipe: Recipe, store: VolumeStore) -> None:
    """Refuse a folder whose run had other scans, reports or questions.

    Raises
    ------
    RecipeError
    """
    _check_same_data(recipe, store, "texts", "its list of scans, reports or questions")


def check_same_scans(recipe: Recipe, store: VolumeStore) -> None:
    """Refuse a folder whose run had scans with other voxels; the store is prepared.

    Raises
    ------
    RecipeError
    """
    _check_same_data(recipe, store, "voxels", "one of its scans")


def _check_same_data(recipe: Recipe, store: VolumeStore, key: str, what: str) -> None:
    known = _read(recipe.folder)
    before = (known or {}).get("data")
    if not isinstance(before, dict) or not _has_result(recipe.folder):
        return
    now = _digests(store, key)
    changed = [name for name in {**before, **now} if before.get(name, {}).get(key) != now.get(name)]
    if changed:
        raise _refused(recipe, "; ".join(f"data {name}: {what} has changed" for name in changed))


def write_record(recipe: Recipe, store: VolumeStore | None) -> None:
    """Write `run.yaml` into the folder of a run, unless an interrupted run continues there."""
    if _read(recipe.folder) is not None and _has_result(recipe.folder):
        return
    content = {
        "stage": recipe.stage,
        "recipe": recipe_values(recipe),
        "data": None if store is None else _data_sets(store),
        "trained_on": trained_on(recipe),
        "processes": process_state().num_processes,
        "versions": package_versions(),
        "commit": code_commit(),
    }
    atomic.write_text(recipe.folder / FILE, yaml.safe_dump(content, sort_keys=False))


def recorded_precision(recipe: Recipe) -> str | None:
    """Return the precision in which a run in the recipe's folder was begun; None without one."""
    known = (_has_result(recipe.folder) and _read(recipe.folder)) or {}
    value = known.get("recipe", {}).get("training.precision")
    return None if value is None else str(value)


def recorded_processes(recipe: Recipe) -> int | None:
    """Return how many processes began the run in the recipe's folder; None without one."""
    value = ((_has_result(recipe.folder) and _read(recipe.folder)) or {}).get("processes")
    return None if value is None else int(value)


def remove_result(recipe: Recipe) -> None:
    """Remove what an earlier run wrote into the recipe's folder."""
    for pattern in _WRITTEN:
        for path in recipe.folder.glob(pattern):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()


def _data_sets(store: VolumeStore) -> dict[str, dict[str, Any]]:
    """Return the size of each data set of a store, and digests of its texts and voxels."""
    texts, voxels = _digests(store, "texts"), _digests(store, "voxels")
    found: dict[str, dict[str, Any]] = {}
    for index in range(len(store)):
        row = found.setdefault(store.dataset(index), {"scans": 0, "validation_scans": 0})
        row["validation_scans" if index in store.validation else "scans"] += 1
    for name, row in found.items():
        row |= {"texts": texts.get(name), "voxels": voxels.get(name)}
    return found


def _digests(store: VolumeStore, key: str) -> dict[str, str]:
    """Return a digest of the texts or voxels of each data set; {} for phantoms.

    A recipe names phantoms by their seeds.
    """
    if not isinstance(store, DatasetStore):
        return {}
    voxels = store.scan_digests() if key == "voxels" else [""] * len(store)
    parts: dict[str, list[str]] = {}
    for index, (r, digest) in enumerate(zip(store.records, voxels, strict=True)):
        if key == "texts":
            asked = [*r.questions], r.label_questions
            digest = repr((r.name, r.patient, dict(r.reports), dict(r.labels), asked))
        parts.setdefault(store.dataset(index), []).append(digest)
    return {name: _digest(sorted(found)) for name, found in parts.items()}


def reads_data(recipe: Recipe) -> bool:
    """Return whether a recipe's data is read from files, which can change."""
    return not isinstance(recipe.data, PhantomData) and recipe.stage not in ("language", "probe")


def _has_result(folder: Path) -> bool:
    """Return whether a run has left more than its record: a checkpoint, weights or losses."""
    patterns = ("checkpoints/*", "done", "losses.json", "*.safetensors")
    return any(next(folder.glob(pattern), None) for pattern in patterns)


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
