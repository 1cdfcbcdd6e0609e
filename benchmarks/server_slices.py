"""Compare a slice model on a real vLLM with transformers on the same slices.

    python -m benchmarks.server_slices --vllm PYTHON

PYTHON is the interpreter of an environment that has vLLM with torchvision, which its build for CPUs
(`scripts/vllm_environment.py`) lacks: models that read images cannot be loaded there. A LLaVA with
random weights is made and served. Its answers to questions about slices are compared token by
token with those of transformers, and the second question's cached tokens with the slices'. The
status is 1 if they differ.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.server import AGREED, QUESTIONS, line, scan, vllm
from napari_ct_assistant import load_assistant
from napari_ct_assistant.assistant import GenerationSettings
from napari_ct_assistant.backends.server.connection import ServerOptions

TOKENS = ("<pad>", "<s>", "</s>", "<image>")
TEMPLATE = (
    "{% for turn in messages %}{{ turn['role'] }}:{% if turn['content'] is string %}"
    "{{ turn['content'] }}{% else %}{% for part in turn['content'] %}"
    "{% if part['type'] == 'text' %}{{ part['text'] }}{% else %}<image>{% endif %}{% endfor %}"
    "{% endif %}\n{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}"
)
SETTINGS = GenerationSettings(max_new_tokens=16)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--vllm", metavar="PYTHON", required=True, help="interpreter that has vLLM")
    options = parser.parse_args()
    os.environ.setdefault("CT_ASSISTANT_DATA", tempfile.mkdtemp())
    with tempfile.TemporaryDirectory() as home:
        folder = make_model(Path(home) / "llava")
        more = ("--limit-mm-per-prompt", json.dumps({"image": 64}), "--max-model-len", "8192")
        with vllm(options.vllm, folder, Path(home), "random-llava", TEMPLATE, more) as address:
            return compare(folder, address)


def compare(folder: Path, address: str) -> int:
    """Print the table; return the exit status."""
    import torch
    from PIL import Image
    from transformers import AutoProcessor, LlavaForConditionalGeneration

    assistant = load_assistant(address, server=ServerOptions(agreed=AGREED))
    reading = assistant.read(scan(100))
    context: Any = reading.context
    processor = AutoProcessor.from_pretrained(folder)
    network = LlavaForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    images = [Image.open(io.BytesIO(file)) for file in context._shown.files()]
    equal, cached = 0, []
    for question in QUESTIONS:
        prompt = context.prompt(question)
        theirs = context.generate(prompt, settings=SETTINGS).ids
        cached.append(context.cached_tokens or 0)
        text = processor.apply_chat_template(
            context._messages(prompt), chat_template=TEMPLATE, add_generation_prompt=True
        )
        inputs = processor(text=text, images=images, return_tensors="pt")
        out = network.generate(**inputs, max_new_tokens=SETTINGS.max_new_tokens, do_sample=False)
        ours = out[0, inputs["input_ids"].shape[1] :].tolist()
        equal += theirs == ours
    print(f"\n{assistant.info.engine} at {address}: {assistant.info.served_model}\n")
    shown = int((inputs["input_ids"] == processor.tokenizer.convert_tokens_to_ids("<image>")).sum())
    line("slices sent", str(len(images)))
    line("tokens of the slices", str(shown))
    covered = min(cached[1:]) >= shown // 128 * 128
    line("tokens in the server's cache from the second question on", str(min(cached[1:])), covered)
    same = equal == len(QUESTIONS)
    line("answers with the same greedy tokens (images)", f"{equal} of {len(QUESTIONS)}", same)
    assistant.close()
    return 0 if same and covered else 1


def make_model(folder: Path) -> Path:
    """Write a LLaVA with random weights."""
    import torch
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import (
        CLIPImageProcessor,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
        LlavaProcessor,
        PreTrainedTokenizerFast,
    )

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = {word: number for number, word in enumerate((*TOKENS, *letters))}
    bytewise = Tokenizer(models.BPE(words, []))
    bytewise.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    bytewise.decoder = decoders.ByteLevel()
    bytewise.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in TOKENS])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bytewise, pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    )
    torch.manual_seed(0)
    text = LlamaConfig(
        vocab_size=len(words), hidden_size=64, intermediate_size=128, num_hidden_layers=2,
        num_attention_heads=2, num_key_value_heads=2, max_position_embeddings=8192,
        bos_token_id=1, eos_token_id=2, pad_token_id=0,
    )  # fmt: skip
    vision = CLIPVisionConfig(
        hidden_size=64, intermediate_size=128, num_hidden_layers=3, num_attention_heads=2,
        image_size=56, patch_size=14, projection_dim=64,
    )  # fmt: skip
    config = LlavaConfig(vision_config=vision, text_config=text, image_token_index=words["<image>"])
    network = LlavaForConditionalGeneration(config)
    for value in network.parameters():
        if value.ndim > 1:
            torch.nn.init.normal_(value, std=0.15)
    network.save_pretrained(folder)
    square = {"height": 56, "width": 56}
    pixels = CLIPImageProcessor(size=square, crop_size=square, do_center_crop=False)
    processor = LlavaProcessor(
        pixels, tokenizer, patch_size=14, vision_feature_select_strategy="default",
        chat_template=TEMPLATE, image_token="<image>", num_additional_image_tokens=1,
    )  # fmt: skip
    processor.save_pretrained(folder)
    return folder


if __name__ == "__main__":
    sys.exit(main())
