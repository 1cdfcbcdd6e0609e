"""A COLIPRI folder with random weights: 27 tokens of 8 voxels, a vocabulary of plain words."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from napari_ct_assistant.backends.colipri.configuration import ColipriSizes, TextSizes
from napari_ct_assistant.backends.colipri.network import Colipri
from napari_ct_assistant.backends.colipri.prompts import SIDES, pair
from napari_ct_assistant.report_text.findings import FINDINGS

MORE_WORDS = ("broken", "rib", "a", "pacemaker")


def vocabulary() -> list[str]:
    """Return the special tokens, and the words of all prompts."""
    texts = [text for name in FINDINGS for text in pair(name)]
    texts += [text for both in SIDES for text in both]
    words = {word for text in texts for word in re.findall(r"\w+", text.lower())}
    return ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *sorted(words | set(MORE_WORDS))]


def save_tiny_colipri(folder: Path, *, orientation: str = "RAS", edge: int = 24) -> Path:
    """Write the folder and return it."""
    folder.mkdir(parents=True)
    words = vocabulary()
    text = TextSizes(len(words), 24, 1, 2, 48, 32, 2)
    torch.manual_seed(5)
    network = Colipri(ColipriSizes(edge, 8, 36, 2, 2, 48, 24, 2, text))
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith((".gamma_1", ".gamma_2")):
                parameter.fill_(1.0)
            elif parameter.ndim > 1:
                parameter.normal_(std=0.3)
    tensors = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    tensors["image_encoder.backbone.mask_token"] = torch.zeros(1, 1, 36)
    tensors["softmax_temperature"] = torch.tensor(0.07)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    write_config(
        folder,
        model_type="colipri",
        image_encoder={"num_heads": 2, "pooler_heads": 2},
        text_encoder={"num_heads": 2, "pooler_heads": 2},
        preprocessing={"orientation": orientation, "spacing": 12.0, "input_size": edge},
    )
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    return folder


def write_config(folder: Path, **content: Any) -> None:
    """Write `config.json`."""
    (folder / "config.json").write_text(json.dumps(content), encoding="utf-8")


def change_config(folder: Path, **changes: Any) -> None:
    """Replace entries of `config.json`; None takes one out."""
    content = json.loads((folder / "config.json").read_text(encoding="utf-8")) | changes
    write_config(folder, **{key: value for key, value in content.items() if value is not None})
