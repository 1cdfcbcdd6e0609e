"""Presets are files that a department can write; a wrong one is one line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from napari_ct_assistant.backends.slices import (
    PresetError,
    conversation,
    find_preset,
    list_presets,
    read_preset,
)
from napari_ct_assistant.report_text.findings import FINDINGS

OWN = """\
name: ours
windows: [[-160, 240]]
slices: 12
rule: even
label: image {number}
label_position: before
question_position: first
report_question: Describe the {region}.
"""


def test_medgemma_says_what_the_notebook_says() -> None:
    asked = "Based on the visual evidence in the slices provided above, is there a lung nodule?"
    (turn,) = conversation(find_preset("medgemma-1.5"), 2, asked)
    assert turn["role"] == "user"
    assert turn["content"] == [
        {
            "type": "text",
            "text": "You are an instructor teaching medical students. You are analyzing a "
            "contiguous block of CT slices from the center of the chest. Please review the slices "
            "provided below carefully.",
        },
        {"type": "image", "index": 0},
        {"type": "text", "text": "SLICE 1"},
        {"type": "image", "index": 1},
        {"type": "text", "text": "SLICE 2"},
        {"type": "text", "text": f"\n\n{asked}"},
    ]


def test_the_slices_stand_in_the_first_turn_only() -> None:
    turns = conversation(
        find_preset("generic-vl"), 1, "Where?", region="abdomen", history=[("A cyst?", "Yes.")]
    )
    assert [turn["role"] for turn in turns] == ["user", "assistant", "user"]
    assert turns[0]["content"][0]["text"] == "CT slices of the abdomen."
    assert turns[0]["content"][-1]["text"] == "\n\nA cyst?"
    assert turns[2]["content"] == [{"type": "text", "text": "Where?"}]


def test_a_department_writes_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ours.yaml").write_text(OWN)
    monkeypatch.setenv("CT_ASSISTANT_SLICE_PRESETS", str(tmp_path))
    preset = find_preset("ours")
    assert preset == find_preset(str(tmp_path / "ours.yaml"))
    assert preset.windows == ((-160, 240),) * 3
    assert list_presets()[0].keys() == {"ours", "generic-vl", "medgemma-1.5"}
    (turn,) = conversation(preset, 1, "A cyst?")
    assert [part.get("text", "image") for part in turn["content"]] == [
        "\n\nA cyst?", "image 1", "image",
    ]  # fmt: skip
    assert preset.labels("chest") == FINDINGS
    assert preset.report("chest") == "Describe the chest."


def test_screen_questions_are_sentences() -> None:
    preset = find_preset("medgemma-1.5")
    assert "is there a lung nodule?" in preset.screen_question("Lung nodule")
    assert "is there emphysema?" in preset.screen_question("Emphysema")
    assert "is there an adrenal nodule?" in preset.screen_question("Adrenal nodule")
    assert set(preset.regions) == {"chest", "abdomen"}
    assert preset.labels("abdomen")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("slices: 12", "slices: 0", "line 3: slices: Input should be greater than or equal to 1"),
        ("rule: even", "rule: odd", "line 4: rule: Input should be 'medgemma', 'even'"),
        ("[[-160, 240]]", "[[240, -160]]", r"line 2: windows: a window is \[240, -160\]"),
        ("[[-160, 240]]", "[[1, 2], [3, 4]]", "line 2: windows: give one window"),
        ("rule: even", "rules: even", "line 4: rules: unknown key; is rule meant"),
        ("{number}", "{n}", r"line 5: label: only \{number\} can stand in braces"),
        ("image {number}", "image", r"line 5: label: \{number\} is missing"),
        ("slices: 12\n", "", "slices is missing"),
        ("windows: [[-160, 240]]", "windows: -160", "line 2: windows: give one window"),
    ],
)
def test_a_wrong_preset_is_one_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    file = tmp_path / "ours.yaml"
    file.write_text(OWN.replace(old, new))
    with pytest.raises(PresetError, match=said) as error:
        read_preset(file)
    assert str(error.value).startswith("ours.yaml")
    assert "\n" not in str(error.value)


def test_an_unknown_name_lists_the_known_and_the_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken.yaml").write_text("name: [")
    monkeypatch.setenv("CT_ASSISTANT_SLICE_PRESETS", str(tmp_path))
    with pytest.raises(PresetError, match=r"no slice preset 'x'.*medgemma-1\.5.*broken\.yaml"):
        find_preset("x")


def test_slices_need_no_torch() -> None:
    code = "import sys, napari_ct_assistant.backends.slices; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
