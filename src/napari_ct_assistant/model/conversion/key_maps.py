"""Tensor names of released checkpoints and ours, mapped both ways (as in torchtune).

`{}` stands for a layer's number. The language model has the names of transformers
(LlamaForCausalLM, or Phi3ForCausalLM with its fused projections), so M3D's and ours differ there
by a prefix only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from torch import Tensor

from napari_ct_assistant.model.errors import ModelLoadError, listing
from napari_ct_assistant.model.vision_configuration import Size3D

# M3D-CLIP's ViT (MONAI 1.3 blocks) -> VisionTransformer3D.
VIT: dict[str, str] = {
    "cls_token": "cls_token",
    "patch_embedding.position_embeddings": "pos_embed",
    "patch_embedding.patch_embeddings.1.weight": "patch_embed.proj.weight",
    "patch_embedding.patch_embeddings.1.bias": "patch_embed.proj.bias",
    "blocks.{}.norm1.weight": "blocks.{}.norm1.weight",
    "blocks.{}.norm1.bias": "blocks.{}.norm1.bias",
    "blocks.{}.attn.qkv.weight": "blocks.{}.attn.qkv.weight",
    "blocks.{}.attn.out_proj.weight": "blocks.{}.attn.proj.weight",
    "blocks.{}.attn.out_proj.bias": "blocks.{}.attn.proj.bias",
    "blocks.{}.norm2.weight": "blocks.{}.norm2.weight",
    "blocks.{}.norm2.bias": "blocks.{}.norm2.bias",
    "blocks.{}.mlp.linear1.weight": "blocks.{}.mlp.fc1.weight",
    "blocks.{}.mlp.linear1.bias": "blocks.{}.mlp.fc1.bias",
    "blocks.{}.mlp.linear2.weight": "blocks.{}.mlp.fc2.weight",
    "blocks.{}.mlp.linear2.bias": "blocks.{}.mlp.fc2.bias",
    "norm.weight": "norm.weight",
    "norm.bias": "norm.bias",
}

# M3D's spatial pooling projector -> SpatialPoolingPerceiver.
PROJECTOR: dict[str, str] = {
    f"{layer}.{kind}": f"{layer}.{kind}" for layer in (0, 2) for kind in ("weight", "bias")
}

# Tensor names of LlamaForCausalLM and Phi3ForCausalLM.
LANGUAGE_MODEL: tuple[str, ...] = (
    "model.embed_tokens.weight",
    "model.layers.{}.self_attn.q_proj.weight",
    "model.layers.{}.self_attn.k_proj.weight",
    "model.layers.{}.self_attn.v_proj.weight",
    "model.layers.{}.self_attn.qkv_proj.weight",
    "model.layers.{}.self_attn.o_proj.weight",
    "model.layers.{}.mlp.gate_proj.weight",
    "model.layers.{}.mlp.up_proj.weight",
    "model.layers.{}.mlp.gate_up_proj.weight",
    "model.layers.{}.mlp.down_proj.weight",
    "model.layers.{}.input_layernorm.weight",
    "model.layers.{}.post_attention_layernorm.weight",
    "model.norm.weight",
    "lm_head.weight",
)

LLM: dict[str, str] = {name: f"language_model.{name}" for name in LANGUAGE_MODEL}
M3D_CLIP: dict[str, str] = {f"vision_encoder.{theirs}": ours for theirs, ours in VIT.items()}
M3D_LAMED: dict[str, str] = (
    {f"model.vision_tower.vision_tower.{theirs}": f"vision_tower.{o}" for theirs, o in VIT.items()}
    | {
        f"model.mm_projector.projector.{theirs}": f"projector.perceiver.projector.{ours}"
        for theirs, ours in PROJECTOR.items()
    }
    | LLM
)

# RadFM's ViT (lucidrains' blocks) -> VisionTransformer3D; its positions are put together from
# three tables (radfm.py).
_RADFM_PATCHES = {"1": "norm_patch", "2": "proj", "3": "norm_token"}
_RADFM_BLOCK = {
    "0.norm": "norm1",
    "0.fn.to_out.0": "attn.proj",
    "1.norm": "norm2",
    "1.fn.net.0": "mlp.fc1",
    "1.fn.net.3": "mlp.fc2",
}
RADFM_VIT: dict[str, str] = {
    f"embedding_layer.vision_encoder.{theirs}.{kind}": f"{ours}.{kind}"
    for theirs, ours in (
        *((f"to_patch_embedding.{n}", f"patch_embed.{name}") for n, name in _RADFM_PATCHES.items()),
        *((f"transformer.layers.{{}}.{n}", f"blocks.{{}}.{o}") for n, o in _RADFM_BLOCK.items()),
    )
    for kind in ("weight", "bias")
} | {
    "embedding_layer.vision_encoder.transformer.layers.{}.0.fn.to_qkv.weight": (
        "blocks.{}.attn.qkv.weight"
    )
}
# RadFM's perceiver resampler and its linear layer -> ResamplerPerceiver.
_RADFM_LAYER = {
    "0.norm_media.weight": "norm_tokens.weight",
    "0.norm_media.bias": "norm_tokens.bias",
    "0.norm_latents.weight": "norm_latents.weight",
    "0.norm_latents.bias": "norm_latents.bias",
    "0.to_q.weight": "query.weight",
    "0.to_kv.weight": "key_value.weight",
    "0.to_out.weight": "projection.weight",
    "1.0.weight": "mlp.0.weight",
    "1.0.bias": "mlp.0.bias",
    "1.1.weight": "mlp.1.weight",
    "1.3.weight": "mlp.3.weight",
}
RADFM_PERCEIVER: dict[str, str] = {
    "embedding_layer.perceiver.latents": "latents",
    "embedding_layer.perceiver.norm.weight": "norm.weight",
    "embedding_layer.perceiver.norm.bias": "norm.bias",
    "embedding_layer.fc.weight": "projection.weight",
    "embedding_layer.fc.bias": "projection.bias",
} | {
    f"embedding_layer.perceiver.layers.{{}}.{theirs}": f"layers.{{}}.{ours}"
    for theirs, ours in _RADFM_LAYER.items()
}
# Every tensor that is used; only the names are looked up here.
RADFM: dict[str, str] = (
    RADFM_VIT
    | RADFM_PERCEIVER
    | {f"lang_model.{name}": f"language_model.{name}" for name in LANGUAGE_MODEL}
    | {
        f"embedding_layer.vision_encoder.pos_embedding.{axis}_embed.weight": "pos_embed"
        for axis in ("row", "col", "dep")
    }
    | {
        f"embedding_layer.{name}": "language_model.model.embed_tokens.weight"
        for name in ("weight", "figure_token_weight")
    }
)

# Tensors that the network does not use: they are skipped, and listed to the user.
SKIPPED: dict[str, tuple[str, ...]] = {
    "m3d_lamed": ("model.seg_module.", "model.seg_projector."),
    "m3d_clip": ("language_encoder.", "mm_vision_proj.", "mm_language_proj.", "logit_scale"),
    "vit": (),
    "radfm": (
        "embedding_layer.bert_model.",
        "embedding_layer.bert_projection_fc.",
        "embedding_layer.output_upscaling.",
        "embedding_layer.transformer_decoder.",
        "embedding_layer.transformer_decoder_mlp.",
        "embedding_layer.cls_head.",
    ),
    "llm": (),
    "ours": (),
}
MAPS: dict[str, dict[str, str]] = {
    "m3d_lamed": M3D_LAMED,
    "m3d_clip": M3D_CLIP,
    "vit": VIT,
    "llm": LLM,
}
PATCH_WEIGHT = "patch_embed.proj.weight"


def inverted(mapping: Mapping[str, str]) -> dict[str, str]:
    """Return the map in the other direction."""
    return {ours: theirs for theirs, ours in mapping.items()}


def map_key(key: str, mapping: Mapping[str, str]) -> str | None:
    """Return the mapped name of a tensor, None if it is not in the map."""
    if key in mapping:
        return mapping[key]
    # Only the layer's number varies; a number at the end (`projector.0`) is part of the name.
    found = re.search(r"(?<=\.)\d+(?=\.)", key)
    if found is None:
        return None
    target = mapping.get(f"{key[: found.start()]}{{}}{key[found.end() :]}")
    return None if target is None else target.format(found.group())


def map_keys(
    keys: Iterable[str], mapping: Mapping[str, str], skipped: tuple[str, ...] = ()
) -> tuple[dict[str, str], list[str]]:
    """Map all tensor names of a checkpoint.

    Returns
    -------
    mapped : dict of key to mapped name
    left_out : list of the keys that start with one of `skipped`

    Raises
    ------
    ModelLoadError
        With the keys that are neither in the map nor skipped.
    """
    mapped: dict[str, str] = {}
    left_out: list[str] = []
    unknown: list[str] = []
    for key in keys:
        target = map_key(key, mapping)
        if target is not None:
            mapped[key] = target
        elif key.startswith(skipped) and skipped:
            left_out.append(key)
        else:
            unknown.append(key)
    if unknown:
        raise ModelLoadError(f"{len(unknown)} unknown tensor(s): {listing(unknown)}")
    return mapped, left_out


def layout_of(keys: Iterable[str]) -> str | None:
    """Return whose layout a set of tensor names has: a key of `SKIPPED`, or None."""
    names = set(keys)
    if any(name.startswith("embedding_layer.vision_encoder.") for name in names):
        return "radfm"
    if any(name.startswith(("model.vision_tower.", "model.mm_projector.")) for name in names):
        return "m3d_lamed"
    if any(name.startswith("vision_encoder.") for name in names):
        return "m3d_clip"
    if any(name.startswith("patch_embedding.") for name in names):
        return "vit"
    if any(name.startswith(("language_model.", "vision_tower.", "projector.")) for name in names):
        return "ours"
    if "model.embed_tokens.weight" in names:
        return "llm"
    return None


def patch_to_ours(weight: Tensor, channels: int, patch: Size3D) -> Tensor:
    """Reshape a linear patch embedding [C, d*h*w*c] to the equal convolution's [C, c, d, h, w].

    Raises
    ------
    ModelLoadError
        If the sizes do not match; the message quotes them.
    """
    d, h, w = patch
    if weight.dim() != 2 or weight.shape[1] != d * h * w * channels:
        raise ModelLoadError(
            f"the patch embedding is {list(weight.shape)}, expected [channels, "
            f"{d * h * w * channels}] for patch_size {tuple(patch)} and {channels} channel(s)"
        )
    return weight.reshape(-1, d, h, w, channels).permute(0, 4, 1, 2, 3)


def patch_to_m3d(weight: Tensor) -> Tensor:
    """Reshape the convolution's [C, c, d, h, w] to M3D's linear layer [C, d*h*w*c]."""
    return weight.permute(0, 2, 3, 4, 1).flatten(1)


def m3d_to_ours(
    state: Mapping[str, Tensor], *, patch: Size3D = (4, 16, 16), channels: int = 1
) -> dict[str, Tensor]:
    """Rename and reshape the tensors of M3D-LaMed; those for segmentation are left out."""
    mapped, _ = map_keys(state, M3D_LAMED, SKIPPED["m3d_lamed"])
    return {
        ours: patch_to_ours(state[key], channels, patch)
        if ours.endswith(PATCH_WEIGHT)
        else state[key]
        for key, ours in mapped.items()
    }


def ours_to_m3d(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename and reshape our tensors to M3D-LaMed's."""
    mapped, _ = map_keys(state, inverted(M3D_LAMED))
    return {
        theirs: patch_to_m3d(state[key]) if key.endswith(PATCH_WEIGHT) else state[key]
        for key, theirs in mapped.items()
    }
