"""Train place heads for an encoder on phantoms, and judge them on others.

    python -m napari_ct_assistant.training.places MODEL FEATURES OUT [--phantoms N] [--unseen N]

MODEL is the folder of an imported encoder (such as that of `models add astra-backbone`). FEATURES
keeps the maps of each phantom (10 MB): an interrupted run continues where it was. OUT is the file
of heads; put it into the model's folder as `places.safetensors`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from napari_ct_assistant.backends.i3resnet.encoder import load_encoder
from napari_ct_assistant.backends.i3resnet.places.heads import PlaceHeads, backbone_digest
from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.training.places.cells import Source, rows_of
from napari_ct_assistant.training.places.features import features_of
from napari_ct_assistant.training.places.fitting import choose_strength, fit
from napari_ct_assistant.training.places.hits import count_hits
from napari_ct_assistant.training.places.patients import (
    TRAINING_SEEDS,
    UNSEEN_SEEDS,
    framed_phantom,
)


def cached(model: Path, folder: Path, seeds: Sequence[int]) -> list[Path]:
    """Return the feature file of each phantom; missing ones are made."""
    folder.mkdir(parents=True, exist_ok=True)
    files = [folder / f"{seed}.npz" for seed in seeds]
    missing = [seed for seed, file in zip(seeds, files, strict=True) if not file.exists()]
    if missing:
        network = load_encoder(model).network
        for seed in missing:
            features_of(network, *framed_phantom(seed)).save(folder / f"{seed}.npz")
            print(f"phantom {seed}", flush=True)
    return files


def main() -> None:
    """Train, judge, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("model", type=Path)
    parser.add_argument("features", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--phantoms", type=int, default=48)
    parser.add_argument("--unseen", type=int, default=16)
    parser.add_argument("--layer", choices=("layer3", "layer4"), default="layer3")
    said = parser.parse_args()
    source: Source = said.layer
    seeds, unseen = TRAINING_SEEDS[: said.phantoms], UNSEEN_SEEDS[: said.unseen]
    cells = rows_of(cached(said.model, said.features, seeds), source)
    strength, tried = choose_strength(cells)
    fitted = fit(cells, strength)
    hits = count_hits(cached(said.model, said.features, unseen), source, fitted)
    record = {
        "phantoms": [seeds.start, seeds.stop],
        "unseen": [unseen.start, unseen.stop],
        "penalty": strength,
        "auroc_by_penalty": tried,
        "hits": {name: asdict(one) for name, one in hits.items()},
    }
    heads = PlaceHeads(
        said.layer, FINDINGS, fitted.weight, fitted.bias, backbone_digest(said.model), record
    )
    said.out.parent.mkdir(parents=True, exist_ok=True)
    heads.save(said.out)
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
