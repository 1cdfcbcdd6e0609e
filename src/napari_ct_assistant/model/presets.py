"""The published architectures and the bundled one, as configurations."""

from __future__ import annotations

from typing import Any

from transformers import LlamaConfig, PreTrainedConfig

from napari_ct_assistant.model.configuration import VolumeLanguageConfig
from napari_ct_assistant.model.grounded.configuration import GroundedVisionConfig3D
from napari_ct_assistant.model.vision_configuration import VisionConfig3D
from napari_ct_assistant.report_text.findings import FINDINGS


def e3d_gpt_vision(**changes: Any) -> VisionConfig3D:
    """Return E3D-GPT's encoder: 224x224x112 voxels, patch 16x16x8, 1536 channels, 2744 tokens."""
    return VisionConfig3D(**changes)


def e3d_gpt(
    text_config: PreTrainedConfig | None = None, *, image_token_id: int | None = None
) -> VolumeLanguageConfig:
    """Return E3D-GPT: its encoder, a convolution perceiver (343 tokens), Vicuna-7B or another LLM.

    Parameters
    ----------
    text_config
        Of the language model; Vicuna-7B's sizes (Llama's) when absent.
    image_token_id : int, optional
        Defaults to the first id beyond the vocabulary.
    """
    if text_config is None:
        text_config = LlamaConfig(
            vocab_size=32000,
            hidden_size=4096,
            intermediate_size=11008,
            num_hidden_layers=32,
            num_attention_heads=32,
            max_position_embeddings=4096,
        )
    if image_token_id is None:
        image_token_id = int(text_config.vocab_size)
    return VolumeLanguageConfig(
        vision_config=e3d_gpt_vision(),
        text_config=text_config,
        perceiver="convolution",
        perceiver_kernel=2,
        image_token_id=image_token_id,
    )


def vit3d_llama3_vision() -> VisionConfig3D:
    """Return M3D-CLIP's ViT as ViT3D-LLaMA3 uses it: 32x256x256, patch 4x16x16, 2048 tokens."""
    return VisionConfig3D(
        image_size=(32, 256, 256),
        patch_size=(4, 16, 16),
        hidden_size=768,
        num_hidden_layers=12,
        num_attention_heads=12,
        qkv_bias=False,
        class_token=True,
        pos_embed="learned",
        layer_norm_eps=1e-5,
    )


def vit3d_llama3(text_config: PreTrainedConfig, *, image_token_id: int) -> VolumeLanguageConfig:
    """Return ViT3D-LLaMA3 or M3D-LaMed: M3D-CLIP's ViT, spatial pooling to 256 tokens, any LLM."""
    return VolumeLanguageConfig(
        vision_config=vit3d_llama3_vision(),
        text_config=text_config,
        perceiver="spatial_pooling",
        perceiver_kernel=2,
        image_token_id=image_token_id,
    )


def radfm_vision() -> VisionConfig3D:
    """Return RadFM's ViT: patch 4x32x32, 8 heads of 64 channels, three channels of input.

    64x256x256 is the largest CT that RadFM's code makes: 1024 tokens.
    """
    return VisionConfig3D(
        image_size=(64, 256, 256),
        patch_size=(4, 32, 32),
        in_channels=3,
        hidden_size=768,
        num_hidden_layers=12,
        num_attention_heads=8,
        head_dim=64,
        mlp_ratio=2048 / 768,
        qkv_bias=False,
        pos_embed="learned",
        patch_norm=True,
        final_norm=False,
        layer_norm_eps=1e-5,
    )


def demo_vision(**changes: Any) -> GroundedVisionConfig3D:
    """Return the bundled demonstration model's encoder.

    It has E3D-GPT's input box and token grid, and few enough channels to train on 2 CPU cores
    within an hour. So small an encoder needs the convolution stem and the patch-level findings.
    """
    settings: dict[str, Any] = {
        "hidden_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "stem": "convolution",
        # Pixel value 0 is -1000 HU and 1 is +1000 HU: all, lung, soft tissue.
        "stem_windows": ((0.0, 1.0), (0.0, 0.35), (0.4, 0.65)),
        "stem_channels": (16, 32, 64, 96),
        "stem_depths": (1, 2, 3, 2),
        "num_concepts": len(FINDINGS),
        "concept_names": FINDINGS,
        "concept_scale": 1.0,
    }
    return GroundedVisionConfig3D(**(settings | changes))


def demo(*, vocab_size: int, image_token_id: int, **tokens: int) -> VolumeLanguageConfig:
    """Return the bundled demonstration model: the demo encoder and a small Llama.

    Parameters
    ----------
    vocab_size, image_token_id : int
        Of the demonstration tokenizer.
    **tokens
        `bos_token_id`, `eos_token_id`, `pad_token_id`.
    """
    text = LlamaConfig(
        vocab_size=vocab_size,
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=4,
        num_attention_heads=3,
        num_key_value_heads=3,
        max_position_embeddings=2048,
        # To find a token by its content, not its position, an attention head needs channels that
        # rotate little over a few hundred tokens: half of them do at 1e5, a third at Llama's 1e4.
        rope_theta=1e5,
        # 1 / sqrt(hidden_size); Llama's 0.02 is meant for more than 2,000 channels.
        initializer_range=0.07,
        tie_word_embeddings=True,
        **tokens,
    )
    return VolumeLanguageConfig(
        vision_config=demo_vision(),
        text_config=text,
        perceiver="convolution",
        perceiver_kernel=2,
        perceiver_pos_embed_scale=0.04,
        perceiver_concepts_only=True,
        image_token_id=image_token_id,
        tie_word_embeddings=True,
    )
