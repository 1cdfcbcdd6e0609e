"""From the last stage's folder to one that ships: half precision, with its familiarity."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from napari_ct_assistant.assistant import load_assistant
from napari_ct_assistant.assistant.familiarity import Familiarity, summary
from napari_ct_assistant.findings import FINDINGS
from napari_ct_assistant.model.modeling import VolumeLanguageModel
from napari_ct_assistant.model.processor import VolumeLanguageProcessor
from napari_ct_assistant.training.audit_metrics import auroc
from napari_ct_assistant.training.phantoms import make_phantom
from napari_ct_assistant.training.recipe import Recipe
from napari_ct_assistant.training.token_cache import TokenCache
from napari_ct_assistant.training.volume_store import VolumeStore

SELECTION_SEEDS = range(500_000, 500_060)  # neither trained on nor audited
CLAIMED_AUROC = 0.75


def bundle(recipe: Recipe, store: VolumeStore) -> Path:
    """Write `<root>/model`: weights in float16, processor, and what training scans look like.

    Parameters
    ----------
    recipe : Recipe
        Of the last stage.
    store : VolumeStore
        What it was trained on.
    """
    model = VolumeLanguageModel.from_pretrained(recipe.folder)
    for config in (model.config, model.config.vision_config, model.config.text_config):
        config._name_or_path = ""  # where the stages ran is nobody's business
    processor = VolumeLanguageProcessor.from_pretrained(recipe.folder)
    target = recipe.root / "model"
    cache = TokenCache(store.folder / "tokens", model.vision_tower, store)
    scans = np.linspace(0, len(store) - 1, min(len(store), 600)).astype(int)
    Familiarity.fit(torch.stack([summary(cache[int(i)]) for i in scans])).save(_made(target))
    model.generation_config.update(do_sample=False, max_new_tokens=processor.max_new_tokens)
    model.half().save_pretrained(target)
    processor.save_pretrained(target)
    model.config.untaught_findings = find_untaught(target)
    model.config.save_pretrained(target)
    facts = {
        "command": "ct-assistant train demo",
        "seed": recipe.seed,
        "data": store.key,
        "volumes": len(store),
        "seconds": {
            done.parent.name: int(done.read_text().split()[0])
            for done in sorted(recipe.root.glob("*/done"))
        },
    }
    (target / "training.json").write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
    print(f"{target}: written", flush=True)
    return target


def find_untaught(folder: Path) -> list[str]:
    """Return the findings that a model's screen does not tell apart well enough to claim."""
    assistant = load_assistant(folder)
    truth, said = [], []
    for seed in SELECTION_SEEDS:
        phantom = make_phantom(seed)
        truth.append([phantom.labels[name] for name in FINDINGS])
        said.append([row.probability for row in assistant.read(phantom.volume).screen()])
    y, p = np.array(truth, dtype=float), np.array(said)
    return [name for f, name in enumerate(FINDINGS) if not auroc(y[:, f], p[:, f]) >= CLAIMED_AUROC]


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder
