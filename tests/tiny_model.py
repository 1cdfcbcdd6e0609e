"""A tiny model that learned two texts by heart: what tests load and run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig

from napari_ct_assistant.model.configuration import VolumeLanguageConfig
from napari_ct_assistant.model.format import GROUNDED_KEYS
from napari_ct_assistant.model.grounded.configuration import GroundedVisionConfig3D
from napari_ct_assistant.model.modeling import VolumeLanguageModel
from napari_ct_assistant.model.processor import VolumeLanguageProcessor
from napari_ct_assistant.model.vision_configuration import VisionConfig3D
from napari_ct_assistant.report_text.questions import REPORT_QUESTION
from napari_ct_assistant.training.config.recipe import ConversationSettings
from napari_ct_assistant.training.sequences.collator import Collator
from napari_ct_assistant.training.sequences.packing import pack_sequence
from napari_ct_assistant.training.sequences.turns import Turn
from napari_ct_assistant.training.stages.tokenizer import IMAGE, train_tokenizer

REPORT = "Findings: The heart is enlarged. There is no pleural effusion. Impression: Cardiomegaly."
TURNS = {
    REPORT_QUESTION: REPORT,
    "Does this image show signs of lung nodule?": "Yes, in the right upper lobe.",
    "Does this image show signs of emphysema?": "No.",
}
NOTICE = "Tiny model for tests."


def tiny_vision(**changes: Any) -> VisionConfig3D:
    """Return a 4x4x4 token grid of 32x64x64 voxels; grounded where the changes ask for it."""
    settings: dict[str, Any] = {
        "image_size": (32, 64, 64),
        "patch_size": (8, 16, 16),
        "hidden_size": 24,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    if any(key.startswith(GROUNDED_KEYS) for key in changes):
        return GroundedVisionConfig3D(**(settings | changes))
    return VisionConfig3D(**(settings | changes))


def tiny_model(
    *, learned: bool = False, **changes: Any
) -> tuple[VolumeLanguageModel, VolumeLanguageProcessor]:
    """Return model and processor; `changes` go to the `VolumeLanguageConfig`."""
    torch.manual_seed(0)
    tokenizer = train_tokenizer([*TURNS, *TURNS.values()], vocab_size=320)
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=24,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=512,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    settings: dict[str, Any] = {
        "vision_config": tiny_vision(),
        "text_config": text,
        "image_token_id": int(tokenizer.convert_tokens_to_ids(IMAGE)),
        "trained_on": "nothing",
        "notice": NOTICE,
    }
    model = VolumeLanguageModel(VolumeLanguageConfig(**(settings | changes))).eval()
    vision = model.config.vision_config
    processor = VolumeLanguageProcessor(
        tokenizer,
        image_size=vision.image_size,
        patch_size=vision.patch_size,
        num_image_tokens=model.num_image_tokens,
        spacing=(10.0, 6.0, 6.0),
        image_token=IMAGE,
        prompt="{image}{question}\n",
        answer_prefix="",
        max_new_tokens=60,
    )
    if learned:
        _learn_by_heart(model, processor)
    return model, processor


def _learn_by_heart(model: VolumeLanguageModel, processor: VolumeLanguageProcessor) -> None:
    """Train the language side on `TURNS`, with random images: a second or two."""
    model.vision_tower.requires_grad_(False)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=1e-2)
    settings = ConversationSettings(packed=True, max_length=2000)
    turns = [Turn(q, a) for q, a in TURNS.items()]
    batch = Collator(0, packed=True)(
        [pack_sequence(processor.prefix_ids(), turns, processor, settings)]
    )
    batch.pop("loss_weights")
    for _ in range(120):
        pixel_values = torch.rand(1, 1, *model.config.vision_config.image_size)
        loss = model(pixel_values=pixel_values, **batch).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.requires_grad_(True)


def save_tiny_model(folder: Path, *, learned: bool = True, **changes: Any) -> Path:
    """Write the tiny model as `load_assistant` reads it."""
    model, processor = tiny_model(learned=learned, **changes)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
