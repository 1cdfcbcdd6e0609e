"""The half of a volume model that runs here: encoder, perceiver and token embeddings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from napari_ct_assistant.backends.loading.devices import find_device, find_dtype
from napari_ct_assistant.model.configuration import VolumeLanguageConfig
from napari_ct_assistant.model.conversion.served import EMBEDDINGS, ENCODER_WEIGHTS
from napari_ct_assistant.model.encoders import make_encoder
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.model.folder import compare, refuse_code
from napari_ct_assistant.model.grounded.projector import GroundedImageProjector
from napari_ct_assistant.model.perceivers import ImageProjector
from napari_ct_assistant.model.settings import check_files, check_settings
from napari_ct_assistant.model.splice import splice_by_id, splice_by_position
from napari_ct_assistant.support.translation import said


class ScanEncoder(nn.Module):
    """From a scan and token ids to the embeddings that a language model reads.

    Parameters
    ----------
    config : VolumeLanguageConfig
    vocabulary : int
        Token embeddings.
    """

    def __init__(self, config: VolumeLanguageConfig, vocabulary: int):
        super().__init__()
        self.config = config
        self.vision_tower = make_encoder(config.vision_config)
        grounded = config.perceiver_pos_embed_scale or config.perceiver_concepts_only
        self.projector = GroundedImageProjector(config) if grounded else ImageProjector(config)
        self.token_embeddings = nn.Embedding(vocabulary, config.hidden_size)

    @property
    def device(self) -> torch.device:
        """Where it is."""
        return self.token_embeddings.weight.device

    @property
    def num_image_tokens(self) -> int:
        """Image tokens of one volume."""
        return self.projector.num_tokens

    def get_image_features(self, vision_tokens: Tensor) -> Tensor:
        """Project the encoder's output. vision_tokens: [B, N, C] -> [B, n, hidden_size]."""
        dtype = next(self.projector.parameters()).dtype
        features: Tensor = self.projector(vision_tokens.to(dtype))
        return features

    def embed(self, input_ids: Tensor, image_features: Tensor | None = None) -> Tensor:
        """Embed text, and put the image tokens in, as `VolumeLanguageModel.embed` does."""
        image_token_id = self.config.image_token_id
        positional = self.config.image_splice == "positional"
        ids = input_ids
        if not positional:
            ids = input_ids.masked_fill(input_ids == image_token_id, 0)
        embeddings: Tensor = self.token_embeddings(ids)
        if image_features is None:
            return embeddings
        image_features = image_features.to(embeddings.device, embeddings.dtype)
        splice = splice_by_position if positional else splice_by_id
        return splice(embeddings, input_ids, image_features, image_token_id)


def load_encoder(
    folder: Path, name: str, device: str | None = None, dtype: str | None = None
) -> ScanEncoder:
    """Load the folder `encoder` that `ct-assistant models export-llm` wrote.

    Raises
    ------
    ModelLoadError
        If it is not whole. One line with the model's name and what to do.
    """
    target = find_device(device, name)
    precision = find_dtype(dtype, target, name)
    refuse_code(folder, name)
    check_files(folder, name)
    check_settings(folder, name)
    try:
        config = VolumeLanguageConfig.from_pretrained(folder, local_files_only=True)
        tensors = load_file(folder / ENCODER_WEIGHTS)
    except Exception as error:
        reason = " ".join(str(error).replace(str(folder), name).split())[:200]
        raise ModelLoadError(
            said("{name}: its encoder cannot be read: {reason}", name=name, reason=reason)
        ) from error
    rows: Any = tensors.get(EMBEDDINGS)
    if rows is None or rows.ndim != 2:
        raise ModelLoadError(
            said(
                "{name}: no token embeddings in {encoder_weights}; copy it again",
                name=name,
                encoder_weights=ENCODER_WEIGHTS,
            )
        )
    network = ScanEncoder(config, rows.shape[0])
    expected = {key: tuple(tensor.shape) for key, tensor in network.state_dict().items()}
    compare({key: tuple(t.shape) for key, t in tensors.items()}, expected, name)
    network.load_state_dict(tensors)
    return network.to(target, precision).eval().requires_grad_(False)
