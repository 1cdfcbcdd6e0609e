"""The 3D vision-language model: encoder + perceiver + any Hugging Face causal LM.

It is a transformers model: `from_pretrained`, `save_pretrained`, `push_to_hub`, the Trainer, peft,
`device_map`, quantization and `generate` work with it.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, GenerationMixin
from transformers.modeling_outputs import CausalLMOutputWithPast

from napari_ct_assistant.model.checkpoints import CurrentNamesModel
from napari_ct_assistant.model.configuration import VolumeLanguageConfig
from napari_ct_assistant.model.encoders import make_encoder
from napari_ct_assistant.model.grounded.projector import GroundedImageProjector
from napari_ct_assistant.model.perceivers import ImageProjector
from napari_ct_assistant.model.splice import splice_by_id, splice_by_position


class VolumeLanguageModel(CurrentNamesModel, GenerationMixin):
    """A causal language model that reads a CT volume.

    In `input_ids`, `config.image_token_id` stands for each of the volume's image tokens. Their
    embeddings are replaced by the perceiver's output (`splice`).
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
        self.vision_tower = make_encoder(config.vision_config)
        grounded = config.perceiver_pos_embed_scale or config.perceiver_concepts_only
        self.projector = GroundedImageProjector(config) if grounded else ImageProjector(config)
        self.language_model = AutoModelForCausalLM.from_config(config.text_config)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        """Draw fresh weights, and compute what no checkpoint holds."""
        if isinstance(module, GroundedImageProjector) and module.pos_embed_scale:
            module.pos_embed.copy_(module.make_pos_embed())
        elif isinstance(module, nn.Linear | nn.Conv3d):
            nn.init.trunc_normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)

    @property
    def num_image_tokens(self) -> int:
        """Image tokens of one volume."""
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
        """Switch between training and evaluation; a frozen encoder stays in evaluation."""
        super().train(mode)
        if not any(p.requires_grad for p in self.vision_tower.parameters()):
            self.vision_tower.eval()
        return self

    def get_image_features(
        self, pixel_values: Tensor | None = None, vision_tokens: Tensor | None = None
    ) -> Tensor:
        """Encode volumes, or take tokens that were encoded before, and project them.

        Parameters
        ----------
        pixel_values : Tensor [B, 1, D, H, W]
        vision_tokens : Tensor [B, N, output_size]
            The vision tower's output for the volumes, instead of `pixel_values`.

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
        """Embed text, and put the image tokens in.

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
            If the image tokens in `input_ids` are not those of the volumes.
        """
        image_token_id = self.config.image_token_id
        positional = self.config.image_splice == "positional"
        ids = input_ids
        if not positional:
            # The image id may lie outside the vocabulary; what is looked up there is replaced.
            ids = input_ids.masked_fill(input_ids == image_token_id, 0)
        embeddings: Tensor = self.get_input_embeddings()(ids)
        if image_features is None:
            return embeddings
        image_features = image_features.to(embeddings.device, embeddings.dtype)
        splice = splice_by_position if positional else splice_by_id
        return splice(embeddings, input_ids, image_features, image_token_id)

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
        """Give the volume to the first step only; later steps find it in the cache."""
        inputs = super().prepare_inputs_for_generation(
            input_ids, *args, is_first_iteration=is_first_iteration, **kwargs
        )
        if not is_first_iteration and kwargs.get("use_cache", True):
            inputs["pixel_values"] = None
            inputs["vision_tokens"] = None
        return inputs


AutoModelForCausalLM.register(VolumeLanguageConfig, VolumeLanguageModel)
