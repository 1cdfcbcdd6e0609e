"""Text metrics as the papers compute them: a score for each answer, then the mean, times 100.

Implementations of the same metric differ by points, so every metric carries the name of its own.
Nothing is downloaded: METEOR and BERTScore use the data and weights found on this machine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
PERCENT = 100.0


@dataclass(frozen=True)
class TextMetric:
    """A metric of texts.

    Parameters
    ----------
    name
    implementation
        Library, version and settings that compute it.
    score
        Maps answers and references, [items] each, to scores from 0 to 100, [items].
    reports_only
        Whether the metric is meant for whole reports.
    """

    name: str
    implementation: str
    score: Callable[[Sequence[str], Sequence[str]], Array]
    reports_only: bool = False


def text_metrics(bertscore: Path | None = None, *, device: str = "cpu") -> list[TextMetric]:
    """Return BLEU-1, ROUGE-1 and METEOR; also BERTScore if given weights.

    Parameters
    ----------
    bertscore
        Folder of an encoder and its tokenizer, e.g. roberta-large.
    device
        Device of BERTScore.
    """
    metrics = [_bleu(), _rouge(), _meteor()]
    return [*metrics, _bertscore(bertscore, device)] if bertscore is not None else metrics


def _bleu() -> TextMetric:
    from sacrebleu.metrics import BLEU

    bleu = BLEU(max_ngram_order=1, tokenize="13a", smooth_method="none")

    def one(answer: str, reference: str) -> float:
        return float(bleu.corpus_score([answer], [[reference]]).score)

    return TextMetric(
        "BLEU-1",
        f"sacrebleu {version('sacrebleu')} BLEU(max_ngram_order=1, tokenize=13a, "
        "smooth_method=none), a score for each answer",
        _each(one),
    )


def _rouge() -> TextMetric:
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rouge1"], use_stemmer=False)

    def one(answer: str, reference: str) -> float:
        return PERCENT * float(scorer.score(reference, answer)["rouge1"].fmeasure)

    return TextMetric(
        "ROUGE-1", f"rouge-score {version('rouge-score')} rouge1 F, no stemmer", _each(one)
    )


class _NoSynonyms:
    """Stands in for an absent WordNet: no word has a synonym."""

    def synsets(self, _: str) -> list[Any]:
        return []


def _meteor() -> TextMetric:
    from nltk.stem import PorterStemmer
    from nltk.translate.meteor_score import single_meteor_score

    wordnet, synonyms = _wordnet()
    tokens, tokenizer = _meteor_tokens()
    stemmer = PorterStemmer()

    def one(answer: str, reference: str) -> float:
        # alpha, beta and gamma as Hugging Face `evaluate` sets them.
        return PERCENT * float(
            single_meteor_score(
                tokens(reference),
                tokens(answer),
                stemmer=stemmer,
                wordnet=wordnet,
                alpha=0.9,
                beta=3,
                gamma=0.5,
            )
        )

    return TextMetric(
        "METEOR", f"nltk {version('nltk')} METEOR 0.9/3/0.5, {synonyms}, {tokenizer}", _each(one)
    )


def _wordnet() -> tuple[Any, str]:
    from nltk.corpus import wordnet

    try:
        wordnet.ensure_loaded()
    except (LookupError, OSError):  # absent or incomplete
        return _NoSynonyms(), "exact and stem matches only (WordNet is not installed)"
    return wordnet, f"WordNet {wordnet.get_version()}"


def _meteor_tokens() -> tuple[Callable[[str], list[str]], str]:
    import nltk
    from nltk.tokenize import word_tokenize

    try:
        nltk.data.find("tokenizers/punkt_tab/english/")
    except LookupError:
        return own_tokens, "words by nltk, sentences by our own rule (punkt is not installed)"
    return lambda text: list(word_tokenize(text)), "words and sentences by nltk's punkt"


def own_tokens(text: str) -> list[str]:
    """Split a text into words as nltk's `word_tokenize` does, but without its sentence model.

    The tokenizer separates a full stop only at the end of its input, so it needs sentences.
    """
    from nltk.tokenize import NLTKWordTokenizer

    from napari_ct_assistant.report_text.sentences import split_sentences

    words = NLTKWordTokenizer()
    sentences = split_sentences(text, keep_headings=True)
    return [word for sentence in sentences for word in words.tokenize(sentence)]


def _each(one: Callable[[str, str], float]) -> Callable[[Sequence[str], Sequence[str]], Array]:
    """Score pairs one by one; repeated pairs are scored once."""
    known = cache(one)

    def score(answers: Sequence[str], references: Sequence[str]) -> Array:
        return np.array(
            [
                known(_line(answer), _line(reference)) if answer.strip() else 0.0
                for answer, reference in zip(answers, references, strict=True)
            ]
        )

    return score


def _line(text: str) -> str:
    return " ".join(text.split())


def _bertscore(folder: Path, device: str) -> TextMetric:
    """Return BERTScore's F1 (Zhang et al. 2020, eq. 1-3): the best cosine match of each word.

    Our own, because torchmetrics 1.9 mixes up the pairs of a batch whose answers and references
    sort differently by length, and bert-score 0.3 fails on an empty answer.
    """
    import torch
    from transformers import AutoConfig, AutoModel, AutoTokenizer

    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    roberta = config.model_type == "roberta"
    # For RoBERTa, a word at the start of a text is the same as in its middle only with this.
    prefix = {"add_prefix_space": True} if roberta else {}
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, **prefix)
    model = AutoModel.from_pretrained(folder, local_files_only=True).eval().to(device)
    # For roberta-large the layer that bert-score uses; for other encoders the last one.
    layer = 17 if roberta and config.num_hidden_layers == 24 else config.num_hidden_layers
    # RoBERTa starts to count positions after the padding id.
    length = min(512, config.max_position_embeddings - (2 if roberta else 0))

    @lru_cache(maxsize=256)
    def embed(text: str) -> Any:
        """Return unit vectors [words, hidden_size] of a text, without its [CLS] and [SEP]."""
        batch = tokenizer(text, truncation=True, max_length=length, return_tensors="pt")
        with torch.inference_mode():
            hidden = model(**batch.to(device), output_hidden_states=True).hidden_states[layer]
        return torch.nn.functional.normalize(hidden[0, 1:-1].float(), dim=-1)

    def one(answer: str, reference: str) -> float:
        similarity = embed(answer) @ embed(reference).T
        if not similarity.numel():
            return 0.0
        precision = float(similarity.amax(1).mean())
        recall = float(similarity.amax(0).mean())
        total = precision + recall
        return PERCENT * 2 * precision * recall / total if total else 0.0

    return TextMetric(
        "BERT-F1",
        f"own BERTScore F1, {folder.name} layer {layer}, not rescaled, "
        f"transformers {version('transformers')}",
        _each(one),
    )
