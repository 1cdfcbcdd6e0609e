"""The questions that the papers' recipes train on, drawn from files in the real layouts."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from napari_ct_assistant.report_text.questions import FINDING_QUESTION, SCAN_REPORT_QUESTION
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.config.load import load_recipe
from napari_ct_assistant.training.data.stores import open_store
from napari_ct_assistant.training.sequences.conversation_dataset import ConversationDataset
from napari_ct_assistant.training.sequences.store_conversations import StoreConversations
from tests.tiny_model import tiny_model
from tests.training.data.datasets import layouts

TURNS = 2000
DIAGNOSIS = FINDING_QUESTION.split("{finding}", maxsplit=1)[0]


def draw(recipe_name: str, *overrides: str, count: int = TURNS) -> list[str]:
    """Return the questions of a run's first samples."""
    recipe = load_recipe(recipe_name, [*overrides, f"training.samples={count}"])
    store = open_store(recipe)
    source = StoreConversations(store, recipe.conversation)
    _, processor = tiny_model()
    dataset = ConversationDataset(source, processor, recipe.conversation, recipe.training, 0)
    turns = [dataset.drawn(k)[1] for k in range(len(dataset))]
    assert all(len(one) == 1 for one in turns)
    return [one[0].question for one in turns]


@pytest.fixture
def ct_rate(tmp_path: Path) -> str:
    """CT-RATE with 15 questions a report, the papers' 713,150 to 47,149."""
    root = layouts.write_ct_rate(tmp_path)
    file = root / "dataset/vqa/train_vqa.json"
    items = json.loads(file.read_text())
    asked = [i for i in items if i["id"].split("_")[0] in ("long", "short", "multiple")]
    for number in range(4):
        for item in asked:
            copy = json.loads(json.dumps(item))
            copy["conversations"][0]["value"] = f"{number}. {item['conversations'][0]['value']}"
            items.append(copy)
    file.write_text(json.dumps(items))
    return f"data={{kind: ct_rate, root: {root}, spacing: [10, 6, 6]}}"


@pytest.mark.parametrize("stage", ["align", "instruct"])
def test_e3d_gpt_has_reports_and_questions_as_in_table_1(
    stage: str, ct_rate: str, tmp_path: Path
) -> None:
    drawn = draw(f"e3d_gpt/{stage}", ct_rate, "encoder={preset: e3d_gpt}", f"root={tmp_path}")
    reports = sum(question == SCAN_REPORT_QUESTION for question in drawn) / TURNS
    assert reports == pytest.approx(47_149 / (47_149 + 713_150), abs=0.01)
    assert not [question for question in drawn if question.startswith(DIAGNOSIS)]
    kinds = Counter("choice" if "Choices:" in q else "other" for q in drawn)
    assert kinds["choice"] / TURNS == pytest.approx(5 / 16, abs=0.01)


def test_label_questions_are_asked_if_wanted(ct_rate: str, tmp_path: Path) -> None:
    data = ct_rate.replace("}", ", label_questions: true}")
    drawn = draw("e3d_gpt/align", data, "encoder={preset: e3d_gpt}", f"root={tmp_path}")
    share = sum(question.startswith(DIAGNOSIS) for question in drawn) / TURNS
    assert share == pytest.approx(18 / 34, abs=0.01)


def test_vit3d_llama3_has_regions_or_questions(tmp_path: Path) -> None:
    root = layouts.write_amos_mm(tmp_path)
    more = [f"data.root={root}", "encoder={preset: vit3d_llama3}", f"root={tmp_path}"]
    drawn = Counter(draw("vit3d_llama3/mrg", *more))
    regions = sorted(question.split(" findings in ")[1] for question in drawn)
    assert regions == ["abdomen of this image.", "pelvis of this image."]
    assert set(drawn.values()) == {TURNS // 2}
    (asked,) = set(draw("vit3d_llama3/vqa", *more))
    assert asked.startswith("Which organ is enlarged? Choices: A. Liver")
    assert asked.endswith("D. None")
    drawn = Counter(draw("vit3d_llama3/mrg", *more, "data.vqa=true"))
    assert drawn[asked] / TURNS == pytest.approx(1 / 3, abs=0.01)


def test_a_pass_has_every_pair_once(ct_rate: str, tmp_path: Path) -> None:
    recipe = load_recipe(
        "e3d_gpt/align", [ct_rate, "encoder={preset: e3d_gpt}", "training.epochs=2"]
    )
    source = StoreConversations(open_store(recipe), recipe.conversation)
    dataset = ConversationDataset(
        source, tiny_model()[1], recipe.conversation, recipe.training, seed=1
    )
    pairs = [(i, turn.question) for i in range(3) for turn in source.pairs(i) or []]
    assert len(dataset) == 2 * len(pairs) == 2 * 3 * 16
    seen = [(i, one[0].question) for i, one, _ in map(dataset.drawn, range(len(dataset)))]
    first, second = seen[: len(pairs)], seen[len(pairs) :]
    assert sorted(first) == sorted(second) == sorted(pairs)
    assert first != second
    assert first != pairs


@pytest.mark.parametrize("lengths", ["", "samples: 1, epochs: 1, "])
def test_a_run_has_one_length(lengths: str) -> None:
    with pytest.raises(RecipeError, match="exactly one of samples and epochs"):
        load_recipe("e3d_gpt/mae", [f"training={{{lengths}learning_rate: 1}}"])


def test_a_pass_over_pairs_that_are_drawn_is_refused() -> None:
    with pytest.raises(RecipeError, match="has every pair once, but this recipe draws them"):
        load_recipe("e3d_gpt/align", ["conversation={questions: 4}"])
