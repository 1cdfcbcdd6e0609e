"""Time what a reader waits for beside the usual way to run such a model.

    python -m benchmarks.assistant [--size e3d_gpt|m3d|small] [--threads N] [--repeat N]
                                   [--json FILE]

The usual way is that of M3D's published code: scan and question go through encoder, perceiver and
language model for every question. Both ways run in one process with the same weights on the same
scan and take turns, so that what else the machine does meets both; the median counts. Weights are
random: the time does not depend on them. The forward passes of the encoder and the tokens that
the language model computes are counted: unlike seconds, they are the same on every machine.

Rows:

* follow-up: time to the first token of a question about a scan that was read before;
* screen: 18 findings, each with and without the image. The usual way is measured on one question
  without the blind half, and multiplied;
* reopening: the encoder's output from the disk beside encoding;
* generation: all tokens of an answer, beside the same from scan and question anew;
* evidence: support and heat of every sentence of a report, beside generating as many tokens.

`benchmarks/counts.json` holds the counts of `--size small`; a test compares them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import transformers
from transformers import AutoTokenizer, LlamaConfig

from napari_ct_assistant import CTVolume
from napari_ct_assistant.assistant.models.installed import find_model
from napari_ct_assistant.assistant.reading.screening import screen_findings
from napari_ct_assistant.backends.model_info import ModelInfo
from napari_ct_assistant.backends.protocol import View
from napari_ct_assistant.backends.scan_cache import ScanCache
from napari_ct_assistant.backends.settings import GenerationSettings
from napari_ct_assistant.backends.volume_language.backend import VolumeLanguageBackend
from napari_ct_assistant.backends.volume_language.image_context import VolumeLanguageContext
from napari_ct_assistant.model.configuration import VolumeLanguageConfig
from napari_ct_assistant.model.layers.onednn import use_onednn
from napari_ct_assistant.model.modeling import VolumeLanguageModel
from napari_ct_assistant.model.presets import e3d_gpt_vision, vit3d_llama3_vision
from napari_ct_assistant.model.processor import VolumeLanguageProcessor
from napari_ct_assistant.model.vision_configuration import VisionConfig3D
from napari_ct_assistant.report_text.findings import FINDINGS

QUESTION: Final = "Is there a pleural effusion on the left?"
REPORT: Final = (
    "The heart is enlarged. There is a small pleural effusion on the left. No nodule is seen. "
    "The trachea and both main bronchi are open. Calcification is seen in the wall of the aorta. "
    "The bones are unremarkable."
)
# The language model's sizes: hidden, MLP, layers, heads, key-value heads.
SMOLLM: Final = (576, 1536, 30, 9, 3)  # the shape of SmolLM-135M


@dataclass
class Cost:
    """What one way took: median seconds, and counts of one run."""

    seconds: float
    encoder_passes: int
    language_tokens: int


@dataclass
class Row:
    """One step, our way and the usual way; the usual one took `factor` times as measured."""

    step: str
    ours: Cost
    usual: Cost
    factor: int = 1

    @property
    def ratio(self) -> float:
        """How many times as long the usual way takes."""
        return self.usual.seconds * self.factor / self.ours.seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=["e3d_gpt", "m3d", "small"], default="e3d_gpt")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--repeat", type=int, default=5, help="runs of each (default 5)")
    parser.add_argument("--json", type=Path, help="also write seconds, ratios and counts")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    backend = make_backend(options.size)
    head = {
        "size": options.size,
        "encoder_parameters": _count(backend.model.vision_tower),
        "language_parameters": _count(backend.model.language_model),
        "image_tokens": backend.processor.num_image_tokens,
        "threads": options.threads,
        "repeat": options.repeat,
        "load": round(os.getloadavg()[0], 1),
        "machine": platform.machine(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
    print(", ".join(f"{key} {value}" for key, value in head.items()) + "\n")
    rows = measure(backend, options.repeat)
    print("\n".join(table(rows)))
    if options.json:
        content = {**head, "rows": [{**asdict(row), "ratio": row.ratio} for row in rows]}
        content["counts"] = counts(rows)
        options.json.write_text(json.dumps(content, indent=2) + "\n")
    return 0


def table(rows: list[Row]) -> list[str]:
    """Return the rows as lines of a Markdown table."""
    lines = [
        "| Step | Here | The usual way | Ratio | Encoder passes | Language model tokens |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        ours, usual, n = row.ours, row.usual, row.factor
        lines.append(
            f"| {row.step} | {ours.seconds:.3f} s | {usual.seconds * n:.3f} s | {row.ratio:.2f}x "
            f"| {ours.encoder_passes} / {usual.encoder_passes * n} "
            f"| {ours.language_tokens} / {usual.language_tokens * n} |"
        )
    return lines


def counts(rows: list[Row]) -> dict[str, list[int]]:
    """Return what each step computes on every machine.

    Four numbers for each step: encoder passes and language model tokens here, and the usual way.
    """
    return {
        row.step: [
            row.ours.encoder_passes,
            row.ours.language_tokens,
            row.usual.encoder_passes * row.factor,
            row.usual.language_tokens * row.factor,
        ]
        for row in rows
    }


def make_backend(size: str) -> VolumeLanguageBackend:
    """Return a model with random weights: a published encoder, and a language model of 107 M."""
    tokenizer = AutoTokenizer.from_pretrained(find_model("demo"))
    if size == "small":
        shape: tuple[int, ...] = (96, 192, 4, 3, 3)
        vision = VisionConfig3D(hidden_size=96, num_hidden_layers=2, num_attention_heads=4)
    else:
        shape = SMOLLM
        vision = e3d_gpt_vision() if size == "e3d_gpt" else vit3d_llama3_vision()
    hidden, mlp, layers, heads, kv_heads = shape
    text = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=mlp,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=kv_heads,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        # No answer ends before its last token.
        eos_token_id=None,
        pad_token_id=tokenizer.pad_token_id,
    )
    image_token = "<image>"
    torch.manual_seed(0)
    config = VolumeLanguageConfig(
        vision_config=vision,
        text_config=text,
        image_token_id=int(tokenizer.convert_tokens_to_ids(image_token)),
    )
    model = use_onednn(VolumeLanguageModel(config).eval())
    processor = VolumeLanguageProcessor(
        tokenizer,
        image_size=vision.image_size,
        patch_size=vision.patch_size,
        num_image_tokens=model.num_image_tokens,
        image_token=image_token,
        prompt="{image}{question}\n",
        answer_prefix="",
    )
    return VolumeLanguageBackend(model, processor, ModelInfo("random weights"))


def measure(backend: VolumeLanguageBackend, repeat: int) -> list[Row]:
    """Return a row for each step."""
    volume = _volume()
    scan = backend.prepare(volume, View())
    context = backend.encode(scan)
    usual = UsualWay(backend, scan.pixel_values)
    tokens = len(context.answer_ids(REPORT))
    with tempfile.TemporaryDirectory() as folder:
        kept = replace(scan, cache=ScanCache(Path(folder), worth=0))
        backend.encode(kept)
        encoder = {"vision_tower": backend.model.vision_tower}
        return [
            race(backend, "first token of a follow-up", repeat, lambda: ask(context, 1), usual.ask),
            race(
                backend,
                f"screen for {len(FINDINGS)} findings",
                repeat,
                lambda: screen_findings(context, backend.info),
                usual.screen_one,
                factor=len(FINDINGS),
            ),
            race(
                backend,
                "reopening: the encoder's output",
                repeat,
                lambda: kept.encoded(encoder, dict),
                usual.encode,
            ),
            race(
                backend,
                f"generation of {tokens} tokens",
                repeat,
                lambda: ask(context, tokens),
                lambda: usual.ask(tokens),
            ),
            race(
                backend,
                f"evidence of {tokens} tokens, beside generating them",
                repeat,
                lambda: evidence(context),
                lambda: ask(context, tokens),
            ),
        ]


def ask(context: VolumeLanguageContext, tokens: int) -> None:
    """Generate so many tokens of an answer."""
    settings = GenerationSettings(max_new_tokens=tokens)
    context.generate(context.prompt(QUESTION), settings=settings)


def evidence(context: VolumeLanguageContext) -> None:
    """Find support and heat of each sentence of a report."""
    prompt = context.prompt(QUESTION)
    context.attribute(prompt, context.answer_ids(REPORT), context.sentence_spans(REPORT))


class UsualWay:
    """Every question with the whole prompt, as M3D's published code asks it."""

    def __init__(self, backend: VolumeLanguageBackend, pixel_values: torch.Tensor) -> None:
        self.model: Any = backend.model
        self.pixel_values = pixel_values
        processor = backend.processor
        self.ids = torch.tensor([processor.prefix_ids() + processor.question_ids(QUESTION)])

    def ask(self, tokens: int = 1) -> None:
        """Generate so many tokens of an answer."""
        self.model.generate(
            input_ids=self.ids,
            attention_mask=torch.ones_like(self.ids),
            pixel_values=self.pixel_values,
            do_sample=False,
            max_new_tokens=tokens,
        )

    def screen_one(self) -> None:
        """Compute the logits from which Yes or No is read, for one finding."""
        with torch.no_grad():
            self.model(input_ids=self.ids, pixel_values=self.pixel_values, logits_to_keep=1)

    def encode(self) -> None:
        """Run the encoder."""
        with torch.no_grad():
            self.model.vision_tower(pixel_values=self.pixel_values)


def race(
    backend: VolumeLanguageBackend,
    step: str,
    repeat: int,
    ours: Callable[[], object],
    usual: Callable[[], object],
    *,
    factor: int = 1,
) -> Row:
    """Run both ways in turn, the first round uncounted."""
    seconds: tuple[list[float], list[float]] = ([], [])
    counts: list[tuple[int, int]] = []
    for number in range(repeat + 1):
        for way, taken in zip((ours, usual), seconds, strict=True):
            with counted(backend) as found:
                start = time.perf_counter()
                way()
                taken.append(time.perf_counter() - start)
            if number == 1:
                counts.append((found["encoder"], found["tokens"]))
    print(f"measured: {step}", file=sys.stderr)
    first, second = (
        Cost(statistics.median(taken[1:]), *count)
        for taken, count in zip(seconds, counts, strict=True)
    )
    return Row(step, first, second, factor)


@contextmanager
def counted(backend: VolumeLanguageBackend) -> Iterator[dict[str, int]]:
    """Count the encoder's forward passes and the tokens that the language model computes."""
    found = {"encoder": 0, "tokens": 0}

    def encoder(*_: object) -> None:
        found["encoder"] += 1

    def language(_: object, args: tuple[Any, ...], kwargs: dict[str, Any], *__: object) -> None:
        embeds, ids = kwargs.get("inputs_embeds"), kwargs.get("input_ids")
        given = embeds if embeds is not None else ids if ids is not None else args[0]
        found["tokens"] += given.shape[0] * given.shape[1]

    model: Any = backend.model
    hooks = [
        model.vision_tower.register_forward_hook(encoder),
        model.language_model.register_forward_hook(language, with_kwargs=True),
    ]
    try:
        yield found
    finally:
        for hook in hooks:
            hook.remove()


def _volume() -> CTVolume:
    rng = np.random.default_rng(0)
    hu = rng.integers(-1000, 400, (60, 128, 128)).astype(np.int16)
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = -5.0, -3.0, -3.0, 1.0
    return CTVolume(hu=hu, affine=affine, series="noise")


def _count(module: torch.nn.Module) -> str:
    return f"{sum(p.numel() for p in module.parameters()) / 1e6:.1f} M"


if __name__ == "__main__":
    raise SystemExit(main())
