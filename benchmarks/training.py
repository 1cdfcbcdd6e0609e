"""Time a training step beside MONAI's masked autoencoder and a plain transformers/peft loop.

    python -m benchmarks.training [--size small|base] [--threads N] [--repeat N]

Everything runs in one process on the same tensors. The contestants take turns, step by step, so
that what else the machine does meets both, and the median step counts; where other programs want
the processors too, processor time tells more than the clock. The first losses are printed, so that
nobody is fast by computing something else: the VLM steps start from the same weights and have the
same loss; the MAEs draw weights and masks of their own, so theirs are only close.

* MAE: `MaskedAutoencoder3D` beside MONAI's `MaskedAutoEncoderViT` of the same sizes: patches,
  mask ratio, encoder and decoder width, depth, heads, MLP. A step is forward, loss on removed
  patches, backward, AdamW.
* VLM: a LoRA step of stage `instruct` as the Trainer runs it beside the loop one would write by
  hand: the same transformers language model with peft, `inputs_embeds` put together with
  `torch.cat`, `loss.backward()`, AdamW. Image tokens come from the same frozen features.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from napari_ct_assistant.model import MaskedAutoencoder3D, VisionTransformer3D
from napari_ct_assistant.model.configuration import VolumeLanguageConfig
from napari_ct_assistant.model.modeling import VolumeLanguageModel
from napari_ct_assistant.model.vision_configuration import VisionConfig3D

# Voxels, patch, encoder width, depth, heads, decoder width, depth, heads.
SIZES: dict[str, tuple[Any, ...]] = {
    "small": ((56, 112, 112), (8, 16, 16), 192, 4, 3, 96, 2, 3),
    "base": ((112, 224, 224), (8, 16, 16), 384, 6, 6, 192, 4, 6),
}
Step = Callable[[], float]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="base")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--repeat", type=int, default=7, help="counted steps of each (default 7)")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(
        f"torch {torch.__version__}, {platform.machine()}, {os.cpu_count()} cores, "
        f"{options.threads} thread(s), load {os.getloadavg()[0]:.1f}, "
        f"median of {options.repeat} steps\n"
    )
    benchmark_mae(options.size, options.repeat)
    print()
    benchmark_vlm(options.repeat)
    return 0


def benchmark_mae(size: str, repeat: int) -> None:
    """Print the seconds of a masked autoencoder's step."""
    image, patch, width, depth, heads, d_width, d_depth, d_heads = SIZES[size]
    torch.manual_seed(0)
    config = VisionConfig3D(
        image_size=image,
        patch_size=patch,
        hidden_size=width,
        num_hidden_layers=depth,
        num_attention_heads=heads,
        qkv_bias=False,
        class_token=True,
    )
    ours = MaskedAutoencoder3D(
        VisionTransformer3D(config),
        decoder_embed_dim=d_width,
        decoder_depth=d_depth,
        decoder_num_heads=d_heads,
    )
    x = torch.rand(1, 1, *image)
    steps = {"MaskedAutoencoder3D": _step(ours, lambda: ours(x)["loss"])}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from monai.networks.nets import MaskedAutoEncoderViT

            monai = MaskedAutoEncoderViT(
                1,
                image,
                patch,
                hidden_size=width,
                mlp_dim=4 * width,
                num_layers=depth,
                num_heads=heads,
                decoder_hidden_size=d_width,
                decoder_mlp_dim=4 * d_width,
                decoder_num_layers=d_depth,
                decoder_num_heads=d_heads,
            )
    except ImportError as error:
        print(f"MONAI is not installed ({error}): pip install --no-deps monai; pip install einops")
    else:
        steps["MONAI MaskedAutoEncoderViT"] = _step(monai, lambda: _monai_loss(monai, ours, x))
    count = sum(p.numel() for p in ours.parameters())
    tokens = ours.num_patches
    _race(
        f"MAE step, {image} voxels, {tokens} tokens, {count / 1e6:.1f} M parameters", steps, repeat
    )


def _monai_loss(monai: nn.Module, ours: MaskedAutoencoder3D, x: Tensor) -> Tensor:
    """MONAI gives the prediction and the mask; the loss is the MAE code's for both."""
    prediction, mask = monai(x)
    return ours.forward_loss(x, prediction, mask)


def benchmark_vlm(repeat: int) -> None:
    """Print the seconds of a LoRA step of a vision-language model."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, LlamaConfig

    from napari_ct_assistant.training.config.recipe import LoraSettings
    from napari_ct_assistant.training.stages.lora import add_lora

    text = LlamaConfig(
        vocab_size=8192,
        hidden_size=384,
        intermediate_size=1024,
        num_hidden_layers=6,
        num_attention_heads=6,
        num_key_value_heads=6,
        max_position_embeddings=1024,
    )
    vision = VisionConfig3D(hidden_size=96, num_hidden_layers=1, num_attention_heads=2)
    torch.manual_seed(0)
    whole = VolumeLanguageModel(
        VolumeLanguageConfig(vision_config=vision, text_config=text, image_token_id=8191)
    )
    base = AutoModelForCausalLM.from_config(text)
    base.load_state_dict(whole.language_model.state_dict())
    lora = LoraSettings(r=16, alpha=32, dropout=0.0)
    n, length = whole.num_image_tokens, 128
    words = torch.randint(3, 8000, (1, length))
    features = torch.randn(1, 2744, vision.output_size)
    ids = torch.cat([torch.tensor([[1]]), torch.full((1, n), 8191), words], dim=1)
    labels = torch.cat([torch.full((1, n + 1), -100), words], dim=1)

    whole.requires_grad_(True)
    whole.vision_tower.requires_grad_(False)
    ours = add_lora(whole, lora)
    batch = {
        "input_ids": ids,
        "labels": labels,
        "attention_mask": torch.ones_like(ids),
        "position_ids": torch.arange(ids.shape[1])[None],
        "vision_tokens": features,
        "loss_weights": (labels != -100).float(),
    }

    # The loop by hand: language model with peft, projector, embeddings joined by torch.cat.
    projector = nn.Conv3d(vision.output_size, 384, 2, stride=2)
    projector.load_state_dict(
        whole.projector.perceiver.convolution.state_dict()  # type: ignore[union-attr]
    )
    targets = [f".*{name}" for name in ("q_proj", "k_proj", "v_proj", "o_proj")]
    targets += [f".*{name}" for name in ("gate_proj", "up_proj", "down_proj")]
    plain = get_peft_model(
        base,
        LoraConfig(
            r=16,
            lora_alpha=32,
            lora_dropout=0.0,
            target_modules="|".join(targets),
            task_type="CAUSAL_LM",
        ),
    )
    plain.base_model.model.image = projector

    def by_hand() -> Tensor:
        embed = plain.get_input_embeddings()
        image = projector(features.transpose(1, 2).unflatten(2, (14, 14, 14)))
        image = image.flatten(2).transpose(1, 2)
        embeds = torch.cat([embed(ids[:, :1]), image, embed(words)], dim=1)
        loss: Tensor = plain(inputs_embeds=embeds, labels=labels).loss
        return loss

    steps = {
        "stage instruct (Trainer)": _trainer_step(ours, batch),
        "transformers + peft by hand": _step(plain, by_hand),
    }
    count = sum(p.numel() for p in base.parameters())
    learned = sum(p.numel() for p in ours.parameters() if p.requires_grad)
    _race(
        f"VLM step, {ids.shape[1]} tokens of which {n} image, language model {count / 1e6:.1f} M, "
        f"{learned / 1e6:.2f} M learn",
        steps,
        repeat,
    )


def _step(model: nn.Module, forward: Callable[[], Tensor]) -> Step:
    """Return a whole training step of a model."""
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)
    model.train()

    def step() -> float:
        loss = forward()
        loss.backward()
        torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.grad is not None], 1.0)
        optimizer.step()
        optimizer.zero_grad()
        return float(loss)

    return step


def _trainer_step(model: nn.Module, batch: dict[str, Tensor]) -> Step:
    """Return a step as `StageTrainer` runs it: its own forward, loss and backward."""
    import tempfile

    from transformers import TrainingArguments

    from napari_ct_assistant.training.stages.trainer import StageTrainer

    folder = tempfile.mkdtemp()
    arguments = TrainingArguments(
        output_dir=folder, use_cpu=True, report_to=[], disable_tqdm=True, learning_rate=1e-4
    )
    trainer = StageTrainer(model=model, args=arguments)
    trainer.create_optimizer()
    weights = batch["loss_weights"].sum()

    def step() -> float:
        loss = trainer.training_step(model, dict(batch), weights)
        torch.nn.utils.clip_grad_norm_([p for p in model.parameters() if p.grad is not None], 1.0)
        trainer.optimizer.step()
        trainer.optimizer.zero_grad()
        return float(loss)

    return step


def _race(title: str, steps: dict[str, Step], repeat: int) -> None:
    """Run each step in turn, the first round uncounted, and print medians."""
    wall: dict[str, list[float]] = {name: [] for name in steps}
    work: dict[str, list[float]] = {name: [] for name in steps}
    losses: dict[str, float] = {}
    for round_number in range(repeat + 1):
        for name, step in steps.items():
            start, start_work = time.perf_counter(), time.process_time()
            loss = step()
            losses.setdefault(name, loss)
            if round_number:
                wall[name].append(time.perf_counter() - start)
                work[name].append(time.process_time() - start_work)
    print(title)
    ours = next(iter(steps))
    for name in steps:
        seconds, spent = statistics.median(wall[name]), statistics.median(work[name])
        print(
            f"  {name:<30} {seconds:7.3f} s {seconds / statistics.median(wall[ours]):5.2f}x"
            f"   processor {spent:7.3f} s {spent / statistics.median(work[ours]):5.2f}x"
            f"   first loss {losses[name]:.4f}"
        )


if __name__ == "__main__":
    raise SystemExit(main())
