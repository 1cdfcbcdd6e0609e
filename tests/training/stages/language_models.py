"""Tiny causal language models of several families, with tokenizers that behave like theirs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, processors
from transformers import (
    AutoModelForCausalLM,
    LlamaConfig,
    Phi3Config,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
)

from napari_ct_assistant.training.stages.tokenizer import train_tokenizer
from tests.training.toy import REPORTS

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}</s>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# Llama's: the template itself writes BOS.
WITH_BOS = "{{ bos_token }}{% for m in messages %}[INST] {{ m.content }} [/INST]{% endfor %}"


@dataclass(frozen=True)
class Family:
    """A configuration, the behaviour of its tokenizer, and the linear layers that LoRA finds."""

    config: Callable[..., Any]
    more: dict[str, Any]
    bos: bool
    adds_bos: bool
    template: str | None
    linear: frozenset[str]


LLAMA = frozenset(("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"))
PHI3 = frozenset(("qkv_proj", "o_proj", "gate_up_proj", "down_proj"))
TIED = {"tie_word_embeddings": True}
FAMILIES = {
    "llama": Family(LlamaConfig, {}, bos=True, adds_bos=True, template=None, linear=LLAMA),
    "llama-chat": Family(LlamaConfig, {}, bos=True, adds_bos=True, template=WITH_BOS, linear=LLAMA),
    "phi3": Family(Phi3Config, {}, bos=True, adds_bos=False, template=CHATML, linear=PHI3),
    "qwen2": Family(Qwen2Config, {}, bos=False, adds_bos=False, template=CHATML, linear=LLAMA),
    "qwen3": Family(
        Qwen3Config, {"head_dim": 16}, bos=False, adds_bos=False, template=None, linear=LLAMA
    ),
    "smollm2": Family(LlamaConfig, TIED, bos=True, adds_bos=False, template=CHATML, linear=LLAMA),
}


def tokenizer_of(family: Family) -> PreTrainedTokenizerFast:
    """Return a small tokenizer that behaves like the family's, without a padding token."""
    trained = train_tokenizer(REPORTS, vocab_size=300)
    inner = Tokenizer.from_str(trained.backend_tokenizer.to_str())
    if not family.adds_bos:
        inner.post_processor = processors.ByteLevel(trim_offsets=False)
    names = {"eos_token": "</s>"} | ({"bos_token": "<s>"} if family.bos else {})
    return PreTrainedTokenizerFast(tokenizer_object=inner, chat_template=family.template, **names)


def write_language_model(folder: Path, family: Family) -> Path:
    """Write a tiny model and tokenizer as a folder from the hub."""
    tokenizer = tokenizer_of(family)
    torch.manual_seed(0)
    config = family.config(
        vocab_size=len(tokenizer),
        hidden_size=24,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=512,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=None,
        **family.more,
    )
    AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
