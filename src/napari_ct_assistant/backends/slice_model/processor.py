"""From slices and conversations to the tensors of a stock image-text model.

Tokenizer and image processor are loaded apart and the placeholders of images are expanded here:
transformers' own processors of Qwen and Gemma 4 also own a video processor, which needs
torchvision.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any

import numpy as np
import torch
from PIL import Image
from transformers import BatchFeature

from napari_ct_assistant.backends.slice_model.sizes import GEMMA3
from napari_ct_assistant.backends.slice_model.tokens import SpecialTokens
from napari_ct_assistant.backends.slices import RGB, SlicePreset, SliceRange, slice_input
from napari_ct_assistant.volume import CTVolume

Message = dict[str, Any]


class SliceModelProcessor:
    """Prepares slices and conversations for a stock image-text model.

    Parameters
    ----------
    tokenizer
        With the model's chat template.
    image_processor
        transformers' Pillow class for the model.
    special : SpecialTokens
    config
        The model's configuration.
    preset : SlicePreset
    usual : SlicePreset, optional
        The model's own preset, where it is another one.
    """

    def __init__(
        self,
        tokenizer: Any,
        image_processor: Any,
        special: SpecialTokens,
        config: Any,
        preset: SlicePreset,
        usual: SlicePreset | None = None,
    ):
        self.tokenizer = tokenizer
        self.image_processor = image_processor
        self.special = special
        self.preset = preset
        self.usual = usual or preset
        self._kind = str(config.model_type)
        self._tokens = int(getattr(config, "mm_tokens_per_image", 0) or 0)
        added = {*tokenizer.all_special_tokens, *tokenizer.get_added_vocab()}
        self._added = sorted(added, key=len, reverse=True)

    def with_preset(self, preset: SlicePreset | None) -> SliceModelProcessor:
        """Return the same processor with another preset; None: the model's own."""
        other = copy(self)
        other.preset = preset or self.usual
        return other

    # ---- slices

    def slices(self, volume: CTVolume, chosen: SliceRange | None = None) -> list[RGB]:
        """Return the slices of a scan that the preset shows, uint8 [rows, columns, 3] each."""
        return slice_input(volume, self.preset, chosen or SliceRange()).images()

    def pixels(self, images: Sequence[RGB]) -> dict[str, torch.Tensor]:
        """Return the image processor's output for images [rows, columns, 3]."""
        pictures = [Image.fromarray(np.ascontiguousarray(image)) for image in images]
        made = self.image_processor(images=pictures, return_tensors="pt")
        wanted = ("pixel_values", "image_grid_thw", "image_position_ids")
        return {key: made[key] for key in wanted if key in made}

    def tokens_of(self, pixels: dict[str, torch.Tensor]) -> list[int]:
        """Return how many tokens stand for each image of an image processor's output."""
        if self._kind == GEMMA3:
            return [self._tokens] * len(pixels["pixel_values"])
        if "image_grid_thw" in pixels:
            merge = int(self.image_processor.merge_size) ** 2
            return [int(n) // merge for n in pixels["image_grid_thw"].prod(-1)]
        pool = int(self.image_processor.pooling_kernel_size) ** 2
        real = (pixels["image_position_ids"] != -1).all(-1).sum(-1)
        return [int(n) // pool for n in real]

    # ---- text

    def apply_chat_template(
        self, messages: Sequence[Message], *, thinking: bool | None = None
    ) -> str:
        """Return a conversation as the model's template writes it, up to where an answer begins.

        Each image is one marker, which `ids` expands. `thinking` is passed on to templates that
        can begin an answer with reasoning.
        """
        more = {} if thinking is None else {"enable_thinking": thinking}
        plain = [_plain(message) for message in messages]
        return str(
            self.tokenizer.apply_chat_template(
                plain, tokenize=False, add_generation_prompt=True, **more
            )
        )

    def ids(self, text: str, tokens: Sequence[int]) -> list[int]:
        """Return the token ids of a text, with so many tokens for each of its images.

        Raises
        ------
        ValueError
            If the text has another number of images.
        """
        special = self.special
        one_each = text.replace(special.marker, special.before + special.after)
        found: list[int] = self.tokenizer.encode(one_each, add_special_tokens=False)
        if found.count(special.image) != len(tokens):
            raise ValueError(
                f"the text has {found.count(special.image)} image(s), and {len(tokens)} are given"
            )
        waiting = iter(tokens)
        ids: list[int] = []
        for number in found:
            ids += [number] * (next(waiting) if number == special.image else 1)
        return ids

    def split(self, ids: Sequence[int]) -> tuple[list[int], list[int]]:
        """Return the ids up to the end of the last image, and those behind it."""
        special = self.special
        place = len(ids) - 1
        while place >= 0 and ids[place] != special.image:
            place -= 1
        if place + 1 < len(ids) and ids[place + 1] in special.closing:
            place += 1
        return list(ids[: place + 1]), list(ids[place + 1 :])

    def text_ids(self, text: str) -> list[int]:
        """Return the ids of a text as it is."""
        found: list[int] = self.tokenizer.encode(text, add_special_tokens=False)
        return found

    def harmless(self, text: str) -> str:
        """Return a text in which no special token is named: a blank parts each of them."""
        for token in self._added:
            if len(token) > 1 and token.strip():
                text = text.replace(token, f"{token[0]} {token[1:]}")
        return text

    def types(self, ids: Sequence[int]) -> torch.Tensor:
        """Return which tokens are an image's, [1, T]: 1, and 0 for text."""
        return (torch.tensor([list(ids)]) == self.special.image).long()

    def __call__(
        self,
        text: str | Sequence[Message],
        images: Sequence[RGB] | None = None,
        volume: CTVolume | None = None,
    ) -> BatchFeature:
        """Make the network's input of one conversation about slices.

        Parameters
        ----------
        text
            A conversation as `apply_chat_template` takes it, or as it returns it.
        images
            The slices, uint8 [rows, columns, 3] each, in the order of the text's images.
        volume : CTVolume, optional
            Instead of images: the slices that the preset shows of it.

        Returns
        -------
        BatchFeature
            `input_ids`, `attention_mask` and the types of tokens [1, T], and the image
            processor's output. `model(**feature)` and `model.generate(**feature)` take it.
        """
        written = text if isinstance(text, str) else self.apply_chat_template(text)
        shown = list(images or ()) if volume is None else self.slices(volume)
        pixels = self.pixels(shown) if shown else {}
        ids = self.ids(written, self.tokens_of(pixels) if shown else [])
        input_ids = torch.tensor([ids])
        return BatchFeature(
            {
                "input_ids": input_ids,
                "attention_mask": torch.ones_like(input_ids),
                self.special.type_key: self.types(ids),
                **pixels,
            }
        )


def _plain(message: Message) -> Message:
    """Return a message without keys that only this project uses."""
    content = message["content"]
    if isinstance(content, str):
        return dict(message)
    parts = [{k: v for k, v in part.items() if k in ("type", "text")} for part in content]
    return {"role": message["role"], "content": parts}
