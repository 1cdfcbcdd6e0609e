"""The 3D vision-language model: encoder + perceiver + any Hugging Face causal LM.

It is a transformers model, so `from_pretrained`, `save_pretrained`, `push_to_hub`, the
Trainer, peft, `device_map`, quantization and `generate` work because it is one.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, GenerationMixin, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

from napari_ct_assistant.model.configuration import VolumeLanguageConfig
from napari_ct_assistant.model.perceivers import ImageProjector
from napari_ct_assistant.model.vit import VisionTransformer3D


class VolumeLanguageModel(PreTrainedModel, GenerationMixin):
    """A causal language model that reads a CT volume.

    The volume stands in `input_ids` as `config.image_token_id`, once for each image token;
    those embeddings are replaced by the perceiver's output (by mask, and counted).
    """

    config_class = VolumeLanguageConfig
    config: VolumeLanguageConfig
    base_model_prefix = "model"
    main_input_name = "input_ids"
    input_modalities = ("image", "text")
    supports_gradient_checkpointing = True
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_attention_backend = True
    _no_split_modules: ClassVar[list[str]] = ["Block"]
    _skip_keys_device_placement: ClassVar[list[str]] = ["past_key_values"]

    def __init__(self, config: VolumeLanguageConfig):
        super().__init__(config)
        self.vision_tower = VisionTransformer3D(config.vision_config)
        self.projector = ImageProjector(config)
        self.language_model = AutoModelForCausalLM.from_config(config.text_config)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Draw fresh weights; make constants anew, which no checkpoint holds."""
        if isinstance(module, ImageProjector) and module.position_scale:
            module.position.copy_(module.make_position())
        elif isinstance(module, nn.Linear | nn.Conv3d):
            nn.init.trunc_normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)

    @property
    def num_image_tokens(self) -> int:
        """Image tokens that stand for one volume in `input_ids`."""
        return self.projector.num_tokens

    def get_input_embeddings(self) -> nn.Module:
        """Return the language model's token embeddings."""
        return self.language_model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the language model's token embeddings."""
        self.language_model.set_input_embeddings(value)

    def get_output_embeddings(self) -> nn.Module:
        """Return the language model's head."""
        return self.language_model.get_output_embeddings()

    def set_output_embeddings(self, value: nn.Module) -> None:
        """Replace the language model's head."""
        self.language_model.set_output_embeddings(value)

    def train(self, mode: bool = True) -> VolumeLanguageModel:
        """Switch dropout and statistics; a frozen encoder keeps its own."""
        super().train(mode)
        if not any(p.requires_grad for p in self.vision_tower.parameters()):
            self.vision_tower.eval()
        return self

    def get_image_features(
        self, pixel_values: Tensor | None = None, vision_tokens: Tensor | None = None
    ) -> Tensor:
        """Encode volumes, or project tokens that were encoded before.

        Parameters
        ----------
        pixel_values : Tensor [B, 1, D, H, W]
        vision_tokens : Tensor [B, N, output_size]
            What the vision tower made of the volumes; instead of `pixel_values`.

        Returns
        -------
        Tensor [B, n, hidden_size], the image tokens.
        """
        if vision_tokens is None:
            if pixel_values is None:
                raise ValueError("give pixel_values or vision_tokens")
            vision_tokens = self.vision_tower(pixel_values)
        return self.projector(vision_tokens.to(self.projector_dtype))

    @property
    def projector_dtype(self) -> torch.dtype:
        """Precision of the perceiver."""
        return next(self.projector.parameters()).dtype

    def embed(self, input_ids: Tensor, image_features: Tensor | None = None) -> Tensor:
        """Embed text and put the image tokens where `image_token_id` stands.

        Parameters
        ----------
        input_ids : Tensor [B, T]
        image_features : Tensor [b, n, hidden_size], optional
            In the order of the volumes in `input_ids`.

        Returns
        -------
        Tensor [B, T, hidden_size]

        Raises
        ------
        ValueError
            If `input_ids` hold another number of image tokens than the volumes have.
        """
        if self.config.image_splice == "positional":
            return self._embed_by_position(input_ids, image_features)
        is_image = input_ids == self.config.image_token_id
        # The image id may lie outside the vocabulary; what is looked up there is replaced.
        embeddings = self.get_input_embeddings()(input_ids.masked_fill(is_image, 0))
        if image_features is None:
            return embeddings
        found, expected = int(is_image.sum()), image_features.shape[0] * image_features.shape[1]
        if found != expected:
            raise ValueError(
                f"input_ids hold {found} image tokens (id {self.config.image_token_id}) but "
                f"{image_features.shape[0]} volume(s) of {image_features.shape[1]} tokens "
                f"make {expected}; use the processor, which puts them in"
            )
        image_features = image_features.to(embeddings.device, embeddings.dtype)
        return embeddings.masked_scatter(is_image[..., None], image_features)

    def _embed_by_position(self, input_ids: Tensor, image_features: Tensor | None) -> Tensor:
        """Put the n image tokens at positions 1 to n, whatever ids stand there (M3D).

        The ids are those that M3D's tokenizer makes of n image words and a question: with BOS
        the n ids 1 to n are the image's; without, the n ids 0 to n-1 (or, from the processor,
        all n+1: what stands last is replaced either way). Padding may come before them.
        """
        embeddings = self.get_input_embeddings()(input_ids)
        if image_features is None:
            return embeddings
        is_image = input_ids == self.config.image_token_id
        count, n = is_image.sum(1), image_features.shape[1]
        first = is_image.int().argmax(1)
        start = torch.where(count == n + 1, first + 1, first.clamp_min(1))
        where = start[:, None] + torch.arange(n, device=start.device)
        if (
            len(image_features) != len(input_ids)
            or input_ids.shape[1] <= int(where.max())
            or not bool(is_image.gather(1, where[:, :-1]).all())
        ):
            raise ValueError(
                f"each row of input_ids must hold {n} image tokens (id "
                f"{self.config.image_token_id}) in one piece for its volume, found "
                f"{count.tolist()}; use the processor, which puts them in"
            )
        rows = torch.arange(len(where), device=where.device)[:, None]
        image_features = image_features.to(embeddings.device, embeddings.dtype)
        return embeddings.index_put((rows, where), image_features)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        pixel_values: Tensor | None = None,
        labels: Tensor | None = None,
        *,
        vision_tokens: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Any = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """Predict the next tokens.

        Parameters
        ----------
        input_ids : Tensor [B, T]
            Text, with `config.image_token_id` in place of each image token.
        attention_mask : Tensor [B, T], or [B, 1, T, T] for packed sequences
        pixel_values : Tensor [b, 1, D, H, W], optional
        labels : Tensor [B, T], optional
            Next-token targets; -100 is ignored. Image positions must be -100.
        vision_tokens : Tensor [b, N, output_size], optional
            Cached output of the vision tower, instead of `pixel_values`.

        Returns
        -------
        CausalLMOutputWithPast with `loss` [], `logits` [B, T, vocabulary], `past_key_values`.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("give exactly one of input_ids and inputs_embeds")
        if inputs_embeds is None:
            image = None
            if pixel_values is not None or vision_tokens is not None:
                image = self.get_image_features(pixel_values, vision_tokens)
            inputs_embeds = self.embed(input_ids, image)
        return self.language_model(
            inputs_embeds=inputs_embeds,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            labels=labels,
            use_cache=use_cache,
            logits_to_keep=logits_to_keep,
            **kwargs,
        )

    def prepare_inputs_for_generation(
        self, input_ids: Tensor, *args: Any, is_first_iteration: bool = False, **kwargs: Any
    ) -> dict[str, Any]:
        """Give the volume to the first step only; afterwards it is in the cache."""
        inputs = super().prepare_inputs_for_generation(
            input_ids, *args, is_first_iteration=is_first_iteration, **kwargs
        )
        if not is_first_iteration and kwargs.get("use_cache", True):
            inputs["pixel_values"] = None
            inputs["vision_tokens"] = None
        return inputs


AutoModelForCausalLM.register(VolumeLanguageConfig, VolumeLanguageModel)
