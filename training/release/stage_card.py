"""The model card, the notice and the training data of what a stage has written."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import yaml

from napari_ct_assistant.support import atomic
from napari_ct_assistant.training.config.recipe import PhantomData, Recipe
from napari_ct_assistant.training.data.datasets.specs import SeveralData
from napari_ct_assistant.training.release.measured import END, START

RECORD = "run.yaml"  # training/run_record.py writes it
PHANTOMS = "synthetic chest phantoms"
NAMES = {
    "table": "the scans of a table",
    "ct_rate": "CT-RATE",
    "bimcv_r": "BIMCV-R",
    "amos_mm": "AMOS-MM",
    "m3d_cap": "M3D-Cap",
    "m3d_vqa": "M3D-VQA",
}
# docs/datasets.md, "Licences".
LICENCES = {
    "the scans of a table": "for you to state: these are your own scans",
    "CT-RATE": "CC BY-NC-SA 4.0",
    "BIMCV-R": "for research, on request",
    "AMOS-MM": "for research, under the challenge's terms",
    "M3D-Cap": "the teaching site's own terms, for research",
    "M3D-VQA": "the teaching site's own terms, for research",
    PHANTOMS: "none needed: they are generated",
}
# Keys that name files and folders of this computer.
_PATHS = ("data.", "held_out", "encoder.start", "model", "language.start", "stage", "seed")


def trained_on(recipe: Recipe, before: str = "") -> str:
    """Return what a model is trained on: the recipe's words, or the names of its data sets.

    `before` is what the model that the stage starts from was trained on; what its other starts
    (`trained_before`) were trained on is added.
    """
    if recipe.trained_on:
        return recipe.trained_on
    if isinstance(recipe.data, PhantomData):
        names = [] if before else [PHANTOMS]
    else:
        names = [NAMES[kind] for kind in _kinds(recipe)]
    known = [*before.split(" and "), *trained_before(recipe).split(" and ")]
    return " and ".join(dict.fromkeys([*filter(None, known), *names]))


def trained_before(recipe: Recipe) -> str:
    """Return what the starts of a recipe were trained on, as far as they say so."""
    starts = [recipe.encoder.start if recipe.encoder else None, recipe.model, recipe.language.start]
    found: list[str] = []
    for start in starts:
        if start is not None and (recipe.path(start) / RECORD).is_file():
            record = yaml.safe_load((recipe.path(start) / RECORD).read_text(encoding="utf-8"))
            found += filter(None, str(record.get("trained_on", "")).split(" and "))
    return " and ".join(dict.fromkeys(found))


def notice(recipe: Recipe, trained: str) -> str:
    """Return the line under every draft: the recipe's own, or that the model is untested."""
    return recipe.notice or (
        f"Trained on {trained}; not evaluated clinically. Not for clinical use."
    )


def write_stage_card(recipe: Recipe, *, steps: int) -> None:
    """Write `README.md` beside what a stage has written: data, licences, losses, recipe.

    Parameters
    ----------
    recipe
    steps
        How many optimizer steps were run.
    """
    folder = recipe.folder
    record: dict[str, Any] = yaml.safe_load((folder / RECORD).read_text(encoding="utf-8"))
    config = _json(folder / "config.json")
    trained = config.get("trained_on") or record["trained_on"]
    said = config.get("notice") or notice(recipe, trained)
    parts = [
        "---\nlibrary_name: napari-ct-assistant\n",
        f"license: {_hub_licence(trained)}\n",
        "tags: [ct, radiology, vision-language-model]\n---\n\n",
        f"# {folder.name}\n\n**{said}**\n\n",
        _table(_facts(recipe, record, trained, steps)),
        f"\n## Measured performance\n\n{_losses(folder)}",
        f"\n{START}\nNot evaluated yet. `ct-assistant evaluate` on patients that no training used "
        f"adds its figures here.\n{END}\n",
        _turns(folder),
        _settings(record["recipe"]),
    ]
    atomic.write_text(folder / "README.md", "".join(parts))


def _facts(recipe: Recipe, record: dict[str, Any], trained: str, steps: int) -> dict[str, str]:
    t = recipe.training
    code = f"napari-ct-assistant {record['versions']['napari-ct-assistant']}"
    if record["commit"]:
        code += f", commit {record['commit']}"
    others = [f"{k} {v}" for k, v in record["versions"].items() if k != "napari-ct-assistant"]
    rows = {"trained by": f"stage `{recipe.stage}`, seed {recipe.seed}"}
    starts = [recipe.encoder.start if recipe.encoder else None, recipe.model, recipe.language.start]
    if any(starts):
        rows["starts from"] = ", ".join(f"`{start.name}`" for start in starts if start)
    rows["training data"] = trained
    data = record["data"] or {}
    for name, one in data.items():
        held = one["validation_scans"]
        key = "scans" if len(data) == 1 else f"scans: {NAMES.get(name, name)}"
        rows[key] = f"{one['scans']:,}" + (
            f", and {held:,} for the validation loss" if held else ""
        )
    for name in trained.split(" and "):
        if name in LICENCES:
            rows[f"licence of {name}"] = LICENCES[name]
    length = f"{t.epochs} epoch(s)" if t.epochs is not None else f"{t.samples:,} samples"
    rows["training"] = (
        f"{steps:,} steps, {length}, learning rate {t.learning_rate:g}, {t.precision}"
    )
    return {**rows, "code": code, "packages": ", ".join(others)}


def _losses(folder: Path) -> str:
    validation = _json(folder / "validation.json")
    rows = {}
    training = json.loads((folder / "losses.json").read_text(encoding="utf-8"))
    if training:
        rows["training loss, last"] = f"{training[-1]['loss']:.4f}"
    if validation:
        kept = validation["kept_step"]
        losses = {row["step"]: row["loss"] for row in validation["losses"]}
        last = validation["losses"][-1]
        rows["validation loss of these weights"] = f"{losses[kept]:.4f}, at step {kept:,}"
        rows["validation loss, last"] = f"{last['loss']:.4f}, at step {last['step']:,}"
    picture = (
        "\n![Training and validation loss](losses.png)\n"
        if (folder / "losses.png").is_file()
        else ""
    )
    return _table(rows) + picture if rows else picture


def _turns(folder: Path) -> str:
    file = folder / "turns.csv"
    if not file.is_file():
        return ""
    with file.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    lines = ["\n## Questions of the training\n\n", "| data set | kind | turns | share |\n"]
    lines.append("| --- | --- | --- | --- |\n")
    lines += [
        f"| {r['data_set']} | {r['kind']} | {int(r['turns']):,} | {float(r['share']):.1%} |\n"
        for r in rows
    ]
    return "".join(lines)


def _settings(values: dict[str, Any]) -> str:
    """Return a recipe's values without those that name files of this computer."""
    kept = {k: v for k, v in values.items() if not k.startswith(_PATHS)}
    text = yaml.safe_dump(kept, sort_keys=False, allow_unicode=True)
    return f"\n## Recipe\n\n```yaml\n{text}```\n"


def _table(rows: dict[str, str]) -> str:
    lines = "".join(f"| {key} | {value} |\n" for key, value in rows.items())
    return f"| | |\n| --- | --- |\n{lines}"


def _hub_licence(trained: str) -> str:
    names = trained.split(" and ")
    if names == [PHANTOMS]:
        return "bsd-3-clause"
    return "cc-by-nc-sa-4.0" if set(names) <= {"CT-RATE", PHANTOMS} else "other"


def _json(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return content


def _kinds(recipe: Recipe) -> list[str]:
    data = recipe.data
    return [part.kind for part in data.parts] if isinstance(data, SeveralData) else [data.kind]
