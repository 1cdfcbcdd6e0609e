"""The prompts of Astra's release, by region, and the headings of its reports."""

from __future__ import annotations

import re
from typing import Final

from napari_ct_assistant.backends.i3resnet.input import chains

CHEST: Final = chains.CHEST
ABDOMEN: Final = chains.ABDOMEN
ORGANS: Final = "liver-pancreas-kidneys"
REGIONS: Final = (CHEST, ABDOMEN, ORGANS)
CHAIN: Final = {CHEST: chains.CHEST, ABDOMEN: chains.ABDOMEN, ORGANS: chains.ABDOMEN}

IMAGE_TOKEN: Final = "<|image_pad|>"  # noqa: S105  a word of the vocabulary
END: Final = "<|im_end|>"
PROMPT: Final = (
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
    "<|vision_start|>{image}<|vision_end|>{question}<|im_end|>\n<|im_start|>assistant\n"
)
PARTS: Final[dict[str, tuple[str, ...]]] = {
    CHEST: (
        "abdomen", "bone", "breast", "esophagus", "heart", "lung", "mediastinum", "pleura",
        "thyroid", "trachea and bronchie",
    ),
    ABDOMEN: (
        "lower thorax", "liver and biliary tree", "gallbladder", "spleen", "pancreas",
        "adrenal glands", "kidneys and ureters", "gastrointestinal tract", "peritoneum", "pelvic",
        "vasculature", "lymph nodes", "musculoskeletal",
    ),
    ORGANS: ("liver and biliary tree", "pancreas", "kidneys and ureters"),
}  # fmt: skip
NORMAL: Final = "For any region without abnormalities, state 'normal.'."


def _whole(kind: str) -> str:
    return (
        f"Generate a comprehensive and detailed diagnosis report for this {kind} CT image. "
        "Structure the report by describing the following regions in this exact order: "
        f"{', '.join(PARTS[kind])}. {NORMAL}"
    )


QUESTIONS: Final[dict[str, str]] = {
    CHEST: _whole(CHEST),
    ABDOMEN: _whole(ABDOMEN),
    ORGANS: (
        "Please analyze the liver and biliary tree, pancreas, and kidneys and ureters areas from "
        f"this abdominal CT scan. {NORMAL}"
    ),
}


def split_report(text: str, region: str) -> dict[str, str]:
    """Return the parts of a report by region of the body; the whole where none is named."""
    names = "|".join(map(re.escape, PARTS[region]))
    pieces = re.split(rf"(?:^|(?<=[.\n]))\s*({names})\s*:\s*", text, flags=re.IGNORECASE)
    if len(pieces) < 3:
        return {"Report": text}
    found = {"Report": pieces[0].strip()} if pieces[0].strip() else {}
    for name, part in zip(pieces[1::2], pieces[2::2], strict=True):
        found[name[:1].upper() + name[1:].lower()] = part.strip()
    return found
