"""From the last stage's folder to one that ships: half precision, familiarity, thresholds."""

from __future__ import annotations

import json
import os
import subprocess
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from napari_ct_assistant.assistant import Assistant, load_assistant
from napari_ct_assistant.assistant.reading.ood import OutOfDistributionDetector, summary
from napari_ct_assistant.model.modeling import VolumeLanguageModel
from napari_ct_assistant.model.processor import VolumeLanguageProcessor
from napari_ct_assistant.phantoms import make_phantom
from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.training.config.recipe import Recipe
from napari_ct_assistant.training.data.phantom_seeds import SELECTION_SEEDS
from napari_ct_assistant.training.data.token_cache import TokenCache
from napari_ct_assistant.training.data.volume_store import VolumeStore
from napari_ct_assistant.training.evaluation.metrics.bootstrap import PatientBootstrap
from napari_ct_assistant.training.stages.calibration import operating_point
from napari_ct_assistant.training.worker_pool import use_threads

RELIABLE_AUROC = 0.75


def bundle(recipe: Recipe, store: VolumeStore, data: str, seed: int) -> Path:
    """Write `<root>/model`: weights in float16, processor, and what training scans look like.

    Parameters
    ----------
    recipe : Recipe
        Of the last stage.
    store : VolumeStore
        What the last stage was trained on; its scans are what looks familiar.
    data : str
        What all stages together were trained on, for the model card.
    seed : int
        What the chain began with.
    """
    model = VolumeLanguageModel.from_pretrained(recipe.folder)
    for config in (model.config, model.config.vision_config, model.config.text_config):
        config._name_or_path = ""  # where the stages ran is nobody's business
    processor = VolumeLanguageProcessor.from_pretrained(recipe.folder)
    target = recipe.root / "model"
    cache = TokenCache(store.folder / "tokens", model.vision_tower, store)
    scans = np.linspace(0, len(store) - 1, min(len(store), 600)).astype(int)
    OutOfDistributionDetector.fit(torch.stack([summary(cache[int(i)]) for i in scans])).save(
        _made(target)
    )
    model.generation_config.update(
        do_sample=False, max_new_tokens=processor.max_new_tokens, use_cache=True
    )
    model.half().save_pretrained(target)
    processor.save_pretrained(target)
    truth, probability = screen_selection(target)
    model.config.unreliable_findings = find_unreliable_findings(truth, probability)
    model.config.finding_thresholds = find_thresholds(truth, probability)
    model.config.save_pretrained(target)
    facts = {
        "command": "ct-assistant train demo",
        "version": version("napari-ct-assistant"),
        "commit": code_commit(),
        "seed": seed,
        "data": data,
        "seconds": stage_seconds(recipe.root),
    }
    (target / "training.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    print(f"{target}: written", flush=True)
    return target


def code_commit() -> str | None:
    """Return the git commit of this code, "with changes" where it has any; None outside git."""
    here = Path(__file__).resolve().parent
    told = []
    for question in (["rev-parse", "HEAD"], ["status", "--porcelain", "-uno"]):
        try:
            answer = subprocess.run(
                ["git", "-C", str(here), *question],
                capture_output=True,
                text=True,
                check=True,
            )
        except (OSError, subprocess.CalledProcessError):
            return None
        told.append(answer.stdout.strip())
    commit, changes = told
    return f"{commit} with changes" if changes else commit


def stage_seconds(root: Path) -> dict[str, int]:
    """Return how long each finished stage took, in the order of their numbers."""
    folders = [done.parent for done in root.glob("*/done")]
    folders.sort(key=lambda folder: (int(folder.name.partition("-")[0]), folder.name))
    return {folder.name: int((folder / "done").read_text().split()[0]) for folder in folders}


def screen_selection(folder: Path) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Screen the phantoms set apart for choices. Returns truth and probabilities [phantoms, 18]."""
    with ProcessPoolExecutor(
        os.cpu_count() or 1,
        mp_context=get_context("spawn"),
        initializer=_start_worker,
        initargs=(folder,),
    ) as pool:
        pairs = list(pool.map(_screen, SELECTION_SEEDS))
    truth, said = (np.array(column) for column in zip(*pairs, strict=True))
    return truth.astype(bool), said.astype(np.float64)


_worker: dict[str, Assistant] = {}


def _start_worker(folder: Path) -> None:
    use_threads(1)
    _worker["assistant"] = load_assistant(folder, device="cpu")


def _screen(seed: int) -> tuple[list[int], list[float]]:
    phantom = make_phantom(seed)
    rows = _worker["assistant"].read(phantom.volume).screen()
    return [phantom.labels[name] for name in FINDINGS], [row.probability for row in rows]


def find_thresholds(truth: NDArray[np.bool_], probability: NDArray[np.float64]) -> dict[str, float]:
    """Return the probability of each finding with the best balanced accuracy."""
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


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
