"""Astra against the reference's figures, through import, `load_assistant` and the processor.

The data lie beside the project (shared/parity); without them these tests are skipped.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_ct_assistant import load_assistant, open_ct
from napari_ct_assistant.assistant import GenerationSettings
from napari_ct_assistant.backends.importing import import_model


def test_perceiver_prompt_logits_and_report(shared_data: Path, tmp_path: Path) -> None:
    parity = shared_data.parent / "parity"
    if not (parity / "astra").is_dir():
        pytest.skip("the reference's figures are absent: no shared/parity beside the project")
    said = json.loads((parity / "astra" / "case.json").read_text())
    sizes = json.loads((parity / "i3resnet" / "case.json").read_text())
    with np.load(parity / "astra" / "case.npz") as arrays:
        expected = dict(arrays)
    with np.load(parity / "i3resnet" / "case.npz") as arrays:
        volume, features = arrays["pre_chest"], arrays["map"]
    done = import_model(
        parity / "astra",
        tmp_path / "astra",
        base=parity / "qwen2_5_vl",
        encoder=parity / "i3resnet",
        settings={
            "size": sizes["size"],
            "spacing": sizes["merlin_spacing"],
            "perceiver_heads": said["perceiver"]["heads"],
        },
    )
    assistant = load_assistant(done.folder, device="cpu", dtype="float32")
    model, processor = assistant.model, assistant.backend.processor
    tokens = torch.from_numpy(features).flatten(1).T[None]
    perceiver = model.projector.perceiver
    latents = perceiver.latents[None]
    with torch.no_grad():
        for layer in perceiver.layers:
            latents = layer(latents, tokens)
        image = model.get_image_features(tokens)
    assert np.abs(perceiver.norm(latents)[0].detach().numpy() - expected["latents"]).max() <= 1e-4
    assert np.abs(image[0].numpy() - expected["image_embeddings"]).max() <= 1e-4
    scan = open_ct(parity / "i3resnet" / sizes["scan"])
    reading = assistant.read(scan, region="chest")
    assert np.abs(reading.scan.pixel_values[0, 0].numpy() - volume).max() <= 1e-5
    context = reading.context
    assert np.abs(context.image_tokens[0].numpy() - expected["image_embeddings"]).max() <= 1e-4
    question, _ = context.report_question("Report", {})
    ids = processor.prefix_ids() + context.prompt(question).ids
    assert ids == expected["input_ids"][0].tolist()
    assert processor.tokenizer.decode(ids) == said["prompt_text"]
    with torch.no_grad():
        embeddings = model.embed(torch.tensor([ids]), context.image_tokens)
        logits = model(inputs_embeds=embeddings).logits[0, -1]
    assert np.abs(logits.numpy() - expected["logits_last"]).max() <= 1e-4
    count = len(expected["generated"])
    written = context.generate(
        context.prompt(question), settings=GenerationSettings(max_new_tokens=count)
    )
    assert written.ids == expected["generated"].tolist()[: len(written.ids)]
    assert len(written.ids) >= count - 1
