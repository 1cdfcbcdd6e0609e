"""How time and memory grow: over slices, image tokens, questions, report length, model size.

Each row holds a curve: the same step at several sizes, with the median of three runs. The inputs
are synthetic, and weights are random: neither changes the time.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.rows import Cost, Curve, Groups, Row, Settings, Way, cost, peak_memory
from napari_ct_assistant.volume import CTVolume, ModelGrid, open_ct, prepare

SLICES: Final = (100, 200, 500, 1000, 2000)
SIDE: Final = 256
QUESTIONS: Final = (1, 2, 4, 8, 16)
REPORT_TOKENS: Final = (32, 64, 128, 256)
# Of patches of 8 x 16 x 16 voxels: 343 to 5,488 tokens.
BOXES: Final = ((56, 112, 112), (112, 112, 112), (112, 224, 112), (112, 224, 224), (224, 224, 224))
# Hidden size, MLP, layers, heads, key-value heads of language models, all Llama-shaped.
SHAPES: Final = (
    (128, 352, 4, 2, 2),
    (192, 512, 6, 3, 3),
    (320, 864, 12, 5, 5),
    (448, 1216, 20, 7, 7),
    (576, 1536, 30, 9, 3),  # SmolLM-135M
)
CONTEXT: Final = 128
NEW_TOKENS: Final = 16


def growth_of_scans(settings: Settings) -> Iterator[Row]:
    """Load and prepare 100 to 2,000 synthetic slices."""
    if settings.quick or settings.busy:
        return
    with tempfile.TemporaryDirectory() as folder:
        paths = {n: Path(folder) / str(n) for n in SLICES}
        write_series(Path(folder), paths)
        loading = ((n, lambda n=n: open_ct(paths[n])) for n in SLICES)
        yield grown("loading", "slices of 256 x 256", loading)
    yield grown("preparation to 224 x 224 x 112", "slices of 256 x 256", preparations())


def growth_of_models(settings: Settings) -> Iterator[Row]:
    """Encode more tokens, ask more questions, write longer reports, with larger models."""
    if settings.quick or settings.busy:
        return
    import torch

    # Several threads wait for each other where another program has a core.
    torch.set_num_threads(1)
    with torch.inference_mode():
        yield grown("encoding (ViT of 384, 6 layers)", "image tokens", encoders())
        ask = reader()
        questions = ((n, lambda n=n: [ask(16) for _ in range(n)]) for n in QUESTIONS)
        yield grown("questions of 16 tokens on a scan already read", "questions", questions)
        reports = ((n, lambda n=n: ask(n)) for n in REPORT_TOKENS)
        yield grown("writing a report", "tokens", reports)
        step = f"{NEW_TOKENS} tokens after {CONTEXT}, Llama-shaped, fp32"
        yield grown(step, "parameters", language_models(), built)


GROUPS: Final[Groups] = {"growth_of_scans": growth_of_scans, "growth_of_models": growth_of_models}


def grown(
    step: str,
    over: str,
    ways: Iterator[tuple[float, Way]],
    memory_of: Callable[[float], Way] | None = None,
) -> Row:
    """Measure a step at each size. memory_of: a way whose memory is that of a size, if another."""
    sizes: list[float] = []
    costs: list[Cost] = []
    for size, way in ways:
        sizes.append(size)
        found = cost(way, Settings(3), memory=memory_of is None)
        if memory_of is not None:
            found = replace(found, memory=peak_memory(memory_of(size)))
        costs.append(found)
    peaks = [each.memory for each in costs]
    curve = Curve(
        over,
        tuple(sizes),
        tuple(each.seconds for each in costs),
        tuple(float(peak) for peak in peaks if peak is not None) if None not in peaks else (),
    )
    return Row(f"{step}, {sizes[-1]:,.0f} {over}", "", costs[-1], curve=curve)


def write_series(folder: Path, paths: dict[int, Path]) -> None:
    """Write the largest series, and the smaller ones as links to its first slices."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, generate_uid

    rng = np.random.default_rng(0)
    series, study = generate_uid(), generate_uid()
    pixels = rng.integers(0, 1500, (SIDE, SIDE), dtype=np.uint16)
    files = []
    for k in range(max(paths)):
        meta = FileMetaDataset()
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
        meta.MediaStorageSOPInstanceUID = generate_uid()
        data = Dataset()
        data.file_meta = meta
        data.SOPClassUID = meta.MediaStorageSOPClassUID
        data.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
        data.Modality, data.InstanceNumber, data.SeriesNumber = "CT", k + 1, 1
        data.StudyInstanceUID, data.SeriesInstanceUID = study, series
        data.ImagePositionPatient = [0.0, 0.0, float(k)]
        data.ImageOrientationPatient = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]
        data.PixelSpacing, data.SliceThickness = [1.4, 1.4], 1.0
        data.Rows = data.Columns = SIDE
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated, data.BitsStored, data.HighBit = 16, 12, 11
        data.PixelRepresentation, data.RescaleSlope, data.RescaleIntercept = 0, 1, -1024
        # Other pixels in each slice: equal ones would share their pages.
        data.PixelData = np.roll(pixels, k, axis=1).tobytes()
        files.append(folder / f"{k:04}.dcm")
        data.save_as(files[-1], enforce_file_format=True)
    for count, path in paths.items():
        path.mkdir()
        for file in files[:count]:
            (path / file.name).hardlink_to(file)


def preparations() -> Iterator[tuple[float, Way]]:
    """Yield the preparation of volumes of 1 mm slices."""
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2], affine[3, 3] = -1.0, -1.4, -1.4, 1.0
    for n in SLICES:
        hu = np.random.default_rng(0).integers(-1000, 400, (n, SIDE, SIDE), dtype=np.int16)
        volume = CTVolume(hu=hu, affine=affine, series="noise")
        grid = ModelGrid.centred(
            volume, shape=(112, 224, 224), spacing=(3.0, 1.5, 1.5), patch=(8, 16, 16)
        )
        yield n, lambda volume=volume, grid=grid: prepare(volume, grid)


def encoders() -> Iterator[tuple[float, Way]]:
    """Yield the encoding of boxes of more and more tokens by one shape of encoder."""
    import torch

    from napari_ct_assistant.model.vision_configuration import VisionConfig3D
    from napari_ct_assistant.model.vit import VisionTransformer3D

    for box in BOXES:
        config = VisionConfig3D(
            image_size=box,
            patch_size=(8, 16, 16),
            hidden_size=384,
            num_hidden_layers=6,
            num_attention_heads=6,
        )
        encoder = VisionTransformer3D(config).eval()
        pixels = torch.rand(1, 1, *box)
        tokens = int(np.prod([n // p for n, p in zip(box, (8, 16, 16), strict=True)]))
        yield tokens, lambda encoder=encoder, pixels=pixels: encoder(pixel_values=pixels)


def reader() -> Callable[[int], Any]:
    """Return a function that asks a small model about a scan that is read once."""
    from benchmarks.questions import make_backend, volume, write
    from napari_ct_assistant.backends.protocol import View

    backend = make_backend("small")
    context = backend.encode(backend.prepare(volume(), View()))
    return lambda tokens: write(context, tokens)


def language_models() -> Iterator[tuple[float, Way]]:
    """Yield the decoding of a few tokens by larger and larger language models."""
    for parameters, config in language_configs().items():
        yield parameters, decoder(config)


def built(parameters: float) -> Way:
    """Return what builds the model of so many parameters and decodes: its weights count."""
    config = language_configs()[parameters]
    return lambda: decoder(config)()


def decoder(config: Any) -> Callable[[], list[int]]:
    """Return the decoding of a few tokens by a new model with random weights."""
    import torch
    from transformers import LlamaForCausalLM

    from napari_ct_assistant.backends.volume_language.decoding import greedy, join_weights
    from napari_ct_assistant.model.layers.onednn import use_onednn

    model = use_onednn(LlamaForCausalLM(config).eval().requires_grad_(False))
    join_weights(model)
    ids = torch.randint(1, 8192, (1, CONTEXT), generator=torch.Generator().manual_seed(0))
    embeddings = model.get_input_embeddings()(ids)
    return lambda: list(greedy(model, embeddings, None, NEW_TOKENS, lookup=False))


def language_configs() -> dict[float, Any]:
    """Return configurations of Llama-shaped models by their numbers of parameters."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    found = {}
    for hidden, mlp, layers, heads, kv_heads in SHAPES:
        config = LlamaConfig(
            vocab_size=8192, hidden_size=hidden, intermediate_size=mlp, num_hidden_layers=layers,
            num_attention_heads=heads, num_key_value_heads=kv_heads, tie_word_embeddings=True,
            bos_token_id=None, eos_token_id=None, pad_token_id=0,
        )  # fmt: skip
        with torch.device("meta"):
            found[float(LlamaForCausalLM(config).num_parameters())] = config
    return found
