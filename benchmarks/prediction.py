"""What one GPU would need, computed from sizes and published peaks: a prediction, not measured.

Writing a token reads every weight and the whole key-value cache once, so it takes

    (bytes of weights + bytes of cache) / (bandwidth x share that is reached).

Reading a prompt multiplies each weight with each token, so it takes

    2 x parameters x tokens / (peak x utilization),

to which attention adds 4 x layers x width x tokens^2 operations, halved where it is causal. Both
shares are ranges: 60 to 85 % of the bandwidth and 30 to 55 % of the peak are usual for a batch of
one in bf16. A follow-up reads its own tokens only, as the prompt is kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

BYTES: Final = 2  # of a number in bf16
BANDWIDTH_SHARE: Final = (0.60, 0.85)
UTILIZATION: Final = (0.30, 0.55)


@dataclass(frozen=True)
class GPU:
    """Published peaks: bytes a second, and dense bf16 operations a second."""

    name: str
    bandwidth: float
    peak: float
    memory: float


@dataclass(frozen=True)
class Model:
    """What of a model counts.

    encoder, language: parameters. image_tokens: in the encoder. prompt: tokens that the language
    model reads. attention_layers, width: of layers with full attention. cache: bytes of the
    key-value cache for each token. report: tokens of a report, a typical length.
    """

    name: str
    encoder: float
    encoder_layers: int
    encoder_width: int
    image_tokens: int
    language: float
    attention_layers: int
    width: int
    prompt: int
    cache: float
    report: int


# NVIDIA's data sheets; dense figures.
GPUS: Final = (
    GPU("H100 SXM 80 GB", 3.35e12, 989e12, 80e9),
    GPU("RTX 4090 24 GB", 1.008e12, 165e12, 24e9),
)
MODELS: Final = (
    # E3D-GPT: ViT-B over 14 x 14 x 14 tokens, 343 after the perceiver; Vicuna-7B has 32 layers of
    # 4,096 and keeps keys and values of all 32 heads.
    Model("E3D-GPT with Vicuna-7B", 88e6, 12, 768, 2744, 6.74e9, 32, 4096, 400,
          2 * 32 * 4096 * BYTES, 200),
    # NV-Reason-CT: Primus over 24 x 24 x 24 tokens, all of which Qwen3.5-4B reads; 8 of its 32
    # layers have full attention (4 key-value heads of 256), the others a state of fixed size.
    Model("NV-Reason-CT with Qwen3.5-4B", 147e6, 16, 864, 13_824, 4.21e9, 8, 4096, 13_844,
          8 * 2 * 4 * 256 * BYTES, 430),
)  # fmt: skip


def table() -> list[str]:
    """Return the predictions as lines of a Markdown table: low to high."""
    lines = [
        "| Model, bf16, batch of one | GPU | Weights and cache | Scan to first token | Report "
        "| First token of a follow-up | Tokens a second |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for model in MODELS:
        for gpu in GPUS:
            first, token = first_token(model, gpu), per_token(model, gpu)
            report = [a + model.report * b for a, b in zip(first, token, strict=True)]
            memory = _bytes(model) / 1e9
            fits = "" if memory < 0.9 * gpu.memory / 1e9 else " (too large)"
            lines.append(
                f"| {model.name} | {gpu.name} | {memory:.1f} GB{fits} | {_range(first)} "
                f"| {_range(report)} ({model.report} tokens) | {_range(token)} "
                f"| {1 / token[1]:.0f} to {1 / token[0]:.0f} |"
            )
    return lines


def per_token(model: Model, gpu: GPU) -> tuple[float, float]:
    """Return the seconds for one token, shortest and longest."""
    ideal = _bytes(model) / gpu.bandwidth
    return ideal / BANDWIDTH_SHARE[1], ideal / BANDWIDTH_SHARE[0]


def first_token(model: Model, gpu: GPU) -> tuple[float, float]:
    """Return the seconds from the prepared scan to the first token, shortest and longest."""
    encode = 2 * model.encoder * model.image_tokens
    encode += 4 * model.encoder_layers * model.encoder_width * model.image_tokens**2
    read = 2 * model.language * model.prompt
    read += 2 * model.attention_layers * model.width * model.prompt**2
    ideal = (encode + read) / gpu.peak
    return ideal / UTILIZATION[1], ideal / UTILIZATION[0]


def _bytes(model: Model) -> float:
    """Return what a token reads, at the middle of a report."""
    return BYTES * model.language + model.cache * (model.prompt + model.report / 2)


def _range(seconds: tuple[float, float]) -> str:
    low, high = seconds
    if high < 1:
        return f"{low * 1000:.0f} to {high * 1000:.0f} ms"
    return f"{low:.1f} to {high:.1f} s"
