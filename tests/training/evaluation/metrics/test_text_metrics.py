"""Text metrics against values worked out by hand and against independent libraries."""

from __future__ import annotations

import json
import math
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_ct_assistant.phantoms import draw_truth
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.evaluation.metrics import text_metrics as module
from napari_ct_assistant.training.evaluation.metrics.green import green_metric
from napari_ct_assistant.training.evaluation.metrics.text_metrics import TextMetric, text_metrics

REFERENCE = "the lungs are clear"


@pytest.fixture(scope="module")
def metrics() -> dict[str, TextMetric]:
    return {metric.name: metric for metric in text_metrics()}


@pytest.mark.parametrize(
    ("name", "answer", "value"),
    [
        # One word in two: precision 2/2, brevity exp(1 - 4/2).
        ("BLEU-1", "lungs clear", 100 * math.exp(-1)),
        # Clipped: "the" counts once; 3 words of 4.
        ("BLEU-1", "the the the the", 25.0),
        # Precision 1, recall 1/2.
        ("ROUGE-1", "lungs clear", 100 * 2 / 3),
        # P 1, R 1/2: F 0.5 / (0.9 + 0.05); two matches in two chunks: penalty 1/2.
        ("METEOR", "lungs clear", 100 * 0.5 / 0.95 * 0.5),
        # The stem of "lung" is that of "lungs": four matches in one chunk, penalty 0.5 / 64.
        ("METEOR", "The lung are clear", 100 * (1 - 0.5 / 64)),
        ("BLEU-1", "  ", 0.0),
        ("ROUGE-1", "", 0.0),
        ("METEOR", "", 0.0),
    ],
)
def test_by_hand(metrics: dict[str, TextMetric], name: str, answer: str, value: float) -> None:
    found = metrics[name].score([answer, REFERENCE], [REFERENCE, REFERENCE])
    assert found[0] == pytest.approx(value, abs=1e-9)
    assert found[1] > 99


def test_each_names_library_and_version(metrics: dict[str, TextMetric]) -> None:
    for name, library in (("BLEU-1", "sacrebleu"), ("ROUGE-1", "rouge-score"), ("METEOR", "nltk")):
        word, number = metrics[name].implementation.split()[:2]
        assert word == library
        assert number[0].isdigit()


def test_meteor_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    import nltk

    monkeypatch.setattr(nltk.data, "path", [])
    meteor = text_metrics()[2]
    assert "WordNet is not installed" in meteor.implementation
    assert "punkt is not installed" in meteor.implementation
    # Two sentences: the first one's full stop is a word of its own, as punkt would have it.
    assert module.own_tokens("No nodule. Findings: 1.5 cm cyst.") == [
        *("No", "nodule", ".", "Findings", ":", "1.5", "cm", "cyst", ".")
    ]


def test_our_sentence_rule_is_punkts_on_reports() -> None:
    import nltk

    try:
        nltk.data.find("tokenizers/punkt_tab/english/")
    except LookupError:
        pytest.skip("nltk's punkt_tab is absent")
    for seed in range(20):
        report = draw_truth(seed).report
        assert module.own_tokens(report) == nltk.word_tokenize(report), seed


ANSWERS = [
    "the heart is large .",
    "no effusion",
    "the lungs are clear in the left lobe",
    "",
    "left",
]
TRUTHS = ["the heart is small", "effusion in the right lobe .", "the lungs are clear", "no", "left"]


@pytest.fixture(scope="module")
def small_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a BERT of random weights with a word tokenizer."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("bert")
    words = {word for text in (*ANSWERS, *TRUTHS) for word in text.split()}
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *sorted(words)]
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
    )
    BertModel(config).save_pretrained(folder)
    BertTokenizerFast(vocab={word: i for i, word in enumerate(vocabulary)}).save_pretrained(folder)
    return folder


def test_bertscore_is_the_definition(small_bert: Path) -> None:
    from transformers import AutoModel, AutoTokenizer

    metric = text_metrics(small_bert)[-1]
    assert "BERTScore" in metric.implementation
    found = metric.score(ANSWERS, TRUTHS)
    assert found[3] == 0
    assert found[4] == pytest.approx(100, abs=1e-3)
    tokenizer = AutoTokenizer.from_pretrained(small_bert)
    model = AutoModel.from_pretrained(small_bert).eval()

    def embed(text: str) -> np.ndarray:
        with torch.no_grad():
            out = model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0, 1:-1].numpy()
        return out / np.linalg.norm(out, axis=1, keepdims=True)

    for i in (0, 1, 2):
        likeness = embed(ANSWERS[i]) @ embed(TRUTHS[i]).T
        precision, recall = likeness.max(1).mean(), likeness.max(0).mean()
        assert found[i] == pytest.approx(200 * precision * recall / (precision + recall), abs=1e-3)


@pytest.mark.skipif(find_spec("torchmetrics") is None, reason="torchmetrics is not installed")
@pytest.mark.filterwarnings("ignore")
def test_bertscore_is_torchmetrics_pair_by_pair(small_bert: Path) -> None:
    from torchmetrics.functional.text import bert_score
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(small_bert)
    found = text_metrics(small_bert)[-1].score(ANSWERS, TRUTHS)
    for i in (0, 1, 2, 4):
        theirs = bert_score(
            [ANSWERS[i]],
            [TRUTHS[i]],
            model=AutoModel.from_pretrained(small_bert),
            user_tokenizer=tokenizer,
            user_forward_fn=lambda model, batch: (
                model(batch["input_ids"], batch["attention_mask"]).last_hidden_state
            ),
            max_length=32,
        )
        assert found[i] == pytest.approx(100 * float(np.ravel(theirs["f1"])[0]), abs=1e-3)


def test_green_refuses_what_it_should(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"no config\.json"):
        green_metric(tmp_path, tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"auto_map": {"AutoModel": "x.py"}}))
    with pytest.raises(RecipeError, match="asks to run code of its own"):
        green_metric(tmp_path, tmp_path)
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(RecipeError, match="pickles"):
        green_metric(tmp_path, tmp_path)
    (tmp_path / "pytorch_model.bin").unlink()
    if find_spec("radeval") is None:
        with pytest.raises(RecipeError, match="--green needs radeval"):
            green_metric(tmp_path, tmp_path)
