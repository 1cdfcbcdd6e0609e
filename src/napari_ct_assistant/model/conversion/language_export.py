"""Write the language model of a model folder by itself, as an inference server loads it.

A server runs the language model; the workstation runs the encoder, the perceiver and the token
embeddings, and sends it what they give. Both halves are written together, and the encoder's half
holds the hash of the language model that it belongs to.
"""

from __future__ import annotations

import gc
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import AutoModelForCausalLM
from transformers.utils import logging as transformers_logging

from napari_ct_assistant.model.configuration import VolumeLanguageConfig
from napari_ct_assistant.model.conversion.served import (
    EMBEDDINGS,
    ENCODER_FOLDER,
    ENCODER_WEIGHTS,
    ServedLanguageModel,
)
from napari_ct_assistant.model.conversion.tensors import Entry, read_entries
from napari_ct_assistant.model.conversion.writing import Progress, new_folder, write_weights
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.model.folder import check_folder, check_tensors, settings_sha256, sha256
from napari_ct_assistant.model.format import WEIGHTS, file_in, upgraded_tensor
from napari_ct_assistant.model.modeling import VolumeLanguageModel
from napari_ct_assistant.model.processor import VolumeLanguageProcessor

PREFIX = "language_model."
PROBE_TOKENS = 24
# Two loads of the same weights by the same code differ by nothing; another build of a kernel may.
TOLERANCE = 1e-3


@dataclass(frozen=True)
class ExportedLanguageModel:
    """What was written.

    Attributes
    ----------
    folder, encoder : Path
        For the server, and for the workstations.
    served : ServedLanguageModel
    difference : float
        Largest difference of a logit between the folder and the model that it was made from.
    heads, layers : int
        Attention heads and layers: what a server can divide among GPUs and machines.
    """

    folder: Path
    encoder: Path
    served: ServedLanguageModel
    difference: float
    heads: int
    layers: int


def export_language_model(
    folder: Path,
    out: Path,
    name: str,
    *,
    dtype: torch.dtype | None = None,
    progress: Progress | None = None,
) -> ExportedLanguageModel:
    """Write the language model of a model folder, and the encoder that belongs to it.

    Parameters
    ----------
    folder : Path
        A model folder of this project (docs/model-folder.md).
    out : Path
        The folder to write. The encoder's half is its folder `encoder`.
    name : str
        Of the model, for errors and for the name under which it is served.
    dtype
        Of the written language model; as stored when absent.
    progress
        As for `write_weights`.

    Raises
    ------
    ModelLoadError
        If the folder is not whole, the language model cannot be fed with embeddings, or the
        logits of what was written differ from those of the model.
    """
    check_folder(folder, name)
    transformers_logging.disable_progress_bar()
    config = VolumeLanguageConfig.from_pretrained(folder, local_files_only=True)
    entries = {upgraded_tensor(k): entry for k, entry in read_entries(folder, name).items()}
    check_tensors({key: entry.shape for key, entry in entries.items()}, config, name)
    embeddings = _embeddings_name(config, name)
    processor = VolumeLanguageProcessor.from_pretrained(folder, local_files_only=True)
    language = {k.removeprefix(PREFIX): e for k, e in entries.items() if k.startswith(PREFIX)}
    encoder = {k: e for k, e in entries.items() if not k.startswith(PREFIX)}
    encoder[EMBEDDINGS] = entries[PREFIX + embeddings]
    stored = {entry.dtype for entry in language.values() if entry.dtype.is_floating_point}
    dtype = dtype or (stored.pop() if len(stored) == 1 else torch.float32)
    needed = sum(entry.bytes for entry in (*language.values(), *encoder.values()))
    with new_folder(out, needed) as part:
        text = config.text_config
        text.architectures = [_class_name(text)]
        text.dtype = dtype
        text.save_pretrained(part)
        processor.tokenizer.save_pretrained(part)
        _generation(folder, part)
        # All in one type: a server's engine knows one.
        write_weights(part, language, dtype=dtype, progress=progress)
        difference = _difference(folder, part, name, dtype)
        served = ServedLanguageModel(
            name=_served_name(name),
            sha256=_weights_sha256(part),
            dtype=str(dtype).removeprefix("torch."),
            hidden_size=config.hidden_size,
            max_model_len=int(getattr(text, "max_position_embeddings", 0) or 0),
            settings_sha256=settings_sha256(folder),
        )
        _write_encoder(folder, part / ENCODER_FOLDER, config, processor, encoder, served)
    heads = int(getattr(text, "num_attention_heads", 1) or 1)
    layers = int(getattr(text, "num_hidden_layers", 1) or 1)
    return ExportedLanguageModel(out, out / ENCODER_FOLDER, served, difference, heads, layers)


def serve_lines(made: ExportedLanguageModel) -> list[tuple[str, list[str]]]:
    """Return how vLLM serves the folder: headings, each with its commands."""
    served = made.served
    base = (
        f"vllm serve {made.folder} --served-model-name {served.served_name} "
        "--enable-prompt-embeds --enable-prefix-caching --enable-prompt-tokens-details"
        + (f" --max-model-len {served.max_model_len}" if served.max_model_len else "")
        + f" --dtype {served.dtype} --host 127.0.0.1 --port 8000"
    )
    gpus = [n for n in (2, 4, 8) if made.heads % n == 0]
    found = [("One GPU", [base])]
    if gpus:
        tensor = gpus[-1]
        found.append((f"{tensor} GPUs of one machine", [f"{base} --tensor-parallel-size {tensor}"]))
    tensor = gpus[-1] if gpus else 1
    if made.layers > 1:
        found.append(
            (
                f"2 machines with {tensor} GPU{'s' * (tensor > 1)} each",
                [
                    "ray start --head --port=6379                # on the first machine",
                    "ray start --address=FIRST_MACHINE:6379      # on the second",
                    f"{base} --tensor-parallel-size {tensor} --pipeline-parallel-size 2 "
                    "--distributed-executor-backend ray   # on the first",
                ],
            )
        )
    return found


def _embeddings_name(config: VolumeLanguageConfig, name: str) -> str:
    """Return the name of the token embeddings among the language model's tensors."""
    with torch.device("meta"):
        language = AutoModelForCausalLM.from_config(config.text_config)
    wanted: Any = language.get_input_embeddings()
    if type(wanted) is not nn.Embedding:
        raise ModelLoadError(
            f"{name}: its language model does more with token embeddings than look them up "
            f"({type(wanted).__name__}); a server cannot be fed with its embeddings"
        )
    return next(f"{key}.weight" for key, module in language.named_modules() if module is wanted)


def _class_name(text: Any) -> str:
    with torch.device("meta"):
        return type(AutoModelForCausalLM.from_config(text)).__name__


def _generation(folder: Path, out: Path) -> None:
    """Copy the generation settings as they are."""
    file = folder / "generation_config.json"
    if file.is_file():
        (out / file.name).write_bytes(file.read_bytes())


def _served_name(name: str) -> str:
    """Return a name that a command line and an address can hold."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.") or "model"


def _weights_sha256(folder: Path) -> str:
    """Return the hash of the weight files, or of the files' digests if there are several."""
    digests = [sha256(file) for file in sorted(folder.glob(WEIGHTS))]
    return (
        digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()
    )


def _write_encoder(
    source: Path,
    folder: Path,
    config: VolumeLanguageConfig,
    processor: VolumeLanguageProcessor,
    entries: dict[str, Entry],
    served: ServedLanguageModel,
) -> None:
    """Write what a workstation needs: encoder, perceiver, token embeddings, processor."""
    folder.mkdir()
    config.save_pretrained(folder)
    processor.save_pretrained(folder)
    detector = file_in(source, "ood.safetensors")
    if detector is not None:
        (folder / "ood.safetensors").write_bytes(detector.read_bytes())
    tensors = {key: entry.read().clone().contiguous() for key, entry in entries.items()}
    save_file(tensors, folder / ENCODER_WEIGHTS, metadata={"format": "pt"})
    served.save(folder)


def _difference(folder: Path, written: Path, name: str, dtype: torch.dtype) -> float:
    """Return the largest difference of a logit between the written folder and the model.

    One of the two is in memory at a time.
    """
    whole = VolumeLanguageModel.from_pretrained(
        folder, dtype=dtype, use_safetensors=True, local_files_only=True
    ).eval()
    width = whole.config.hidden_size
    vocabulary = int(whole.get_input_embeddings().weight.shape[0])
    seeded = torch.Generator().manual_seed(0)
    image = torch.randn(1, PROBE_TOKENS, width, generator=seeded).to(dtype) * 0.1
    ids = torch.randint(vocabulary, (1, PROBE_TOKENS), generator=seeded)
    embeddings = torch.cat([image, whole.get_input_embeddings()(ids)], 1).detach()
    ours = _logits(whole.language_model, embeddings)
    del whole
    gc.collect()
    alone, loaded = AutoModelForCausalLM.from_pretrained(
        written, dtype=dtype, use_safetensors=True, local_files_only=True, output_loading_info=True
    )
    wrong = sorted(map(str, [*loaded["missing_keys"], *loaded["unexpected_keys"]]))
    if wrong:
        raise ModelLoadError(f"{name}: the written language model lacks or adds {wrong[0]}")
    theirs = _logits(alone.eval(), embeddings)
    scale = max(1.0, float(ours.abs().max()))
    difference = float((ours - theirs).abs().max())
    if not difference <= TOLERANCE * scale:
        raise ModelLoadError(
            f"{name}: the logits of the written language model differ by {difference:.3g}; "
            "nothing was written"
        )
    return difference


def _logits(model: Any, embeddings: Tensor) -> Tensor:
    with torch.no_grad():
        logits: Tensor = model(inputs_embeds=embeddings).logits
    return logits.float()
