"""From the last stage's folder to a released model: float16, OOD detector, thresholds."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from napari_ct_assistant.assistant import Assistant
from napari_ct_assistant.backends.ood import OutOfDistributionDetector, summary
from napari_ct_assistant.model.modeling import VolumeLanguageModel
from napari_ct_assistant.model.processor import VolumeLanguageProcessor
from napari_ct_assistant.phantoms import make_phantom
from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.training.config.recipe import Recipe
from napari_ct_assistant.training.data.phantom_seeds import SELECTION_SEEDS
from napari_ct_assistant.training.data.token_cache import TokenCache
from napari_ct_assistant.training.data.volume_store import VolumeStore
from napari_ct_assistant.training.evaluation.assistant_pool import assistant_pool
from napari_ct_assistant.training.evaluation.metrics.bootstrap import PatientBootstrap
from napari_ct_assistant.training.release.code_version import code_commit
from napari_ct_assistant.training.stages.calibration import operating_point

RELIABLE_AUROC = 0.75
_OOD_SCANS = 600  # training scans that the detector is fitted to, spread evenly


def bundle(recipe: Recipe, store: VolumeStore, data: str, seed: int) -> Path:
    """Write the released model to `<root>/model`, replacing an earlier one.

    The folder is complete or absent: without the findings that are measured last, a model would
    claim more than it can do.

    Parameters
    ----------
    recipe : Recipe
        Of the last stage.
    store : VolumeStore
        The scans of the last stage; the out-of-distribution detector is fitted to them.
    data : str
        What all stages together were trained on, for the model card.
    seed : int
        Of the first stage.

    Returns
    -------
    Path
        The model's folder.
    """
    target = recipe.root / "model"
    with tempfile.TemporaryDirectory(prefix=".model.", dir=recipe.root) as work:
        folder = Path(work) / "model"
        folder.mkdir()
        model = _write_model(recipe, store, folder)
        truth, probability = screen_selection(folder)
        model.config.unreliable_findings = find_unreliable_findings(truth, probability)
        model.config.finding_thresholds = find_thresholds(truth, probability)
        model.config.save_pretrained(folder)
        facts = {
            "command": "ct-assistant train demo",
            "version": version("napari-ct-assistant"),
            "commit": code_commit(),
            "seed": seed,
            "data": data,
            "seconds": stage_seconds(recipe.root),
            "cpu_cores": os.cpu_count(),
        }
        (folder / "training.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        if target.exists():
            shutil.rmtree(target)
        folder.rename(target)
    print(f"{target}: written", flush=True)
    return target


def _write_model(recipe: Recipe, store: VolumeStore, folder: Path) -> VolumeLanguageModel:
    """Write weights, processor and out-of-distribution detector; return the model in float16."""
    model = VolumeLanguageModel.from_pretrained(recipe.folder)
    for config in (model.config, model.config.vision_config, model.config.text_config):
        config._name_or_path = ""  # a path of this machine
    processor = VolumeLanguageProcessor.from_pretrained(recipe.folder)
    cache = TokenCache(store.folder / "tokens", model.vision_tower, store)
    cache.fill()  # usually the last stage's, and complete
    scans = np.linspace(0, len(store) - 1, min(len(store), _OOD_SCANS)).astype(int)
    summaries = torch.stack([summary(cache[int(i)]) for i in scans])
    OutOfDistributionDetector.fit(summaries).save(folder)
    model.generation_config.update(
        do_sample=False, max_new_tokens=processor.max_new_tokens, use_cache=True
    )
    model = model.half()
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return model


def stage_seconds(root: Path) -> dict[str, int]:
    """Return {stage folder: seconds} of each finished stage, in the order of their numbers."""
    folders = [done.parent for done in root.glob("*/done")]
    folders.sort(key=lambda folder: (int(folder.name.partition("-")[0]), folder.name))
    return {folder.name: int((folder / "done").read_text().split()[0]) for folder in folders}


def screen_selection(folder: Path) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Screen the phantoms that are reserved for choices (`SELECTION_SEEDS`).

    Returns
    -------
    truth, probability : [phantoms, 18]
    """
    with assistant_pool(folder, os.cpu_count() or 1) as pool:
        pairs = list(pool.map(_screen, SELECTION_SEEDS))
    truth, probability = (np.array(column) for column in zip(*pairs, strict=True))
    return truth.astype(bool), probability.astype(np.float64)


def _screen(assistant: Assistant, seed: int) -> tuple[list[int], list[float]]:
    phantom = make_phantom(seed)
    rows = assistant.read(phantom.volume).screen()
    return [phantom.labels[name] for name in FINDINGS], [row.score for row in rows]


def find_thresholds(truth: NDArray[np.bool_], probability: NDArray[np.float64]) -> dict[str, float]:
    """Return {finding: probability with the best balanced accuracy}.

    A finding that all or none of the phantoms have gets no threshold.

    Parameters
    ----------
    truth, probability : [phantoms, 18]
    """
    thresholds = {}
    for name, present, p in zip(FINDINGS, truth.T, probability.T, strict=True):
        if present.any() and not present.all():
            p = np.clip(p, 1e-9, 1 - 1e-9)
            cut, _ = operating_point(np.log(p / (1 - p)), present)
            thresholds[name] = float(f"{1 / (1 + np.exp(-cut)):.6g}")
    return thresholds


def find_unreliable_findings(
    truth: NDArray[np.bool_], probability: NDArray[np.float64]
) -> list[str]:
    """Return the findings that the screen does not tell apart reliably.

    A finding is reliable if the lower end of its AUROC's 95 % interval reaches
    `RELIABLE_AUROC`, not the AUROC itself: on 120 phantoms a true AUROC of 0.7 may come out as
    0.8 by chance.

    Parameters
    ----------
    truth, probability : [phantoms, 18]
    """
    bootstrap = PatientBootstrap(range(len(truth)))  # each phantom is a patient
    unreliable = []
    for name, present, p in zip(FINDINGS, truth.T, probability.T, strict=True):
        low, _ = bootstrap.interval(bootstrap.of_auroc(present.astype(np.float64), p))
        if not low >= RELIABLE_AUROC:  # also where it is NaN
            unreliable.append(name)
    return unreliable
