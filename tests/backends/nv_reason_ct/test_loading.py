"""Loading needs the memory of the weights once, and leaves out what no CT reaches."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from napari_ct_assistant import load_assistant
from napari_ct_assistant.backends.nv_reason_ct.memory import model_counts
from napari_ct_assistant.backends.nv_reason_ct.network.configuration import UNUSED
from napari_ct_assistant.backends.nv_reason_ct.published import SIZES, TEXT, published_tensors
from tests.backends.nv_reason_ct.tiny_checkpoint import save_tiny_checkpoint

MEASURE = """
import json, sys
from pathlib import Path
from napari_ct_assistant.backends.nv_reason_ct.loading import load

def kilobytes(what):
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(what)))

for dtype in ("bfloat16", "float32"):
    before = kilobytes("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    backend = load(Path(sys.argv[1]), "model", device="cpu", dtype=dtype)
    held = sum(p.nbytes for p in backend.model.parameters()) / 1024
    print(json.dumps({"peak": kilobytes("VmHWM") - before, "held": held}))
    del backend
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak from /proc")
def test_the_peak_while_loading_is_the_weights(tmp_path: Path) -> None:
    """At a size at which what the interpreter itself takes is small beside the weights."""
    folder = save_tiny_checkpoint(
        tmp_path / "model", text={"vocab_size": 300_000, "hidden_size": 512}
    )
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(folder)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    figures = [json.loads(line) for line in done.stdout.splitlines()]
    assert [round(f["held"] / 1e5) for f in figures] == [3, 6]  # 300 and 600 MB
    for one in figures:
        # A buffer of 32 MB, and the tokenizer.
        assert one["peak"] < 1.1 * one["held"] + 50_000


def test_the_estimate_of_the_published_size() -> None:
    shapes = {k: s for k, s in published_tensors().items() if not k.startswith(UNUSED)}
    counts, tokens = model_counts(shapes, {"text_config": TEXT}, SIZES)
    assert counts.values == 4_352_801_184 - 864  # the mask token is of no use
    assert tokens == 13_824 + 64 + 2048
    half = counts.need(2, tokens=tokens)
    assert half.weights == pytest.approx(8.7e9, rel=0.01)
    # Keys and values of 8 layers, and the states of 24, for three at a time.
    keys = 8 * 2 * 4 * 256 * 2 * tokens
    states = 24 * 32 * 128 * 128 * 4
    assert half.cache == pytest.approx(3 * (keys + states), rel=0.01)
    assert counts.need(2, quantize="8bit", tokens=tokens).weights < 5.6e9


def test_rotary_tables_are_in_float32_after_loading(tmp_path: Path) -> None:
    model = load_assistant(
        save_tiny_checkpoint(tmp_path / "model"), device="cpu", dtype="bfloat16"
    ).model
    assert model.dtype == torch.bfloat16
    assert model.vision3d.sub_vision.eva.rope.dtype == torch.float32
    assert model.vision3d.sub_vision.eva.rope.isfinite().all()
    inverse = model.language_model.rotary_emb.inv_freq
    assert inverse.dtype == torch.float32
    assert float(inverse[0]) == 1.0
