"""Toy sizes of every stage: two small scans with reports, a small encoder and language models."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from napari_ct_assistant.model.encoders import make_encoder
from napari_ct_assistant.training.stages.tokenizer import train_tokenizer
from napari_ct_assistant.volume import CTVolume, write_nifti
from tests.tiny_model import save_tiny_model, tiny_vision

REPORTS = ["Findings: The heart is enlarged.", "Findings: No nodule. Impression: Normal chest."]
SIZES = "image_size: [32, 64, 64], hidden_size: 24, num_hidden_layers: 1, num_attention_heads: 2"


@dataclass(frozen=True)
class Toy:
    """Paths of the toy data and of the models to start from."""

    folder: Path

    def data(self, **more: str) -> str:
        """Return the recipe's `data`, prepared into one store."""
        settings = {
            "kind": "table",
            "table": str(self.folder / "scans.csv"),
            "store": str(self.folder / "store"),
            "spacing": "[10, 6, 6]",
            "split": "all",
            **more,
        }
        return f"data={{{', '.join(f'{k}: {v}' for k, v in settings.items())}}}"

    def options(self, output: Path, samples: int, **more: object) -> list[str]:
        """Return overrides for a recipe of any stage on the toy data, one scan a step."""
        training = {"samples": samples, "log_steps": 1, "precision": "fp32", "workers": 0}
        # Tests count what the steps do; those before the run have a test of their own.
        training |= {"batch_size": 1, "accumulate": 1, "timed_steps": 0, **more}
        return [
            f"root={self.folder}",
            f"output={output}",
            self.data(),
            *(f"training.{k}={v}" for k, v in training.items()),
        ]

    @property
    def encoder(self) -> str:
        """Return a fresh small encoder as a recipe names it."""
        return f"encoder={{preset: e3d_gpt, changes: {{{SIZES}}}}}"

    @property
    def align(self) -> list[str]:
        """Return the starts of stage align."""
        return [f"encoder={{start: {self.folder / 'encoder'}}}", f"model={self.folder / 'llm'}"]

    @property
    def instruct(self) -> list[str]:
        """Return the start of stage instruct: a whole tiny model."""
        return [f"model={self.folder / 'vlm'}"]


def make_toy(folder: Path, volume: CTVolume) -> Toy:
    """Write two scans, their table, an encoder, a language model and a joined model."""
    rows = ["image,report"]
    for number, report in enumerate(REPORTS):
        shifted = CTVolume(hu=volume.hu + 20 * number, affine=volume.affine, series="toy")
        write_nifti(shifted, folder / f"{number}.nii.gz")
        rows.append(f'{number}.nii.gz,"{report}"')
    (folder / "scans.csv").write_text("\n".join(rows) + "\n")
    torch.manual_seed(0)
    make_encoder(tiny_vision(num_concepts=18)).save_pretrained(folder / "encoder")
    tokenizer = train_tokenizer(REPORTS, vocab_size=300)
    tokenizer.save_pretrained(folder / "llm")
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=24,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=512,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    LlamaForCausalLM(config).save_pretrained(folder / "llm")
    save_tiny_model(folder / "vlm", learned=False)
    return Toy(folder)


def losses(folder: Path) -> list[float]:
    """Return the loss of each step."""
    return [row["loss"] for row in json.loads((folder / "losses.json").read_text())]
