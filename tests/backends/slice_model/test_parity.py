"""Slice models against transformers' own figures, through load_assistant, processor and Reading.

The data lie beside the project (shared/parity); without them these tests are skipped.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from napari_ct_assistant import CTVolume, load_assistant, open_ct
from napari_ct_assistant.assistant import Assistant, GenerationSettings
from napari_ct_assistant.backends.slices import SliceRange

GENERIC = ("CT slices of the chest.", "<image>", "SLICE 1", "<image>", "SLICE 2", "<image>",
           "SLICE 3", "\n\nComment on opacities. Findings:")  # fmt: skip
TOLERANCE = 1e-4
Case = tuple[Assistant, dict[str, Any], dict[str, NDArray[Any]]]


@pytest.fixture(scope="module", params=["gemma3", "gemma4", "qwen2_5_vl", "qwen3_vl"])
def case(request: pytest.FixtureRequest, shared_data: Path) -> Case:
    folder = shared_data.parent / "parity" / request.param
    if not folder.is_dir():
        pytest.skip("the reference's figures are absent: no shared/parity beside the project")
    with np.load(folder / "case.npz") as stored:
        arrays = dict(stored)
    assistant = load_assistant(folder, device="cpu", dtype="float32")
    return assistant, json.loads((folder / "case.json").read_text()), arrays


def test_conversation_and_slices_are_the_references(case: Case) -> None:
    assistant, said, arrays = case
    images = list(arrays["rgb"]) if "rgb" in arrays else [arrays[f"rgb{i}"] for i in range(3)]
    texts = said.get("messages_text", GENERIC)
    parts = [{"type": "image"} if t == "<image>" else {"type": "text", "text": t} for t in texts]
    messages = [{"role": "user", "content": parts}]
    if "prompt_text" in said:
        assert assistant.processor.apply_chat_template(messages) == said["prompt_text"]
    feature = assistant.processor(messages, images=images)
    assert feature["input_ids"].tolist() == arrays["input_ids"].tolist()
    for key in ("pixel_values", "image_grid_thw", "image_position_ids", "token_type_ids"):
        assert (key in feature) == (key in arrays)
        if key in arrays:
            np.testing.assert_array_equal(feature[key].numpy(), arrays[key])
    with torch.no_grad():
        logits = assistant.model(**feature).logits[0]
    np.testing.assert_allclose(logits[-1].numpy(), arrays["logits_last"], atol=TOLERANCE)
    ids = assistant.model.generate(**feature, max_new_tokens=12, do_sample=False)
    assert ids[0, feature["input_ids"].shape[1] :].tolist() == arrays["generated"].tolist()


@pytest.mark.parametrize("case", ["qwen2_5_vl", "qwen3_vl"], indirect=True)
def test_positions_are_the_references(case: Case) -> None:
    assistant, _, arrays = case
    ids = torch.from_numpy(arrays["input_ids"])
    types = assistant.processor.types(ids[0].tolist())
    grids = torch.from_numpy(arrays["image_grid_thw"])
    positions, delta = assistant.model.model.get_rope_index(ids, types, image_grid_thw=grids)
    assert positions.tolist() == arrays["position_ids"].tolist()
    assert delta.tolist() == arrays["rope_deltas"].tolist()


def test_a_reading_answers_as_the_notebook_does(shared_data: Path) -> None:
    """MedGemma's layout from HU to tokens: windows, message, features and answer."""
    folder = shared_data.parent / "parity" / "gemma3"
    said = json.loads((folder / "case.json").read_text())
    with np.load(folder / "case.npz") as stored:
        arrays = dict(stored)
    affine = np.diag([0.0, 0.0, 0.0, 1.0])
    affine[2, 0], affine[1, 1], affine[0, 2] = -3.0, -0.7, -0.7
    assistant = load_assistant(folder, device="cpu", dtype="float32")
    reading = assistant.read(CTVolume(arrays["hu"], affine))
    context = reading.context
    assert all(
        (a == b).all() for a, b in zip(context.scan.pixel_values, arrays["rgb"], strict=True)
    )
    features = context.vision_tokens.reshape(arrays["image_features"].shape)
    np.testing.assert_allclose(features.numpy(), arrays["image_features"], atol=TOLERANCE)
    prompt = context.prompt(said["messages_text"][-1].strip())
    assert [*prompt.prefix, *prompt.ids] == arrays["input_ids"][0].tolist()
    answer = context.generate(prompt, settings=GenerationSettings(max_new_tokens=12))
    assert answer.ids == arrays["generated"].tolist()


def test_shares_of_a_sharp_model_add_up_to_the_support(case: Case, shared_data: Path) -> None:
    """The fixtures' weights are large, so the likelihood bends on the way from no slices."""
    reading = case[0].read(open_ct(shared_data / "chest_lidc_0314"), slices=SliceRange(60, 200, 9))
    found = reading.evidence("Is there a nodule?", "Yes, in SLICE 4.")
    assert sum(found.shares) == pytest.approx(found.support, rel=0.02, abs=0.02)
