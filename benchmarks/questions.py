"""Rows of a reading: questions, screen, reopening, evidence and peak memory of a scan.

The usual way is that of M3D's published code: scan and question go through encoder, perceiver and
language model for every question. Both ways run with the same weights on the same scan. Weights
are random: the time does not depend on them. Encoders have their published sizes; the language
model is Llama-shaped with 107 M parameters, so that a run fits in memory and in minutes. A larger
one makes the usual way slower by its prefill, and both ways by the tokens of the answer.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from transformers import AutoTokenizer, LlamaConfig

from benchmarks.rows import Groups, Row, Settings, Target, faster, peak_memory, race
from napari_ct_assistant import CTVolume
from napari_ct_assistant.assistant.models.installed import find_model
from napari_ct_assistant.assistant.reading.screening import screen_findings
from napari_ct_assistant.backends.model_info import ModelInfo
from napari_ct_assistant.backends.protocol import View
from napari_ct_assistant.backends.scan_cache import ScanCache
from napari_ct_assistant.backends.settings import GenerationSettings
from napari_ct_assistant.backends.volume_language.backend import VolumeLanguageBackend
from napari_ct_assistant.backends.volume_language.decoding import LlamaSteps, greedy
from napari_ct_assistant.backends.volume_language.image_context import VolumeLanguageContext
from napari_ct_assistant.backends.volume_language.loading import for_inference
from napari_ct_assistant.model.configuration import VolumeLanguageConfig
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
# As long as a report of the bundled model.
LONG_REPORT: Final = (
    "The lungs are clear without consolidation or ground-glass opacity. There is a nodule of 14 mm "
    "in the right upper lobe. The trachea and the main bronchi are open. No pleural effusion or "
    "thickening is seen. The heart is enlarged. There is no pericardial effusion. Calcified "
    "plaques are seen in the aortic arch and the coronary arteries. No enlarged mediastinal lymph "
    "nodes. There is a small hiatal hernia. The visualized upper abdomen is unremarkable. "
    "Degenerative changes are seen in the thoracic spine."
)
# The language model's sizes: hidden, MLP, layers, heads, key-value heads.
SMOLLM: Final = (576, 1536, 30, 9, 3)  # the shape of SmolLM-135M
PEER: Final = "scan and question through the whole model, as M3D's code does"
NAMES: Final = {"e3d_gpt": "E3D-GPT", "m3d": "M3D", "small": "a small model"}


def follow_up(settings: Settings) -> Iterator[Row]:
    """Time to the first token of a question about a scan that was read before."""
    for size, read in _readings(settings):
        ours, theirs = race(lambda r=read: ask(r.context, 1), read.usual.ask, settings)
        yield read.row(f"first token of a follow-up, {NAMES[size]}", PEER, ours, theirs,
                       (lambda r=read: ask(r.context, 1)), read.usual.ask, faster(15))  # fmt: skip


def screen(settings: Settings) -> Iterator[Row]:
    """18 findings with and without the image, beside one question after the other."""
    for size, read in _readings(settings):
        way = lambda r=read: screen_findings(r.context, r.backend.info)  # noqa: E731
        usual, count = read.usual.screen_one, len(FINDINGS)
        ours, theirs = race(way, usual, settings, factor=count)
        step = f"screen for {count} findings, {NAMES[size]}"
        yield read.row(step, PEER, ours, theirs, way, usual, faster(15), factor=count)


def reopening(settings: Settings) -> Iterator[Row]:
    """The encoder's output of a scan from the disk, beside encoding."""
    for size, read in _readings(settings):
        with tempfile.TemporaryDirectory() as folder:
            kept = replace(read.scan, cache=ScanCache(Path(folder), worth=0))
            read.backend.encode(kept)
            encoder = {"vision_tower": read.backend.model.vision_tower}
            way = lambda k=kept, e=encoder: k.encoded(e, dict)  # noqa: E731
            usual = read.usual.encode
            ours, theirs = race(way, usual, settings)
            step = f"reopening a scan, {NAMES[size]}"
            yield read.row(step, "encoding it", ours, theirs, way, usual, faster(20))


def report_evidence(settings: Settings) -> Iterator[Row]:
    """Support and heat of every sentence of a report, beside generating as many tokens."""
    read = small() if settings.quick else Read("one_block")
    for report in (REPORT,) if settings.quick else (LONG_REPORT, REPORT):
        tokens = len(read.context.answer_ids(report))
        sentences = len(read.context.sentence_spans(report))
        way, usual = (
            lambda r=report: evidence(read.context, r),
            lambda n=tokens: write(read.context, n),
        )
        ours, theirs = race(way, usual, settings)
        step = f"evidence of a report of {tokens} tokens, {sentences} sentences"
        yield read.row(step, "generating it", ours, theirs, way, usual, Target("share", 0.3))


def memory(settings: Settings) -> Iterator[Row]:
    """Peak of encoding a scan and answering, beside weights + cache + input."""
    if settings.quick:
        return
    backend = make_backend("m3d")
    scan = backend.prepare(volume(), View())
    found: list[VolumeLanguageContext] = []

    def reading() -> None:
        found[:] = [backend.encode(scan)]  # type: ignore[list-item]
        ask(found[0], 32)

    ours, _ = race(reading, lambda: None, replace(settings, repeat=1))
    found.clear()
    peak = peak_memory(reading)
    if peak is None:
        return
    weights = sum(p.numel() * p.element_size() for p in backend.model.parameters())
    layers = found[0].prefix_cache.cache.layers
    cache = sum(t.numel() * t.element_size() for x in layers for t in (x.keys, x.values))
    total = weights + cache + scan.pixel_values.numel() * scan.pixel_values.element_size()
    yield Row(
        "peak memory of a reading, M3D",
        "weights + cache + input",
        replace(ours, memory=weights + peak),
        None,
        (Target("1.3 x sum / peak", 1.0),),
        measured={
            "1.3 x sum / peak": 1.3 * total / (weights + peak),
            "peak / sum": (weights + peak) / total,
        },
    )


GROUPS: Final[Groups] = {
    "follow-up": follow_up,
    "screen": screen,
    "reopening": reopening,
    "evidence": report_evidence,
    "memory": memory,
}


class Read:
    """A model that has read a scan."""

    def __init__(self, size: str) -> None:
        self.backend = make_backend(size)
        self.scan = self.backend.prepare(volume(), View())
        context = self.backend.encode(self.scan)
        assert isinstance(context, VolumeLanguageContext)
        self.context = context
        self.usual = UsualWay(self.backend, self.scan.pixel_values)

    def row(
        self,
        step: str,
        peer: str,
        ours: Any,
        theirs: Any,
        way: Callable[[], object],
        usual: Callable[[], object],
        target: Target,
        *,
        factor: int = 1,
    ) -> Row:
        """Return a row with what each way computes, on every machine the same."""
        counts: dict[str, int] = {}
        for each, name, times in ((way, "", 1), (usual, ", peer", factor)):
            with counted(self.backend) as found:
                each()
            counts |= {f"encoder passes{name}": found["encoder"] * times,
                       f"language tokens{name}": found["tokens"] * times}  # fmt: skip
        return Row(step, peer, ours, theirs, (target,), counts)


def _readings(settings: Settings) -> Iterator[tuple[str, Read]]:
    for size in ("small",) if settings.quick else ("e3d_gpt", "m3d"):
        yield size, small() if size == "small" else Read(size)


@cache
def small() -> Read:
    """Return the model whose passes and tokens the test suite counts."""
    return Read("small")


def make_backend(size: str) -> VolumeLanguageBackend:
    """Return a model with random weights: a published encoder, and a language model of 107 M."""
    tokenizer = AutoTokenizer.from_pretrained(find_model("demo"))
    if size == "small":
        shape: tuple[int, ...] = (96, 192, 4, 3, 3)
        vision = VisionConfig3D(hidden_size=96, num_hidden_layers=2, num_attention_heads=4)
    elif size == "one_block":
        # The text alone is measured: a small encoder with E3D-GPT's 343 image tokens.
        shape = SMOLLM
        vision = VisionConfig3D(hidden_size=96, num_hidden_layers=1, num_attention_heads=2)
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
    model = for_inference(VolumeLanguageModel(config))
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


def ask(context: VolumeLanguageContext, tokens: int) -> None:
    """Generate so many tokens of an answer."""
    settings = GenerationSettings(max_new_tokens=tokens)
    context.generate(context.prompt(QUESTION), settings=settings)


def write(context: VolumeLanguageContext, tokens: int) -> None:
    """Generate so many tokens one by one.

    Random weights repeat themselves more than reports do, so that looking phrases up would be
    flattered.
    """
    model: Any = context.loaded.model
    ids = torch.tensor([context.prompt(QUESTION).ids])
    cache = context.prefix_cache.cache
    list(greedy(model.language_model, model.embed(ids), cache, tokens, lookup=False))


def evidence(context: VolumeLanguageContext, report: str) -> None:
    """Find support and heat of each sentence of a report."""
    prompt = context.prompt(QUESTION)
    context.attribute(prompt, context.answer_ids(report), context.sentence_spans(report))


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

    whole = LlamaSteps.__call__

    def steps(self: LlamaSteps, x: torch.Tensor, **how: bool) -> torch.Tensor:
        found["tokens"] += len(x)
        return whole(self, x, **how)

    model: Any = backend.model
    LlamaSteps.__call__ = steps  # type: ignore[method-assign]
    hooks = [
        model.vision_tower.register_forward_hook(encoder),
        model.language_model.register_forward_hook(language, with_kwargs=True),
    ]
    try:
        yield found
    finally:
        LlamaSteps.__call__ = whole  # type: ignore[method-assign]
        for hook in hooks:
            hook.remove()


def volume() -> CTVolume:
    rng = np.random.default_rng(0)
    hu = rng.integers(-1000, 400, (60, 128, 128)).astype(np.int16)
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = -5.0, -3.0, -3.0, 1.0
    return CTVolume(hu=hu, affine=affine, series="noise")
