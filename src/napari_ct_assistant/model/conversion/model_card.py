"""The README.md of an imported model: a model card in the hub's format."""

from __future__ import annotations

from pathlib import Path

from napari_ct_assistant.model.configuration import VolumeLanguageConfig

CARD = """---
library_name: transformers
pipeline_tag: image-text-to-text
tags: [computed-tomography, radiology, napari-ct-assistant]
---
# {name}

A 3D vision-language model for CT in the format of napari-ct-assistant, imported from `{source}`
(details in `imported.json`). It has {parameters:.2f} billion parameters. The encoder turns
{image} voxels into {encoder} tokens of {patch} voxels, the perceiver `{perceiver}` merges them to
{tokens} image tokens, and the language model is a `{language}`.

    ct-assistant report SCAN.nii.gz --model FOLDER

Trained on: {trained_on}.

For research only. It is not a medical device, and its statements about a scan may be wrong. Its
licence is that of the weights it was made from.
"""


def write_card(
    folder: Path, config: VolumeLanguageConfig, name: str, source: str, parameters: int
) -> None:
    """Write `README.md` into a model's folder."""
    vision = config.vision_config
    grid = [n // config.perceiver_kernel for n in vision.grid]
    text = CARD.format(
        name=name,
        source=source,
        parameters=parameters / 1e9,
        encoder=_times(vision.grid),
        patch=_times(vision.patch_size),
        image=_times(vision.image_size),
        perceiver=config.perceiver,
        tokens=_times(grid),
        language=config.text_config.model_type,
        trained_on=config.trained_on or "not stated",
    )
    (folder / "README.md").write_text(text, encoding="utf-8")


def _times(sizes: tuple[int, ...] | list[int]) -> str:
    return "x".join(map(str, sizes))
