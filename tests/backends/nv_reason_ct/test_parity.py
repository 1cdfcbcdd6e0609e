"""NV-Reason-CT against the reference's own figures, through load_assistant, Reading, processor.

The data lie beside the project (shared/parity/nv_reason_ct); without them these tests are skipped.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from napari_ct_assistant import CTVolume, load_assistant, open_ct
from napari_ct_assistant.assistant import Assistant, GenerationSettings, Reading
from napari_ct_assistant.backends.nv_reason_ct.network.configuration import EncoderSizes
from napari_ct_assistant.backends.nv_reason_ct.network.vision import Vision3D
from napari_ct_assistant.backends.nv_reason_ct.processor import NVReasonCTProcessor
from napari_ct_assistant.model.folder import TensorHeader, weights_of

Arrays = dict[str, NDArray[Any]]


@pytest.fixture(scope="session")
def parity(shared_data: Path) -> Path:
    folder = shared_data.parent / "parity" / "nv_reason_ct"
    if not folder.is_dir():
        pytest.skip("the reference's figures are absent: no shared/parity beside the project")
    return folder


def fixtures(parity: Path, kind: str) -> Iterator[tuple[str, dict[str, Any], Arrays]]:
    """Yield name, description and arrays of each fixture of a kind."""
    for file in sorted(parity.glob("*.json")):
        described = json.loads(file.read_text())
        if isinstance(described, dict) and str(described.get("kind", "")).startswith(kind):
            with np.load(file.with_suffix(".npz")) as arrays:
                yield file.stem, described, dict(arrays)


def test_the_encoder_is_the_references(parity: Path) -> None:
    for name, said, arrays in fixtures(parity, "encoder"):
        sizes = EncoderSizes(
            tuple(said["input_shape"]),
            tuple(said["patch_embed_size"]),
            *(said[key] for key in ("embed_dim", "depth", "num_heads", "mlp_hidden")),
            said["out_hidden_size"],
        )
        assert sizes.grid == tuple(said["grid"])
        network = Vision3D(
            sizes.input_shape, sizes.patch_size, sizes.embed_dim, sizes.depth, sizes.num_heads,
            sizes.mlp_hidden, sizes.out_hidden_size,
        ).eval()  # fmt: skip
        stored = load_file(parity / f"{name}.safetensors")
        own = {k.removeprefix("model.vision3d."): v.float() for k, v in stored.items()}
        own.pop("sub_vision.mask_token", None)
        network.load_state_dict(own)
        values = torch.from_numpy(arrays["pixel_values"].astype(np.float32))
        with torch.no_grad():
            features = network.sub_vision(values)
            merged = network.merger(features)
        limit = said["tolerance"]["float32_max_abs"]
        np.testing.assert_array_equal(network.sub_vision.eva.rope[0], arrays["rope_sin"])
        np.testing.assert_array_equal(network.sub_vision.eva.rope[1], arrays["rope_cos"])
        assert np.abs(features[0].numpy() - arrays["features"]).max() <= limit
        assert np.abs(merged[0].numpy() - arrays["merged"]).max() <= limit
        # Weights in bfloat16; the rotary table stays in float32.
        network.to(torch.bfloat16).sub_vision.eva.reset_rope(torch.device("cpu"))
        with torch.no_grad():
            half = network(values)[0].float().numpy()
        error = np.sqrt(((half - arrays["merged"]) ** 2).mean())
        assert error <= 1.1 * said["tolerance"]["bf16_rms_reference"]


@pytest.fixture(scope="module")
def checkpoints(parity: Path) -> dict[str, Assistant]:
    return {
        name: load_assistant(parity / said["checkpoint"], device="cpu", dtype="float32")
        for name, said, _ in fixtures(parity, "end_to_end")
    }


def scan_of(pixel_values: NDArray[np.float32]) -> CTVolume:
    """Return a scan of 2 mm whose preparation is `pixel_values` [T, H, W]."""
    hu = np.rint(pixel_values[::-1] * 1000).astype(np.int16)
    affine = np.zeros((4, 4))
    affine[2, 0] = affine[1, 1] = affine[0, 2] = -2.0
    affine[3, 3] = 1.0
    return CTVolume(np.ascontiguousarray(hu), affine)


def read(assistant: Assistant, arrays: Arrays) -> Reading:
    return assistant.read(scan_of(arrays["pixel_values"][0, 0]), region="none")


def test_what_the_language_model_reads_is_the_references(
    parity: Path, checkpoints: dict[str, Assistant]
) -> None:
    for name, said, arrays in fixtures(parity, "end_to_end"):
        reading = read(checkpoints[name], arrays)
        np.testing.assert_allclose(
            reading.context.scan.pixel_values, arrays["pixel_values"], atol=1e-6
        )
        gap = np.abs(reading.image_tokens[0].numpy() - arrays["image_features"]).max()
        assert gap <= said["tolerance"]["image_features_max_abs"]


def test_prompts_and_logits_are_the_references(
    parity: Path, checkpoints: dict[str, Assistant]
) -> None:
    for name, said, arrays in fixtures(parity, "end_to_end"):
        assistant = checkpoints[name]
        processor, model = assistant.processor, assistant.model
        scan = scan_of(arrays["pixel_values"][0, 0])
        for case, asked in said["cases"].items():
            thinking = asked["enable_thinking"]
            text = processor.apply_chat_template(asked["messages"], enable_thinking=thinking)
            assert text == asked["rendered"]
            made = processor(asked["messages"], scan, region="none", enable_thinking=thinking)
            for key in ("input_ids", "attention_mask", "position_ids"):
                np.testing.assert_array_equal(made[key], arrays[f"{case}/{key}"])
            with torch.no_grad():
                logits = model(made["input_ids"], made["pixel_values"]).logits[0].numpy()
            expected = arrays[f"{case}/logits"]
            gap = np.abs(logits[-len(expected) :] - expected).max()
            assert gap <= said["tolerance"]["float32_logits_max_abs"]
            ids = model.generate(made["input_ids"], made["pixel_values"], max_new_tokens=24)
            new = ids[0, made["input_ids"].shape[1] :]
            np.testing.assert_array_equal(new, arrays[f"{case}/greedy_ids"])


def test_one_reading_answers_all_as_the_reference_does(
    parity: Path, checkpoints: dict[str, Assistant]
) -> None:
    """First turns and follow-ups, with and without reasoning, from one snapshot."""
    for name, said, arrays in fixtures(parity, "end_to_end"):
        reading = read(checkpoints[name], arrays)
        special = reading.backend.processor.special
        for case, asked in said["cases"].items():
            ids = arrays[f"{case}/greedy_ids"].tolist()
            if set(ids) & {*special.not_written, *special.end}:
                continue  # the reference was made to write on, and what is never written
            questions = [_text(message) for message in asked["messages"][::2]]
            answers = [_text(message) for message in asked["messages"][1::2]]
            thinking = asked["enable_thinking"]
            answer = reading.ask(
                questions[-1],
                history=list(zip(questions, answers, strict=False)),
                settings=GenerationSettings(max_new_tokens=len(ids), thinking=thinking),
                evidence=False,
            )
            written = answer.reasoning if thinking else answer.text
            assert written == asked["greedy_text_skip_special"].strip()
            assert answer.cut


def _text(message: dict[str, Any]) -> str:
    return str(message["content"][-1]["text"])


@pytest.fixture(scope="module")
def processor(checkpoints: dict[str, Assistant]) -> NVReasonCTProcessor:
    """Return a processor with the published input of 192 voxels along each axis."""
    own = next(iter(checkpoints.values())).processor
    sizes = EncoderSizes((192, 192, 192), (8, 8, 8), 864, 16, 12, 2304, 2560)
    return NVReasonCTProcessor(own.tokenizer, own.special, sizes, (2.0, 2.0, 2.0))


def check_preparation(
    processor: NVReasonCTProcessor, volume: CTVolume, expected: dict[str, Any]
) -> dict[str, NDArray[np.float32]]:
    """Compare the figures of each region; return the inputs."""
    found = {}
    for region, said in expected.items():
        made = processor.prepare(volume, region=region)
        details = made.details
        assert list(details["padded_shape_xyz"]) == said["padded_shape_xyz"]
        assert list(details["crop_start_xyz"]) == said["crop_start_xyz"]
        assert details["lungs_missed"] == said["fallback_warning"]
        assert any("No lungs" in note for note in made.notes) == said["fallback_warning"]
        for key, value in (said["lung_bounds"] or {}).items():
            assert details[key] == value
        found[region] = made.pixel_values[0, 0].numpy()
        assert float(found[region].mean(dtype=np.float64)) == pytest.approx(said["mean"], abs=2e-4)
    return found


def test_phantoms_are_prepared_as_by_the_reference(
    parity: Path, processor: NVReasonCTProcessor, tmp_path: Path
) -> None:
    for _, said, arrays in fixtures(parity, "geometry"):
        for name, case in said["cases"].items():
            source, affine = arrays[f"{name}/source"], arrays[f"{name}/affine_ras"]
            nib.save(nib.Nifti1Image(source, affine), tmp_path / "scan.nii.gz")
            made = check_preparation(processor, open_ct(tmp_path / "scan.nii.gz"), case["regions"])
            for region, values in made.items():
                gap = np.abs(values[::6, ::6, ::6] - arrays[f"{name}/{region}"]).max()
                assert gap <= 2e-4, (name, region)


def test_real_scans_are_prepared_as_by_the_reference(
    parity: Path, processor: NVReasonCTProcessor, shared_data: Path
) -> None:
    for _, said, arrays in fixtures(parity, "preprocess"):
        for name, case in said["cases"].items():
            folder = shared_data / name
            scan = next(iter(sorted(folder.glob("*.nii.gz"))), folder)
            made = check_preparation(processor, open_ct(scan), case["regions"])
            for region, values in made.items():
                sparse = arrays[f"{name}/{region}"].astype(np.float32)
                middle = arrays[f"{name}/{region}/axial_mid"].astype(np.float32)
                assert np.abs(values[::8, ::8, ::8] - sparse).max() <= 1e-3
                assert np.abs(values[96, ::2, ::2] - middle).max() <= 1e-3


def test_the_published_tensors_are_those_of_the_network(parity: Path) -> None:
    from napari_ct_assistant.backends.nv_reason_ct.published import published_tensors

    shapes = published_tensors()
    patterns = json.loads((parity / "key_patterns.json").read_text())
    counted: dict[tuple[str, tuple[int, ...]], int] = {}
    for key, shape in shapes.items():
        pattern = ".".join("N" if part.isdigit() else part for part in key.split("."))
        counted[pattern, shape] = counted.get((pattern, shape), 0) + 1
    assert counted == {(key, tuple(shape)): count for key, shape, _, count in patterns}
    headers = {key: TensorHeader(shape, "BF16") for key, shape in shapes.items()}
    assert len(headers) == 1_103
    assert sum(header.elements for header in headers.values()) == 5_322_014_624


def test_the_checkpoints_have_the_published_layout(parity: Path) -> None:
    for _, said, _ in fixtures(parity, "end_to_end"):
        keys = weights_of(parity / said["checkpoint"], "tiny")
        assert "lm_head.weight" in keys
        assert any(key.startswith("model.visual.") for key in keys)
