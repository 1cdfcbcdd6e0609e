"""Texts as token ids, with the vocabulary of the folder: a stock BERT tokenizer, no other code."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from torch import Tensor
from transformers import BertTokenizer

from napari_ct_assistant.backends.colipri.configuration import MAX_TOKENS, TextSizes
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.model.settings import read_json
from napari_ct_assistant.support.translation import said

VOCABULARY: Final = "vocab.txt"
SPECIAL: Final = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
MOST_BYTES: Final = 8 << 20


class Words:
    """A vocabulary.

    Parameters
    ----------
    vocabulary : dict of str to int
    lowercase : bool
    positions : int
        Tokens that the text encoder has positions for.
    """

    def __init__(self, vocabulary: dict[str, int], positions: int, *, lowercase: bool = True):
        self._tokenizer = BertTokenizer(vocab=vocabulary, do_lower_case=lowercase)
        self._longest = min(MAX_TOKENS, positions)

    def __call__(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Return token ids and attention mask, [texts, longest]."""
        found = self._tokenizer(
            list(texts),
            padding=True,
            truncation=True,
            max_length=self._longest,
            return_tensors="pt",
        )
        return found["input_ids"], found["attention_mask"]


def load_words(folder: Path, sizes: TextSizes, name: str) -> Words | None:
    """Return the vocabulary of a folder; None if it has none.

    Raises
    ------
    ModelLoadError
        If it is not the text encoder's.
    """
    file = folder / VOCABULARY
    if not file.is_file():
        return None
    if file.stat().st_size > MOST_BYTES:
        raise ModelLoadError(
            said(
                "{name}: {vocabulary} is larger than {number} MB; refused",
                name=name,
                vocabulary=VOCABULARY,
                number=MOST_BYTES >> 20,
            )
        )
    try:
        lines = file.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except UnicodeDecodeError:
        raise ModelLoadError(
            said(
                "{name}: {vocabulary} is not text; copy the file again",
                name=name,
                vocabulary=VOCABULARY,
            )
        ) from None
    vocabulary = {word.rstrip("\r"): number for number, word in enumerate(lines)}
    missing = [word for word in SPECIAL if word not in vocabulary]
    if missing or len(lines) != sizes.vocabulary:
        reason = f"has no {missing[0]}" if missing else f"has {len(lines):,} words"
        raise ModelLoadError(
            said(
                "{name}: {vocabulary} {reason}; the text encoder has {vocabulary2} embeddings. "
                "Copy the file that belongs to the model (BiomedVLP-CXR-BERT-specialized)",
                name=name,
                vocabulary=VOCABULARY,
                reason=reason,
                vocabulary2=f"{sizes.vocabulary:,}",
            )
        )
    settings = folder / "tokenizer_config.json"
    lowercase = True
    if settings.is_file():
        lowercase = bool(read_json(settings, name).get("do_lower_case", True))
    return Words(vocabulary, sizes.positions, lowercase=lowercase)
