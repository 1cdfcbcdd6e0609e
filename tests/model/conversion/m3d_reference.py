"""M3D-LaMed in plain torch, following its public code, and checkpoints in its layout.

Written from the architecture's description, with none of our modules: MONAI 1.3's ViT, the spp
projector and the positional splice; the language model is transformers' own.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from torch import Tensor, nn
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    PreTrainedTokenizerFast,
)

TEXTS = [
    "Can you provide a caption consists of findings for this medical image?",
    "Does this image show signs of lung nodule? Yes, there is. No, there is none.",
    "Which organ is enlarged? Choices: A. Liver B. Spleen C. Heart D. Kidney",
]


class PatchEmbedding(nn.Module):
    def __init__(self, channels: int, patch: tuple[int, ...], tokens: int, width: int):
        super().__init__()
        self.patch = patch
        size = channels * patch[0] * patch[1] * patch[2]
        self.patch_embeddings = nn.Sequential(nn.Identity(), nn.Linear(size, width))
        self.position_embeddings = nn.Parameter(torch.randn(1, tokens, width) * 0.02)

    def forward(self, x: Tensor) -> Tensor:
        b, c, *size = x.shape
        h, w, d = (n // p for n, p in zip(size, self.patch, strict=True))
        p1, p2, p3 = self.patch
        # b c (h p1) (w p2) (d p3) -> b (h w d) (p1 p2 p3 c)
        x = x.reshape(b, c, h, p1, w, p2, d, p3).permute(0, 2, 4, 6, 3, 5, 7, 1)
        x = x.reshape(b, h * w * d, p1 * p2 * p3 * c)
        return self.patch_embeddings(x) + self.position_embeddings


class Attention(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        b, n, c = x.shape
        q, k, v = self.qkv(x).reshape(b, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        weight = (q @ k.transpose(-1, -2) * (c // self.heads) ** -0.5).softmax(dim=-1)
        return self.out_proj((weight @ v).permute(0, 2, 1, 3).reshape(b, n, c))


class MLP(nn.Module):
    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.linear1 = nn.Linear(width, hidden)
        self.linear2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear2(nn.functional.gelu(self.linear1(x)))


class Block(nn.Module):
    def __init__(self, width: int, hidden: int, heads: int):
        super().__init__()
        self.mlp = MLP(width, hidden)
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class ViT(nn.Module):
    def __init__(
        self, channels: int, image: tuple[int, ...], patch: tuple[int, ...], width: int,
        hidden: int, layers: int, heads: int,
    ):  # fmt: skip
        super().__init__()
        tokens = 1
        for n, p in zip(image, patch, strict=True):
            tokens *= n // p
        self.cls_token = nn.Parameter(torch.randn(1, 1, width) * 0.02)
        self.patch_embedding = PatchEmbedding(channels, patch, tokens, width)
        self.blocks = nn.ModuleList(Block(width, hidden, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch_embedding(x)
        x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1)
        for block in self.blocks:
            x = block(x)
        return self.norm(x)


class Tower(nn.Module):
    """select_layer -1, select_feature "patch"."""

    def __init__(self, vit: ViT):
        super().__init__()
        self.vision_tower = vit

    def forward(self, x: Tensor) -> Tensor:
        return self.vision_tower(x)[:, 1:]


class Projector(nn.Module):
    def __init__(self, width: int, out: int, grid: tuple[int, ...], pool: int):
        super().__init__()
        self.grid, self.pool = grid, pool
        self.projector = nn.Sequential(nn.Linear(width, out), nn.GELU(), nn.Linear(out, out))

    def forward(self, x: Tensor) -> Tensor:
        x = x.transpose(1, 2).reshape(len(x), -1, *self.grid)
        x = nn.functional.avg_pool3d(x, kernel_size=self.pool, stride=self.pool)
        return self.projector(x.flatten(2).transpose(1, 2))


class LaMed(nn.Module):
    """The parts, and M3D's splice: cat(E[:, :1], image, E[:, n + 1 :])."""

    def __init__(self, llm: Any, tower: Tower, projector: Projector):
        super().__init__()
        self.llm, self.tower, self.mm_projector = llm, tower, projector

    def embed(self, ids: Tensor, images: Tensor) -> Tensor:
        image = self.mm_projector(self.tower(images))
        text = self.llm.get_input_embeddings()(ids)
        return torch.cat([text[:, :1], image, text[:, image.shape[1] + 1 :]], dim=1)

    @torch.no_grad()
    def logits(self, ids: Tensor, images: Tensor) -> Tensor:
        return self.llm(inputs_embeds=self.embed(ids, images)).logits

    @torch.no_grad()
    def greedy(self, ids: Tensor, images: Tensor, new: int) -> list[int]:
        embeds = self.embed(ids, images)
        said: list[int] = []
        for _ in range(new):
            token = int(self.llm(inputs_embeds=embeds).logits[0, -1].argmax())
            said.append(token)
            row = self.llm.get_input_embeddings()(torch.tensor([[token]]))
            embeds = torch.cat([embeds, row], dim=1)
        return said

    def checkpoint(self) -> dict[str, Tensor]:
        """Its tensors by their names in a released checkpoint."""
        state = dict(self.llm.state_dict())
        state |= {f"model.vision_tower.{k}": v for k, v in self.tower.state_dict().items()}
        state |= {f"model.mm_projector.{k}": v for k, v in self.mm_projector.state_dict().items()}
        return {key: value.detach().clone() for key, value in state.items()}


# As Llama 3.1's config.json has it, with a short original length, so that it bends positions here.
LLAMA3_SCALING: dict[str, Any] = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
ROPE: dict[str, dict[str, Any]] = {"llama3": {"rope_theta": 500000.0, **LLAMA3_SCALING}}


def m3d_tokenizer(*, bos: bool, space: bool = True) -> PreTrainedTokenizerFast:
    """Return a small tokenizer with M3D's words: like Llama-2's with `space`, else like GPT-2's."""
    core = Tokenizer(models.BPE(unk_token="<unk>"))
    special = ["<unk>", "<s>", "</s>"]
    alphabet: list[str] = []
    if space:
        core.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    else:
        core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=340, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    core.train_from_iterator(TEXTS, trainer)
    if bos:
        core.post_processor = processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", core.token_to_id("<s>"))]
        )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, unk_token="<unk>", bos_token="<s>", eos_token="</s>",
        pad_token="<unk>",
    )  # fmt: skip
    tokenizer.add_special_tokens(
        {"additional_special_tokens": ["<im_patch>", "<bx_start>", "<bx_end>"]}
    )
    tokenizer.add_tokens("[SEG]")
    return tokenizer


def build(
    kind: str = "llama",
    *,
    vocabulary: int,
    image: tuple[int, int, int] = (8, 32, 32),
    patch: tuple[int, int, int] = (4, 16, 16),
    channels: int = 1,
    width: int = 24,
    layers: int = 2,
    heads: int = 12,
    seed: int = 0,
) -> tuple[LaMed, dict[str, Any]]:
    """Return a tiny model and the `config.json` of its release, with M3D's field names."""
    torch.manual_seed(seed)
    common: dict[str, Any] = {
        "vocab_size": vocabulary,
        "hidden_size": 32,
        "intermediate_size": 40,
        "num_hidden_layers": 3,
        "num_attention_heads": 4,
        "max_position_embeddings": 512,
        "rms_norm_eps": 1e-5,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
        "tie_word_embeddings": False,
        "initializer_range": 0.2,
    }
    if kind.startswith("llama"):
        config: Any = LlamaConfig(**common, num_key_value_heads=2, rope_parameters=ROPE.get(kind))
        llm: Any = LlamaForCausalLM(config)
    else:
        config = Phi3Config(**common, num_key_value_heads=4, sliding_window=2047)
        llm = Phi3ForCausalLM(config)
    grid = tuple(n // p for n, p in zip(image, patch, strict=True))
    tower = Tower(ViT(channels, image, patch, width, 2 * width, layers, heads))
    model = LaMed(llm, tower, Projector(width, 32, grid, 2)).eval()
    for parameter in model.parameters():  # biases and norms too: zeros and ones hide mistakes
        with torch.no_grad():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    released = {
        **common,
        "architectures": [f"Lamed{kind.capitalize()}ForCausalLM"],
        "model_type": {"llama": "lamed", "llama3": "llama2"}.get(kind, "lamed_phi3"),
        "num_key_value_heads": config.num_key_value_heads,
        "rope_theta": ROPE[kind]["rope_theta"] if kind in ROPE else 10000.0,
        "rope_scaling": LLAMA3_SCALING if kind in ROPE else None,
        "hidden_act": "silu",
        "image_channel": channels,
        "image_size": list(image),
        "patch_size": list(patch),
        "vision_tower": "vit3d",
        "vision_select_layer": -1,
        "vision_select_feature": "patch",
        "mm_projector_type": "spp",
        "proj_layer_type": "mlp",
        "proj_layer_num": 2,
        "proj_pooling_type": "spatial",
        "proj_pooling_size": 2,
        "mm_hidden_size": width,
        "segmentation_module": "segvol",
        "seg_token_id": vocabulary - 1,
        "torch_dtype": "float32",
        "use_cache": True,
    }
    return model, released


def segmentation_tensors() -> dict[str, Tensor]:
    """Return a few of the tensors that the network does not use."""
    return {
        "model.seg_module.image_encoder.blocks.0.norm1.weight": torch.ones(4),
        "model.seg_module.mask_decoder.iou_token.weight": torch.ones(1, 4),
        "model.seg_projector.0.weight": torch.ones(4, 4),
        "model.seg_projector.2.bias": torch.ones(4),
    }


def write_release(
    folder: Path,
    state: dict[str, Tensor],
    config: dict[str, Any],
    tokenizer: PreTrainedTokenizerFast,
    *,
    shards: int = 1,
    pickled: bool = False,
) -> Path:
    """Write a released folder: config, tokenizer, weights in safetensors or .bin files."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    tokenizer.save_pretrained(folder)
    stem, end = ("pytorch_model", "bin") if pickled else ("model", "safetensors")
    names = [
        f"{stem}.{end}" if shards == 1 else f"{stem}-{i:05d}-of-{shards:05d}.{end}"
        for i in range(1, shards + 1)
    ]
    keys = list(state)
    where = {key: names[i * shards // len(keys)] for i, key in enumerate(keys)}
    for name in names:
        part = {key: state[key].contiguous() for key in keys if where[key] == name}
        if pickled:
            torch.save(part, folder / name)
        else:
            save_file(part, folder / name, metadata={"format": "pt"})
    if shards > 1:
        index = {"metadata": {}, "weight_map": where}
        (folder / f"{stem}.{end}.index.json").write_text(json.dumps(index), encoding="utf-8")
    return folder
