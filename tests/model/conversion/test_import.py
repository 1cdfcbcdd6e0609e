"""Imported checkpoints give the same logits and the same words as the authors' code."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from napari_ct_assistant import load_assistant
from napari_ct_assistant.model import VisionTransformer3D, VolumeLanguageModel
from napari_ct_assistant.model.conversion import m3d, sources, tensors
from napari_ct_assistant.model.conversion.importing import Imported, import_model
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.model.folder import check_folder
from napari_ct_assistant.model.processor import VolumeLanguageProcessor
from napari_ct_assistant.volume import CTVolume
from tests.model.conversion.m3d_reference import (
    TEXTS,
    LaMed,
    build,
    m3d_tokenizer,
    segmentation_tensors,
    write_release,
)
from tests.tiny_model import tiny_model

ODD = (20, 48, 80)  # 5 x 3 x 5 tokens: M3D's pooling floors to 2 x 1 x 2


def release(
    folder: Path, kind: str = "llama", *, bos: bool = True, space: bool = True, **how: Any
) -> tuple[LaMed, Any, Path]:
    """Write a released folder; return the reference, its tokenizer and the folder."""
    tokenizer = m3d_tokenizer(bos=bos, space=space)
    written = {key: how.pop(key) for key in ("shards", "pickled") if key in how}
    model, config = build(kind, vocabulary=len(tokenizer), **how)
    state = model.checkpoint() | segmentation_tensors()
    return model, tokenizer, write_release(folder, state, config, tokenizer, **written)


def reference_ids(tokenizer: Any, question: str, tokens: int) -> torch.Tensor:
    """Make the ids the way M3D's demonstration does."""
    return torch.tensor([tokenizer("<im_patch>" * tokens + question)["input_ids"]])


@pytest.mark.parametrize(
    ("kind", "bos", "space", "image", "how"),
    [
        ("llama", True, True, (8, 32, 32), {}),
        ("llama", False, True, ODD, {"shards": 3}),
        ("phi3", True, True, ODD, {"shards": 2}),
        ("phi3", False, False, (8, 32, 48), {}),
        ("llama", True, False, ODD, {"shards": 2, "pickled": True}),
        ("phi3", True, True, (8, 32, 32), {"channels": 2}),
        ("llama3", True, False, ODD, {"shards": 2}),  # ViT3D-LLaMA3: M3D's parts and Llama 3
    ],
)
def test_logits_and_words_are_the_references(
    tmp_path: Path, kind: str, bos: bool, space: bool, image: tuple[int, ...], how: dict[str, Any]
) -> None:
    reference, tokenizer, folder = release(
        tmp_path / "released", kind, bos=bos, space=space, image=image, **how
    )
    done = import_model(folder, tmp_path / "ours", shard_bytes=20_000)
    assert (done.kind, done.layout) == ("model", "m3d_lamed")
    assert sorted(done.skipped) == sorted(segmentation_tensors())
    model = VolumeLanguageModel.from_pretrained(tmp_path / "ours").eval()
    processor = VolumeLanguageProcessor.from_pretrained(tmp_path / "ours")
    n = processor.num_image_tokens
    assert n == model.num_image_tokens
    torch.manual_seed(1)
    pixels = torch.rand(1, how.get("channels", 1), *image)
    for question, form in ((m3d.CAPTION_QUESTION, "{}"), ("Is the liver enlarged?", " {}")):
        ids = reference_ids(tokenizer, form.format(question), n)
        wanted = reference.logits(ids, pixels)
        # The reference's ids themselves, and those of our processor.
        ours = torch.tensor([processor.prefix_ids() + processor.question_ids(question)])
        assert torch.equal(ours[:, n + 1 :], ids[:, n + 1 :])
        for given in (ids, ours):
            with torch.no_grad():
                logits = model(input_ids=given, pixel_values=pixels).logits
            torch.testing.assert_close(logits, wanted, atol=1e-4, rtol=0)
        said = model.generate(
            input_ids=ours,
            pixel_values=pixels,
            attention_mask=torch.ones_like(ours),
            max_new_tokens=12,
            do_sample=False,
            eos_token_id=None,
        )
        assert said[0, ours.shape[1] :].tolist() == reference.greedy(ids, pixels, 12)


def test_padding_on_the_left_changes_nothing(tmp_path: Path) -> None:
    for bos in (True, False):
        _, _, folder = release(tmp_path / f"released-{bos}", bos=bos)
        out = tmp_path / f"ours-{bos}"
        import_model(folder, out)
        model = VolumeLanguageModel.from_pretrained(out).eval()
        processor = VolumeLanguageProcessor.from_pretrained(out)
        ids = torch.tensor([processor.prefix_ids() + processor.question_ids("Why?")])
        pixels = torch.rand(1, 1, 8, 32, 32)
        padded = torch.cat([torch.zeros(1, 3, dtype=torch.long), ids], dim=1)
        mask = (torch.arange(padded.shape[1]) >= 3).long()[None]
        with torch.no_grad():
            alone = model(input_ids=ids, pixel_values=pixels).logits
            together = model(
                input_ids=padded,
                attention_mask=mask,
                position_ids=(mask.cumsum(1) - 1).clamp_min(0),
                pixel_values=pixels,
            ).logits
        torch.testing.assert_close(together[:, 3:], alone, atol=1e-5, rtol=0)


def test_broken_image_words_are_refused(tmp_path: Path) -> None:
    _, _, folder = release(tmp_path / "released", image=(8, 64, 64))
    import_model(folder, tmp_path / "ours")
    model = VolumeLanguageModel.from_pretrained(tmp_path / "ours")
    processor = VolumeLanguageProcessor.from_pretrained(tmp_path / "ours")
    ids = torch.tensor([processor.prefix_ids() + processor.question_ids("Why?")])
    ids[0, 2] = 7
    with pytest.raises(
        ValueError, match=r"must hold 4 image tokens .* in one piece .* found \[3\]"
    ):
        model(input_ids=ids, pixel_values=torch.rand(1, 1, 8, 64, 64))
    with pytest.raises(ValueError, match=r"must hold 4 image tokens"):
        model(input_ids=ids[:, 3:6], pixel_values=torch.rand(1, 1, 8, 64, 64))


def test_the_processor_is_m3ds(tmp_path: Path) -> None:
    _, tokenizer, folder = release(tmp_path / "released")
    import_model(folder, tmp_path / "ours")
    processor = VolumeLanguageProcessor.from_pretrained(tmp_path / "ours")
    assert processor.preparation == "minmax"
    assert tuple(processor.image_size) == (8, 32, 32)
    n = processor.num_image_tokens
    caption = processor.report_questions["report"]
    assert (
        processor.question_ids(caption)
        == tokenizer("<im_patch>" * n + caption)["input_ids"][n + 1 :]
    )
    spaced = tokenizer("<im_patch>" * n + " Why?")["input_ids"][n + 1 :]
    assert processor.question_ids("Why?") == spaced
    # The answer follows the question after one space, and is tokenised as it stands there.
    whole = tokenizer("<im_patch>" * n + " Why? Yes")["input_ids"][n + 1 :]
    assert [*spaced, *processor.answer_ids("Yes")[:-1]] == whole
    assert processor.answer_ids("Yes")[0] != processor.answer_ids("No")[0]
    assert processor.choices_question("Which?", ["Liver", "Heart"]) == (
        "Which? Choices: A. Liver B. Heart"
    )


def test_a_scan_is_read_with_it(tmp_path: Path, small_volume: CTVolume) -> None:
    _, _, folder = release(tmp_path / "released", bos=False, image=(16, 48, 48))
    import_model(folder, tmp_path / "ours", trained_on="M3D-Cap")
    reading = load_assistant(tmp_path / "ours", device="cpu").read(small_volume)
    draft = reading.draft_report()
    assert draft.tokens > 0
    assert draft.model.trained_on == "M3D-Cap"
    assert reading.ask("Is there a nodule?", evidence=True).tokens > 0
    assert len(reading.screen()) == 18


def test_sizes_come_from_the_tensors(tmp_path: Path) -> None:
    _, _, folder = release(tmp_path / "released")
    config = json.loads((folder / "config.json").read_text())
    config |= {"num_hidden_layers": 99, "hidden_size": 7, "vocab_size": 5, "mm_hidden_size": 1}
    (folder / "config.json").write_text(json.dumps(config))
    import_model(folder, tmp_path / "ours")
    model = VolumeLanguageModel.from_pretrained(tmp_path / "ours")
    assert model.config.text_config.num_hidden_layers == 3
    assert model.config.hidden_size == 32
    assert model.config.vision_config.num_hidden_layers == 2
    assert model.config.vision_config.num_attention_heads == 12


def test_vision_heads_of_the_configuration(tmp_path: Path) -> None:
    reference, _, folder = release(tmp_path / "released", heads=4)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"vision_num_attention_heads": 4}))
    import_model(folder, tmp_path / "ours")
    model = VolumeLanguageModel.from_pretrained(tmp_path / "ours").eval()
    pixels = torch.rand(1, 1, 8, 32, 32)
    with torch.no_grad():
        tokens = model.vision_tower(pixels)
        torch.testing.assert_close(tokens, reference.tower(pixels), atol=1e-5, rtol=0)


def test_types_and_shards(tmp_path: Path) -> None:
    _, _, folder = release(tmp_path / "released", shards=2)
    seen: list[tuple[str, int, int]] = []
    done = import_model(
        folder,
        tmp_path / "ours",
        dtype=torch.bfloat16,
        shard_bytes=30_000,
        progress=lambda *step: seen.append(step),
    )
    files = sorted((tmp_path / "ours").glob("model-*.safetensors"))
    assert len(files) == len(seen) > 3
    assert seen[-1][1] == seen[-1][2] == done.bytes
    headers = check_folder(tmp_path / "ours", "ours")
    assert {header.dtype for header in headers.values()} == {"BF16"}
    assert sum(header.elements for header in headers.values()) == done.parameters
    with safe_open(files[0], framework="pt") as stream:
        assert stream.metadata() == {"format": "pt"}


def test_only_one_written_file_is_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No tensor is read before the file that it goes to is written, or again after it."""
    _, _, folder = release(tmp_path / "released", shards=3)
    order: list[str] = []
    read = tensors._read_safetensor

    def noted(file: Path, key: str) -> torch.Tensor:
        order.append(key)
        return read(file, key)

    monkeypatch.setattr(tensors, "_read_safetensor", noted)
    written: list[int] = []
    import_model(
        folder,
        tmp_path / "ours",
        shard_bytes=30_000,
        progress=lambda *_: written.append(len(order)),
    )
    assert len(order) == len(set(order))
    index = json.loads((tmp_path / "ours" / "model.safetensors.index.json").read_text())
    counts = list(index["weight_map"].values())
    sizes = [counts.count(name) for name in sorted(set(counts))]
    assert written == [sum(sizes[: i + 1]) for i in range(len(sizes))]


def clip_state(reference: LaMed) -> dict[str, torch.Tensor]:
    vit = reference.tower.vision_tower.state_dict()
    return {f"vision_encoder.{key}": value.clone() for key, value in vit.items()} | {
        "logit_scale": torch.tensor(2.66),
        "language_encoder.pooler.dense.weight": torch.ones(3, 3),
        "mm_vision_proj.bias": torch.ones(3),
        "mm_language_proj.weight": torch.ones(3, 3),
    }


@pytest.mark.parametrize("form", ["clip", "vit.bin"])
def test_an_encoder_start(tmp_path: Path, form: str) -> None:
    reference, _ = build(vocabulary=64, image=(32, 256, 256) if form == "vit.bin" else (8, 32, 32))
    if form == "clip":
        folder = tmp_path / "clip"
        folder.mkdir()
        config = {"model_type": "m3d_clip", "img_size": [8, 32, 32], "patch_size": [4, 16, 16]}
        (folder / "config.json").write_text(json.dumps(config))
        save_file(clip_state(reference), folder / "model.safetensors")
        source = folder
    else:
        source = tmp_path / "pretrained_ViT.bin"
        torch.save(reference.tower.vision_tower.state_dict(), source)
    done = import_model(source, tmp_path / "encoder")
    assert done.kind == "encoder"
    assert len(done.skipped) == (4 if form == "clip" else 0)
    vit = VisionTransformer3D.from_pretrained(tmp_path / "encoder").eval()
    pixels = torch.rand(1, 1, *vit.config.image_size)
    if form == "clip":
        with torch.no_grad():
            torch.testing.assert_close(vit(pixels), reference.tower(pixels), atol=1e-5, rtol=0)
    assert sum(p.numel() for p in vit.parameters()) == done.parameters


# ---- adapters


def low_rank(weight: torch.Tensor, rank: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(rank, weight.shape[1]) * 0.3, torch.randn(weight.shape[0], rank) * 0.3


def test_model_with_lora(tmp_path: Path) -> None:
    """The state of PEFT's wrapped model, as M3D's LoRA training leaves it."""
    reference, tokenizer, folder = release(tmp_path / "released")
    state = load_file(folder / "model.safetensors")
    wrapped: dict[str, torch.Tensor] = {}
    for key, value in state.items():
        if ".self_attn.q_proj." in key or ".mlp.down_proj." in key:
            stem = f"base_model.model.{key.removesuffix('.weight')}"
            a, b = low_rank(value)
            wrapped[f"{stem}.base_layer.weight"] = value
            wrapped[f"{stem}.lora_A.default.weight"] = a
            wrapped[f"{stem}.lora_B.default.weight"] = b
            reference.llm.state_dict()[key].add_(32 / 3 * b @ a)
        else:
            wrapped[f"base_model.model.{key}"] = value
    (folder / "model.safetensors").unlink()
    torch.save(wrapped, folder / "model_with_lora.bin")
    done = import_model(folder, tmp_path / "ours")
    assert done.adapted == 6
    assert_same(reference, tokenizer, tmp_path / "ours")


def assert_same(reference: LaMed, tokenizer: Any, folder: Path) -> None:
    model = VolumeLanguageModel.from_pretrained(folder).eval()
    pixels = torch.rand(1, 1, 8, 32, 32)
    ids = reference_ids(tokenizer, " Why?", model.num_image_tokens)
    with torch.no_grad():
        logits = model(input_ids=ids, pixel_values=pixels).logits
    torch.testing.assert_close(logits, reference.logits(ids, pixels), atol=1e-4, rtol=1e-4)


def test_peft_adapter_of_a_released_model(tmp_path: Path) -> None:
    peft = pytest.importorskip("peft")
    reference, tokenizer, folder = release(tmp_path / "released", "phi3")
    torch.manual_seed(3)
    adapted = peft.get_peft_model(
        reference.llm,
        peft.LoraConfig(r=4, lora_alpha=6, target_modules=["qkv_proj", "o_proj"], use_rslora=True),
    )
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(std=0.2)
    adapted.save_pretrained(tmp_path / "adapter")
    reference.llm = adapted.merge_and_unload()
    with pytest.raises(ValueError, match=r"is an adapter; give the model .* with --base"):
        import_model(tmp_path / "adapter", tmp_path / "ours")
    done = import_model(tmp_path / "adapter", tmp_path / "ours", base=folder)
    assert done.adapted == 6
    assert_same(reference, tokenizer, tmp_path / "ours")


def test_peft_adapter_of_our_own_model(tmp_path: Path) -> None:
    """LoRA in the language model and a retrained perceiver, as stage `instruct` has them."""
    peft = pytest.importorskip("peft")
    model, processor = tiny_model()
    model.save_pretrained(tmp_path / "base")
    processor.save_pretrained(tmp_path / "base")
    adapted = peft.get_peft_model(
        model,
        peft.LoraConfig(r=2, target_modules=["q_proj", "v_proj"], modules_to_save=["projector"]),
    )
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name or "modules_to_save" in name:
            parameter.data.normal_(std=0.2)
    adapted.save_pretrained(tmp_path / "adapter")
    merged = adapted.merge_and_unload()
    done = import_model(tmp_path / "adapter", tmp_path / "ours", base=tmp_path / "base")
    assert done.adapted == 4
    again = VolumeLanguageModel.from_pretrained(tmp_path / "ours").eval()
    for key, value in merged.state_dict().items():
        torch.testing.assert_close(again.state_dict()[key], value, atol=1e-6, rtol=1e-5)


def test_our_perceiver_with_a_language_model_from_elsewhere(tmp_path: Path) -> None:
    """A folder without its LLM (Vicuna's licence forbids passing it on), and the LLM."""
    model, processor = tiny_model()
    part, llm = tmp_path / "part", tmp_path / "llm"
    model.save_pretrained(part)
    processor.save_pretrained(part)
    model.language_model.save_pretrained(llm)
    state = load_file(part / "model.safetensors")
    own = {key: value for key, value in state.items() if not key.startswith("language_model.")}
    save_file(own, part / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"tensor\(s\) missing: language_model"):
        import_model(part, tmp_path / "ours")
    import_model(part, tmp_path / "ours", base=llm)
    again = VolumeLanguageModel.from_pretrained(tmp_path / "ours")
    for key, value in model.state_dict().items():
        assert torch.equal(again.state_dict()[key], value), key


def test_our_perceiver_and_adapter_with_a_language_model_from_elsewhere(tmp_path: Path) -> None:
    """As E3D-GPT's second stage leaves them: encoder and perceiver beside LoRA for Vicuna."""
    peft = pytest.importorskip("peft")
    model, processor = tiny_model()
    part, llm = tmp_path / "part", tmp_path / "llm"
    model.save_pretrained(part)
    processor.save_pretrained(part)
    model.language_model.save_pretrained(llm)
    state = load_file(part / "model.safetensors")
    own = {key: value for key, value in state.items() if not key.startswith("language_model.")}
    save_file(own, part / "model.safetensors", metadata={"format": "pt"})
    adapted = peft.get_peft_model(
        model.language_model, peft.LoraConfig(r=2, target_modules=["q_proj", "down_proj"])
    )
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(std=0.2)
    adapted.save_pretrained(part)
    merged = adapted.merge_and_unload()
    done = import_model(part, tmp_path / "ours", base=llm)
    assert done.adapted == 4
    again = VolumeLanguageModel.from_pretrained(tmp_path / "ours")
    for key, value in merged.state_dict().items():
        found = again.language_model.state_dict()[key]
        torch.testing.assert_close(found, value, atol=1e-6, rtol=1e-5)
    for key, value in own.items():
        assert torch.equal(again.state_dict()[key], value), key


def test_the_record_of_an_import(tmp_path: Path) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    _, _, folder = release(tmp_path / "models--some--lamed" / "snapshots" / commit)
    done: Imported = import_model(folder, tmp_path / "ours")
    record = json.loads((tmp_path / "ours" / "imported.json").read_text())
    assert record["source"] == {"name": "some/lamed", "revision": commit}
    assert record["skipped"] == list(done.skipped)
    assert str(tmp_path) not in (tmp_path / "ours" / "imported.json").read_text()
    card = (tmp_path / "ours" / "README.md").read_text()
    assert "not a medical device" in card
    sums = (tmp_path / "ours" / "SHA256SUMS").read_text()
    assert {"config.json", "model.safetensors", "imported.json"} <= set(sums.split())


class SlowTokenizer:
    """Writes the files of M3D's slow tokenizer: a SentencePiece model and no JSON."""

    def __init__(self, library: Any, settings: dict[str, Any]):
        self.library, self.settings = library, settings

    def save_pretrained(self, folder: Path) -> None:
        model = io.BytesIO()
        self.library.SentencePieceTrainer.train(
            sentence_iterator=iter(TEXTS * 30),
            model_writer=model,
            vocab_size=100,
            model_type="bpe",
            unk_id=0,
            bos_id=1,
            eos_id=2,
            remove_extra_whitespaces=False,
            minloglevel=2,
        )
        (folder / "tokenizer.model").write_bytes(model.getvalue())
        self.pieces = self.library.SentencePieceProcessor(model_proto=model.getvalue())
        names = {0: "<unk>", 1: "<s>", 2: "</s>", 100: "<im_patch>", 101: "<bx_start>"}
        added = {
            str(i): {"content": name, "special": True, "normalized": False}
            for i, name in names.items()
        }
        settings = {
            "add_bos_token": True,
            "added_tokens_decoder": added,
            "bos_token": "<s>",
            "eos_token": "</s>",
            "unk_token": "<unk>",
            "pad_token": "<unk>",
            "tokenizer_class": "LlamaTokenizer",
        }
        (folder / "tokenizer_config.json").write_text(json.dumps(settings | self.settings))


@pytest.mark.parametrize("settings", [{"legacy": False}, {"legacy": True}, {}])
def test_a_tokenizer_of_sentencepiece(tmp_path: Path, settings: dict[str, Any]) -> None:
    """Compared with SentencePiece itself, called as the slow tokenizer called it."""
    library = pytest.importorskip("sentencepiece")
    pytest.importorskip("google.protobuf")
    slow: Any = SlowTokenizer(library, settings)
    reference, config = build(vocabulary=104)
    folder = write_release(tmp_path / "released", reference.checkpoint(), config, slow)
    import_model(folder, tmp_path / "ours")
    processor = VolumeLanguageProcessor.from_pretrained(tmp_path / "ours")
    assert processor.prefix_ids() == [1] + [100] * processor.num_image_tokens

    def encode(text: str) -> list[int]:
        if settings.get("legacy") is not False:
            return list(slow.pieces.encode(text))  # with a space of its own before it
        # transformers' way around that space: tokenise behind a word, and take the word away.
        word = len(slow.pieces.encode("<unk>"))
        return list(slow.pieces.encode(f"<unk>{text}"))[word:]

    caption = m3d.CAPTION_QUESTION
    assert processor.question_ids(caption) == encode(caption)
    assert processor.question_ids("Which organ is enlarged?") == encode(" Which organ is enlarged?")
    assert processor.answer_ids("Yes")[0] == encode(" Yes")[-len(processor.answer_ids("Yes")) + 1]


@pytest.mark.parametrize("lacking", ["sentencepiece", "google.protobuf"])
def test_without_sentencepiece_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lacking: str
) -> None:
    library = pytest.importorskip("sentencepiece")
    reference, config = build(vocabulary=104)
    slow: Any = SlowTokenizer(library, {})
    folder = write_release(tmp_path / "released", reference.checkpoint(), config, slow)
    monkeypatch.setattr(sources, "is_installed", lambda module: module != lacking)
    with pytest.raises(
        ModelLoadError, match=rf"needs {lacking}: pip install .*\[import\]"
    ) as error:
        import_model(folder, tmp_path / "ours")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "ours").exists()
