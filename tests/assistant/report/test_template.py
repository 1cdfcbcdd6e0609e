"""Templates: the bundled ones, a department's own, and one line for each that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_ct_assistant.assistant import Sentence
from napari_ct_assistant.assistant.report.template import (
    TemplateError,
    find_template,
    list_templates,
    read_template,
)

GOOD = """\
name: Ours
sections:
  - key: findings
    heading: Befund
    organs:
      - heading: Lunge
        words: [lung]
        phrases: ["Lunge: frei.", No]
  - {key: impression, heading: Beurteilung}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CT_ASSISTANT_TEMPLATES", str(tmp_path))
    return tmp_path


def test_the_bundled_templates_are_good() -> None:
    found, wrong = list_templates()
    assert {"Chest CT", "Abdominal CT"} <= set(found)
    assert wrong == []


@pytest.mark.parametrize(
    ("text", "heading"),
    [
        ("There is a moderate right pleural effusion.", "Pleura"),
        ("No pericardial effusion is seen.", "Heart and vessels"),
        ("No lymphadenopathy or hiatal hernia is seen.", "Mediastinum"),
        ("Linear atelectasis in the right middle lobe.", "Lungs"),
        ("No peribronchial thickening or bronchiectasis is seen.", "Airways"),
        ("Upper abdominal organs and bones are unremarkable.", "Upper abdomen"),
        ("Nothing that any organ is named by.", "Findings"),
    ],
)
def test_sentences_find_their_organ(text: str, heading: str) -> None:
    assert find_template().place(Sentence(text, "Findings"))[1] == heading


def test_a_departments_own_template(folder: Path) -> None:
    (folder / "ours.yaml").write_text(GOOD, encoding="utf-8")
    (folder / "broken.yml").write_text("name: [", encoding="utf-8")
    found, wrong = list_templates()
    ours = found["Ours"]
    assert ours.place(Sentence("Lungs clear.", "Findings")) == ("findings/lunge", "Lunge")
    assert ours.place(Sentence("Well.", "Impression")) == ("impression", "Beurteilung")
    assert ours.phrases("findings/lunge") == ("Lunge: frei.", "No")
    assert len(wrong) == 1
    assert wrong[0].startswith("broken.yml line 1: ")
    with pytest.raises(TemplateError, match=r"no template 'Theirs'; give .* Ours, .*broken\.yml"):
        find_template("Theirs")


def test_a_departments_template_hides_the_bundled_one_of_its_name(folder: Path) -> None:
    (folder / "a.yaml").write_text(GOOD.replace("Ours", "Chest CT"), encoding="utf-8")
    assert find_template().sections[0].heading == "Befund"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("    heading: Befund\n", "", "line 3: sections[0].heading is missing"),
        ("heading: Lunge", "heding: Lunge",
         "line 6: sections[0].organs[0].heding: unknown key; is heading meant?"),
        ("key: findings", "key: Meine Befunde",
         "line 3: sections[0].key: 'Meine Befunde' must be"),
        ("key: impression", "key: findings",
         "line 2: sections: two sections are called 'findings'"),
        ("words: [lung]", "words: lung", "line 7: sections[0].organs[0].words: expected a list"),
        ("words: [lung]", "words: []",
         "line 7: sections[0].organs[0].words: expected a list with at least one"),
        ("    heading: Befund\n", "    heading: Befund\n    text: a {name} b\n",
         "line 5: sections[0].text: only {slices}, {thickness}, {voxel}"),
        ("    heading: Befund\n", "    heading: Befund\n    heading: B\n",
         "line 5: 'heading' is there twice"),
        ("    heading: Befund", "   heading: Befund", "line 4: "),
        ("name: Ours\n", "", "line 1: name is missing"),
        (GOOD, "", "line 1: expected name, sections"),
        (GOOD, "just words", "line 1: expected name, sections"),
        (GOOD, "name: a\nsections: !!python/object:os.system x",
         "line 2: sections: expected a list"),
    ],
)  # fmt: skip
def test_a_wrong_template_gets_one_line(tmp_path: Path, old: str, new: str, said: str) -> None:
    path = tmp_path / "t.yaml"
    path.write_text(GOOD.replace(old, new), encoding="utf-8")
    with pytest.raises(TemplateError) as caught:
        read_template(path)
    assert str(caught.value).startswith(f"t.yaml {said}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"#" * 200_001, "more than 200000 bytes"),
        (b"[" * 800, "t.yaml"),
        (None, "cannot be read"),
    ],
)
def test_files_that_are_no_templates(tmp_path: Path, data: bytes | None, said: str) -> None:
    path = tmp_path / "t.yaml"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(TemplateError, match=said):
        read_template(path)
