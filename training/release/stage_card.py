"""The model card and the notice of a model that a stage has written from one's own data."""

from __future__ import annotations

from napari_ct_assistant.training.config.recipe import PhantomData, Recipe
from napari_ct_assistant.training.data.datasets.specs import SeveralData

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
    "table": "for you to state: these are your own scans",
    "ct_rate": "CC BY-NC-SA 4.0",
    "bimcv_r": "for research, on request",
    "amos_mm": "for research, under the challenge's terms",
    "m3d_cap": "the teaching site's own terms, for research",
    "m3d_vqa": "the teaching site's own terms, for research",
}


def trained_on(recipe: Recipe, before: str = "") -> str:
    """Return what a model is trained on: the recipe's words, or the names of its data sets.

    `before` is what the model that the stage starts from was trained on.
    """
    if recipe.trained_on:
        return recipe.trained_on
    if isinstance(recipe.data, PhantomData):
        return before or "synthetic chest phantoms"
    names = [NAMES[kind] for kind in _kinds(recipe)]
    return " and ".join(dict.fromkeys([*filter(None, before.split(" and ")), *names]))


def notice(recipe: Recipe, trained: str) -> str:
    """Return the line under every draft: the recipe's own, or that the model is untested."""
    return recipe.notice or (
        f"Trained on {trained}; not evaluated clinically. Not for clinical use."
    )


def stage_card(recipe: Recipe, trained: str, said: str) -> str:
    """Return a model card in Markdown, with the training data and its licences."""
    rows = [("trained by", f"stage `{recipe.stage}`, seed {recipe.seed}")]
    if recipe.model is not None:
        rows.append(("starts from", f"`{recipe.model.name}`"))
    rows.append(("training data", trained))
    if not isinstance(recipe.data, PhantomData):
        rows += [
            (f"licence of {NAMES[kind]}", LICENCES[kind]) for kind in dict.fromkeys(_kinds(recipe))
        ]
    table = "".join(f"| {key} | {value} |\n" for key, value in rows)
    return (
        "---\nlibrary_name: napari-ct-assistant\n"
        "tags: [ct, radiology, vision-language-model]\n---\n\n"
        f"# {recipe.folder.name}\n\n**{said}**\n\n| | |\n| --- | --- |\n{table}\n"
        "## Measured performance\n\nNot measured yet. Add the figures of `ct-assistant evaluate` "
        "on patients that no training used.\n"
    )


def _kinds(recipe: Recipe) -> list[str]:
    data = recipe.data
    return [part.kind for part in data.parts] if isinstance(data, SeveralData) else [data.kind]
