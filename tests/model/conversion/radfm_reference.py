"""RadFM in plain torch, and checkpoints in its layout.

Written from the maths of its public code (vit_3d, position_encoding, helpers, my_embedding_layer),
with none of our modules; the language model is transformers' own. Module names are those of its
state dict. Axes are RadFM's: height, width, slices.
"""

from __future__ import annotations

from typing import Any

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors, trainers
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

TEXTS = [
    "Please write a radiology report that explains this medical scan.",
    "Is there a nodule? Yes, there is one in the right upper lobe.",
]
HEADS = 8


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """q: [B, n, HEADS * c], k, v: [B, m, HEADS * c] -> [B, n, HEADS * c], head after head."""
    out = []
    for one, two, three in zip(
        q.chunk(HEADS, -1), k.chunk(HEADS, -1), v.chunk(HEADS, -1), strict=True
    ):
        weight = (one @ two.transpose(-1, -2) / one.shape[-1] ** 0.5).softmax(-1)
        out.append(weight @ three)
    return torch.cat(out, dim=-1)


class PreNorm(nn.Module):
    def __init__(self, dim: int, fn: nn.Module):
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.fn = fn

    def forward(self, x: Tensor) -> Tensor:
        return self.fn(self.norm(x)) + x


class SelfAttention(nn.Module):
    def __init__(self, dim: int, inner: int):
        super().__init__()
        self.to_qkv = nn.Linear(dim, 3 * inner, bias=False)
        self.to_out = nn.Sequential(nn.Linear(inner, dim), nn.Dropout(0.0))

    def forward(self, x: Tensor) -> Tensor:
        return self.to_out(attend(*self.to_qkv(x).chunk(3, dim=-1)))


class FeedForward(nn.Module):
    def __init__(self, dim: int, hidden: int):
        super().__init__()
        drop = nn.Dropout(0.0)
        self.net = nn.Sequential(
            nn.Linear(dim, hidden), nn.GELU(), drop, nn.Linear(hidden, dim), drop
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class Positions(nn.Module):
    def __init__(self, dim: int, counts: tuple[int, int, int]):
        super().__init__()
        self.row_embed = nn.Embedding(counts[0], dim)
        self.col_embed = nn.Embedding(counts[1], dim)
        self.dep_embed = nn.Embedding(counts[2], dim)

    def forward(self, h: int, w: int, d: int) -> Tensor:
        """Return [h * w * d, 3 * dim]; of a larger table, every k-th row from the k-th on."""
        rows = []
        for i in range(h):
            for j in range(w):
                for k in range(d):
                    parts = []
                    for table, at, count in (
                        (self.row_embed, i, h), (self.col_embed, j, w), (self.dep_embed, k, d)
                    ):  # fmt: skip
                        step = table.num_embeddings // count
                        parts.append(table.weight[(at + 1) * step - 1])
                    rows.append(torch.cat(parts))
        return torch.stack(rows)


class ViT(nn.Module):
    """patch: (height, width, slices)."""

    def __init__(
        self, dim: int, depth: int, hidden: int, patch: tuple[int, int, int],
        counts: tuple[int, int, int], channels: int = 3, head_dim: int = 64,
    ):  # fmt: skip
        super().__init__()
        self.patch = patch
        values = channels * patch[0] * patch[1] * patch[2]
        self.to_patch_embedding = nn.Sequential(
            nn.Identity(), nn.LayerNorm(values), nn.Linear(values, dim), nn.LayerNorm(dim)
        )
        self.pos_embedding = Positions(dim // 3, counts)
        self.transformer = nn.Module()
        self.transformer.layers = nn.ModuleList(
            nn.ModuleList(
                [
                    PreNorm(dim, SelfAttention(dim, HEADS * head_dim)),
                    PreNorm(dim, FeedForward(dim, hidden)),
                ]
            )
            for _ in range(depth)
        )

    def forward(self, video: Tensor) -> Tensor:
        """video: [B, c, H, W, D] -> [B, h * w * d, dim]."""
        b, _, *size = video.shape
        h, w, d = (n // p for n, p in zip(size, self.patch, strict=True))
        patches = [
            video[
                :, :,
                i * self.patch[0] : (i + 1) * self.patch[0],
                j * self.patch[1] : (j + 1) * self.patch[1],
                k * self.patch[2] : (k + 1) * self.patch[2],
            ].permute(0, 2, 3, 4, 1).reshape(b, -1)
            for i in range(h) for j in range(w) for k in range(d)
        ]  # fmt: skip
        x = self.to_patch_embedding(torch.stack(patches, dim=1)) + self.pos_embedding(h, w, d)
        for attention, feed_forward in self.transformer.layers:
            x = feed_forward(attention(x))
        return x


class ResamplerAttention(nn.Module):
    def __init__(self, dim: int, inner: int):
        super().__init__()
        self.norm_media = nn.LayerNorm(dim)
        self.norm_latents = nn.LayerNorm(dim)
        self.to_q = nn.Linear(dim, inner, bias=False)
        self.to_kv = nn.Linear(dim, 2 * inner, bias=False)
        self.to_out = nn.Linear(inner, dim, bias=False)

    def forward(self, x: Tensor, latents: Tensor) -> Tensor:
        latents = self.norm_latents(latents)
        k, v = self.to_kv(torch.cat([self.norm_media(x), latents], dim=1)).chunk(2, dim=-1)
        return self.to_out(attend(self.to_q(latents), k, v))


class Resampler(nn.Module):
    def __init__(self, dim: int, depth: int, latents: int, head_dim: int = 64):
        super().__init__()
        self.latents = nn.Parameter(torch.randn(latents, dim))
        self.layers = nn.ModuleList(
            nn.ModuleList(
                [
                    ResamplerAttention(dim, HEADS * head_dim),
                    nn.Sequential(
                        nn.LayerNorm(dim),
                        nn.Linear(dim, 4 * dim, bias=False),
                        nn.GELU(),
                        nn.Linear(4 * dim, dim, bias=False),
                    ),
                ]
            )
            for _ in range(depth)
        )
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor) -> Tensor:
        latents = self.latents.expand(len(x), -1, -1)
        for attention, feed_forward in self.layers:
            latents = attention(x, latents) + latents
            latents = feed_forward(latents) + latents
        return self.norm(latents)


class RadFM(nn.Module):
    """`embedding_layer` and `lang_model`; a text's ids beyond the figure words are image tokens."""

    def __init__(self, vocabulary: int, vit: ViT, resampler: Resampler, llm: Any, dim: int):
        super().__init__()
        width = llm.config.hidden_size
        self.lang_model = llm
        self.embedding_layer = nn.Module()
        self.embedding_layer.weight = llm.get_input_embeddings().weight
        self.embedding_layer.figure_token_weight = nn.Parameter(torch.randn(2, width))
        self.embedding_layer.vision_encoder = vit
        self.embedding_layer.perceiver = resampler
        self.embedding_layer.fc = nn.Linear(dim, width)
        self.vocabulary = vocabulary

    def image(self, volume: Tensor) -> Tensor:
        """volume: [B, 1, D, H, W], 0 to 1 -> image tokens [B, n, width]."""
        video = volume.permute(0, 1, 3, 4, 2).repeat(1, 3, 1, 1, 1)
        own = self.embedding_layer
        return own.fc(own.perceiver(own.vision_encoder(video)))

    @torch.no_grad()
    def logits(self, ids: Tensor, volume: Tensor) -> Tensor:
        """ids: [1, T], the image tokens numbered from vocabulary + 2 on -> [1, T, vocabulary]."""
        own = self.embedding_layer
        table = torch.cat([own.weight, own.figure_token_weight, self.image(volume)[0]])
        return self.lang_model(inputs_embeds=table[ids]).logits

    def checkpoint(self) -> dict[str, Tensor]:
        """Its tensors by their names in the release, with some that reports do not use."""
        state = {key: value.detach().clone() for key, value in self.state_dict().items()}
        return state | unused_tensors()


def unused_tensors() -> dict[str, Tensor]:
    """Return a few of the tensors that the network does not use."""
    return {
        "embedding_layer.bert_model.embeddings.word_embeddings.weight": torch.ones(4, 4),
        "embedding_layer.bert_projection_fc.weight": torch.ones(4, 4),
        "embedding_layer.output_upscaling.0.weight": torch.ones(4, 2, 2, 2, 2),
        "embedding_layer.transformer_decoder.layers.0.self_attn.in_proj_weight": torch.ones(4, 4),
        "embedding_layer.transformer_decoder_mlp.0.weight": torch.ones(4, 4),
        "embedding_layer.cls_head.weight": torch.ones(1, 4),
        "lang_model.model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4),
    }


def radfm_tokenizer() -> PreTrainedTokenizerFast:
    """Return a small tokenizer like Llama's, without RadFM's image words."""
    core = Tokenizer(models.BPE(unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    special = ["<unk>", "<s>", "</s>"]
    core.train_from_iterator(
        TEXTS, trainers.BpeTrainer(vocab_size=200, special_tokens=special, show_progress=False)
    )
    core.post_processor = processors.TemplateProcessing(
        single="<s> $A", special_tokens=[("<s>", 1)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=core, unk_token="<unk>", bos_token="<s>", eos_token="</s>",
        pad_token="<unk>",
    )  # fmt: skip


def build(
    vocabulary: int,
    *,
    patch: tuple[int, int, int] = (8, 8, 4),
    counts: tuple[int, int, int] = (4, 4, 8),
    dim: int = 48,
    latents: int = 32,
    head_dim: int = 64,
) -> tuple[RadFM, dict[str, Any]]:
    """Return a tiny RadFM and the `config.json` of its language model.

    patch, counts: along height, width and slices.
    """
    torch.manual_seed(0)
    settings: dict[str, Any] = {
        "vocab_size": vocabulary,
        "hidden_size": 32,
        "intermediate_size": 40,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "max_position_embeddings": 256,
        "rms_norm_eps": 1e-6,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
        "model_type": "llama",
    }
    llm = LlamaForCausalLM(LlamaConfig(**settings, initializer_range=0.2))
    vit = ViT(dim, 2, 80, patch, counts, head_dim=head_dim)
    model = RadFM(vocabulary, vit, Resampler(dim, 3, latents, head_dim), llm, dim).eval()
    with torch.no_grad():  # biases and norms too: zeros and ones hide mistakes
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return model, settings
