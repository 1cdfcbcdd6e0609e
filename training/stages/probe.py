"""Stage `probe`: heads for one's own labels on a frozen encoder.

Each scan is encoded once, its features are kept, and a logistic regression for each finding is
fitted to them. The result is a model that screens and writes no text. There is no Trainer: the
whole fit takes seconds once the scans are encoded.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from napari_ct_assistant.assistant.models.installed import find_model
from napari_ct_assistant.backends.model_info import shown_name
from napari_ct_assistant.backends.probe.encoders import load_scan_encoder
from napari_ct_assistant.backends.probe.folder import ENCODER
from napari_ct_assistant.backends.probe.loading import save_probe
from napari_ct_assistant.backends.probe.scan_encoder import ScanEncoder
from napari_ct_assistant.support import atomic
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.config.recipe import Recipe
from napari_ct_assistant.training.data.leaks import Seen
from napari_ct_assistant.training.probing.card import write_probe_card
from napari_ct_assistant.training.probing.features import FeatureCache, chosen
from napari_ct_assistant.training.probing.figures import FIGURES, head_figures, unreliable
from napari_ct_assistant.training.probing.fit import fit_heads
from napari_ct_assistant.training.probing.samples import (
    Sample,
    probe_samples,
    refuse_held_out,
)
from napari_ct_assistant.training.release.code_version import code_commit, package_versions
from napari_ct_assistant.training.release.stage_card import LICENCES, notice, trained_on

CACHE = "features"


def run(recipe: Recipe, record: Callable[[], None], *, check: bool = False) -> None:
    """Encode, fit, measure and write.

    Parameters
    ----------
    recipe : Recipe
    record
        Called before the first scan is encoded, to write down what is trained.
    check
        Print the size of the run and write nothing.

    Raises
    ------
    RecipeError
        If data, labels or encoder do not fit.
    """
    settings = recipe.probe
    samples = probe_samples(recipe)
    refuse_held_out(recipe, samples)
    names = _findings(samples, settings.findings)
    held = [sample for sample in samples if sample.held_out]
    trained = [sample for sample in samples if not sample.held_out]
    source = _source(recipe)
    print(
        f"{recipe.output}: stage probe\n"
        f"  scans     {len(trained)} of {len({s.patient for s in trained})} patients; "
        f"{len(held)} of {len({s.patient for s in held})} held-out patients\n"
        f"  findings  {len(names)}: {', '.join(names[:6])}{' ...' if len(names) > 6 else ''}\n"
        f"  encoder   {shown_name(source)}, frozen; {settings.pooling} over its places",
        flush=True,
    )
    encoder = load_scan_encoder(find_model(source), shown_name(source))
    if settings.region and settings.region not in encoder.regions:
        raise RecipeError(
            f"probe.region: {settings.region!r}; {encoder.name} has "
            f"{', '.join(encoder.regions) or 'no regions'}"
        )
    if check:
        return
    record()
    cache = FeatureCache(recipe.folder / CACHE, encoder, settings.region)
    features = cache.fill([*trained, *held], progress=_tell)
    features = chosen(features, settings.pooling)
    labels = _labels([*trained, *held], names)
    count = len(trained)
    fitted = fit_heads(
        features[:count],
        labels[:count],
        names,
        [sample.patient for sample in trained],
        pooling=settings.pooling,
        strengths=settings.strengths,
        folds=settings.folds,
        calibration=settings.calibration,
    )
    heads = fitted.heads
    columns = [names.index(name) for name in heads.labels]
    base = np.nanmean(labels[:count][:, columns], axis=0)
    figures = head_figures(
        heads,
        features[count:],
        labels[count:][:, columns],
        [sample.patient for sample in held],
        base,
    )
    _write(recipe, encoder, heads, cache.places, figures, fitted.left_out)
    Seen(
        frozenset(sample.patient for sample in trained),
        validation_patients=frozenset(sample.patient for sample in held),
    ).write(recipe.folder)
    mean = figures["mean"]
    if mean["auroc"] is not None:
        print(
            f"held-out patients: mean AUROC {mean['auroc']:.3f} over {mean['findings']} "
            f"finding(s), {mean['auroc_another_scan']:.3f} with another patient's scan",
            flush=True,
        )


def _write(
    recipe: Recipe,
    encoder: ScanEncoder,
    heads: Any,
    places: int,
    figures: dict[str, Any],
    left_out: dict[str, str],
) -> None:
    """Write heads, encoder, figures and card."""
    folder = recipe.folder
    shutil.rmtree(folder / ENCODER, ignore_errors=True)  # of an interrupted run
    data = trained_on(recipe)
    said = notice(recipe, data)
    more: dict[str, Any] = {
        "trained_on": data,
        "notice": said,
        "unreliable_findings": unreliable(figures),
    }
    if recipe.probe.region:
        more["region"] = recipe.probe.region
    atomic.write_text(folder / FIGURES, json.dumps(figures, indent=2) + "\n")
    versions = package_versions()
    code = f"napari-ct-assistant {versions['napari-ct-assistant']}"
    commit = code_commit()
    facts = {
        "encoder": f"{encoder.name}, frozen; its own licence holds for the copy in `{ENCODER}/`",
        "encoder trained on": encoder.trained_on or "not said",
        "heads trained on": data,
        **{
            f"licence of {name}": LICENCES[name] for name in data.split(" and ") if name in LICENCES
        },
        "features": f"{heads.pooling} over {places:,} places",
        "calibration": recipe.probe.calibration,
        "code": code if commit is None else f"{code}, commit {commit}",
    }
    card = write_probe_card(folder.name, facts, said, figures, left_out)
    atomic.write_text(folder / "README.md", card)
    save_probe(folder, heads, encoder, places, more)


def _source(recipe: Recipe) -> str:
    """Return the model whose encoder is read: a folder under `root`, or as `--model` takes it."""
    named = recipe.probe.encoder
    folder = recipe.path(Path(named))
    return str(folder) if named != "demo" and folder.is_dir() else named


def _findings(samples: list[Sample], wanted: tuple[str, ...]) -> list[str]:
    """Return the findings to train, in the order in which the labels name them."""
    known = list(dict.fromkeys(name for sample in samples for name in sample.labels))
    if missing := [name for name in wanted if name not in known]:
        raise RecipeError(
            f"probe.findings: no scan has a label {missing[0]!r}; the labels are "
            f"{', '.join(known[:20])}"
        )
    return list(wanted) or known


def _labels(samples: list[Sample], names: list[str]) -> Any:
    rows = [[sample.labels.get(name, np.nan) for name in names] for sample in samples]
    return np.array(rows, dtype=np.float64)


def _tell(done: int, count: int) -> None:
    if done % 20 == 0 or done == count:
        print(f"encoded: {done} of {count}", flush=True)
