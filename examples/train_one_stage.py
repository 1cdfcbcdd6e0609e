"""Run one training stage from a bundled recipe, with a few of its values changed.

    python examples/train_one_stage.py [FOLDER] [KEY=VALUE ...]

The masked autoencoder of the demonstration model learns from eight phantoms instead of 1,200: a
minute or two on a CPU, and no model worth having. On the command line the same is
`ct-assistant train mae demo/mae root=FOLDER data.count=8 training.samples=16`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from napari_ct_assistant.training.run import run_stage

# Phantoms are rendered in several processes, each of which imports this file again.
if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "runs/example")
    run_stage(
        "mae",
        "demo/mae",
        [f"root={folder}", "data.count=8", "training.samples=16", *sys.argv[2:]],
    )
    for path in sorted(folder.rglob("*.safetensors")):
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")
