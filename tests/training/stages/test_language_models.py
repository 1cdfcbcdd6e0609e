"""Any causal language model of transformers can be the language model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from napari_ct_assistant import load_assistant
from napari_ct_assistant.model import VolumeLanguageModel
from napari_ct_assistant.model.processor import VolumeLanguageProcessor
from napari_ct_assistant.report_text.questions import REPORT_QUESTION
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.config.load import load_recipe
from napari_ct_assistant.training.config.recipe import ConversationSettings, LoraSettings
from napari_ct_assistant.training.run import run_stage
from napari_ct_assistant.training.sequences.collator import Collator
from napari_ct_assistant.training.sequences.packing import pack_sequence
from napari_ct_assistant.training.sequences.turns import Turn
from napari_ct_assistant.training.stages.assemble import assemble
from napari_ct_assistant.training.stages.lora import add_lora
from napari_ct_assistant.volume import CTVolume
from tests.training.stages.language_models import FAMILIES, tokenizer_of, write_language_model
from tests.training.toy import Toy, losses

Joined = tuple[VolumeLanguageModel, VolumeLanguageProcessor]


def join(toy: Toy, folder: Path, name: str) -> Joined:
    """Join the toy encoder to a tiny model of a family; chat prompt where it has a template."""
    family = FAMILIES[name]
    llm = write_language_model(folder / name, family)
    options = [f"encoder={{start: {toy.folder / 'encoder'}}}", f"model={llm}"]
    if family.template:
        options.append("prompt=chat")
    torch.manual_seed(0)
    model, processor = assemble(load_recipe("e3d_gpt/align", options))
    return model.eval(), processor


@pytest.fixture(params=FAMILIES)
def joined(request: pytest.FixtureRequest, toy: Toy, tmp_path: Path) -> tuple[str, Joined]:
    return request.param, join(toy, tmp_path, request.param)


def test_prompt_splice_and_loss(joined: tuple[str, Joined], tmp_path: Path) -> None:
    name, (model, processor) = joined
    family, image, n = FAMILIES[name], model.config.image_token_id, model.num_image_tokens
    ids = processor.prefix_ids() + processor.question_ids("Is there a nodule?")

    # The ids are those of the whole text, with BOS where the tokenizer adds it.
    assert ids.count(image) == n == 8
    assert ids.count(1) == (1 if family.adds_bos else 0)
    text = processor.prompt.replace("{image}", processor.image_token * n)
    text = text.replace("{question}", "Is there a nodule?")
    assert processor.tokenizer(text)["input_ids"] == ids
    if family.template:
        turn = [{"role": "user", "content": f"{processor.image_token * n}\nIs there a nodule?"}]
        chat = processor.tokenizer.apply_chat_template(
            turn, add_generation_prompt=True, return_dict=True
        )
        assert chat["input_ids"] == ids

    # Image tokens replace exactly the tokens with their id; another number is an error.
    batch = torch.tensor([ids, ids])
    features = torch.randn(2, n, 24)
    embeds = model.embed(batch, features)
    is_image = batch == image
    torch.testing.assert_close(embeds[is_image], features.flatten(0, 1))
    torch.testing.assert_close(embeds[~is_image], model.get_input_embeddings()(batch[~is_image]))
    with pytest.raises(ValueError, match=f"hold {n} image tokens .* make {2 * n}"):
        model.embed(batch[:1], features)

    # Packed turns have the loss of separate ones; the answer ends with EOS.
    turns = [Turn(REPORT_QUESTION, "Normal chest."), Turn("Is there a nodule?", "No.")]
    prefix, pixels = processor.prefix_ids(), torch.rand(1, 1, 32, 64, 64)
    total = count = 0.0
    for chunk in (turns, turns[:1], turns[1:]):
        packed = chunk is turns
        settings = ConversationSettings(packed=packed, max_length=400)
        sequence = pack_sequence(prefix, chunk, processor, settings)
        assert sequence["labels"][-1] == 2
        made = Collator(0, packed=packed)([sequence])
        made.pop("loss_weights")
        tokens = int((made["labels"] != -100).sum())
        with torch.no_grad():
            loss = float(model(pixel_values=pixels, **made).loss)
        if packed:
            whole = loss * tokens
        else:
            total, count = total + loss * tokens, count + tokens
    assert count == tokens + int(
        (pack_sequence(prefix, turns[:1], processor, settings)["labels"] != -100).sum()
    )
    assert whole == pytest.approx(total, rel=1e-4)

    # Written and read back, it gives the same logits.
    model.save_pretrained(tmp_path / "joined")
    again = VolumeLanguageModel.from_pretrained(tmp_path / "joined").eval()
    with torch.no_grad():
        inputs = {"input_ids": batch[:1], "pixel_values": pixels}
        torch.testing.assert_close(again(**inputs).logits, model(**inputs).logits)


def test_lora_finds_every_linear_layer(joined: tuple[str, Joined]) -> None:
    name, (model, processor) = joined
    expected = FAMILIES[name].linear
    attention = {n for n in expected if n in ("q_proj", "k_proj", "v_proj", "o_proj", "qkv_proj")}
    head = model.get_output_embeddings()
    ids = torch.tensor([processor.prefix_ids() + processor.question_ids("A?")])
    inputs = {"input_ids": ids, "pixel_values": torch.rand(1, 1, 32, 64, 64)}
    for target, names in {"attention": attention, "all-linear": expected}.items():
        model.requires_grad_(True)
        model.vision_tower.requires_grad_(False)
        adapted = add_lora(model, LoraSettings(r=2, alpha=4, dropout=0.0, target=target))  # type: ignore[arg-type]
        found = {n.split(".lora_A")[0] for n, _ in adapted.named_modules() if ".lora_A." in n}
        assert {n.rsplit(".", 1)[-1] for n in found} == names
        assert all("language_model.model.layers" in n for n in found)
        learned = {n for n, p in adapted.named_parameters() if p.requires_grad}
        assert all("lora_" in n or "projector" in n for n in learned)
        assert not any(p.requires_grad for p in head.parameters())
        for n, p in adapted.named_parameters():
            if "lora_B" in n:
                torch.nn.init.normal_(p, std=0.1)
        adapted.eval()
        with torch.no_grad():
            before = adapted(**inputs).logits
            model = adapted.merge_and_unload()
            torch.testing.assert_close(model(**inputs).logits, before, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["phi3", "smollm2"])
def test_a_run_from_language_model_to_answer(
    toy: Toy, tmp_path: Path, small_volume: CTVolume, name: str
) -> None:
    """Stage instruct with an encoder joins, trains encoder, perceiver and LoRA, and merges."""
    llm = write_language_model(tmp_path / "llm", FAMILIES[name])
    options = [
        *toy.options(tmp_path / "out", 4, learning_rate=1e-2),
        f"encoder={{start: {toy.folder / 'encoder'}}}",
        f"model={llm}",
        "train_encoder=true",
        "prompt=chat",
        "perceiver={kind: spatial_pooling, kernel: 2}",
    ]
    run_stage("instruct", "e3d_gpt/instruct", options)
    assert losses(tmp_path / "out")[-1] < losses(tmp_path / "out")[0]
    reading = load_assistant(tmp_path / "out", device="cpu").read(small_volume)
    assert isinstance(reading.ask("Is there a nodule?").text, str)


def test_an_unusable_language_model_is_refused(toy: Toy, tmp_path: Path) -> None:
    family = FAMILIES["qwen3"]
    llm = write_language_model(tmp_path / "llm", family)
    options = [f"encoder={{start: {toy.folder / 'encoder'}}}", f"model={llm}"]
    with pytest.raises(RecipeError, match="prompt: chat needs a language model with a chat"):
        assemble(load_recipe("e3d_gpt/align", [*options, "prompt=chat"]))
    tokenizer = tokenizer_of(family)
    tokenizer.eos_token = None
    tokenizer.save_pretrained(llm)
    with pytest.raises(RecipeError, match="its tokenizer has no end-of-sequence"):
        assemble(load_recipe("e3d_gpt/align", options))
    with pytest.raises(RecipeError, match="neither a folder with a language model nor"):
        assemble(load_recipe("e3d_gpt/align", [*options, f"model={tmp_path / 'absent'}"]))
