"""`ct-assistant evaluate` from a CSV to tables, cut off and gone on with."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from typer.testing import CliRunner

from napari_ct_assistant import load_assistant
from napari_ct_assistant.cli import app
from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.report_text.yes_no import chosen_letter
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.data.datasets.read_records import read_records
from napari_ct_assistant.training.data.datasets.record import Question, ScanRecord
from napari_ct_assistant.training.data.datasets.specs import TableData
from napari_ct_assistant.training.evaluation.answer_log import AnswerLog, ModelAnswer
from napari_ct_assistant.training.evaluation.cases import (
    CaseList,
    listed_choices,
    phantom_cases,
    record_cases,
    table_cases,
)
from napari_ct_assistant.training.evaluation.run import evaluate
from napari_ct_assistant.training.evaluation.sources import open_cases
from napari_ct_assistant.volume import CTReadError, CTVolume
from tests.tiny_model import REPORT, save_tiny_model
from tests.training.data.datasets import layouts

run = CliRunner().invoke
WHO = "Erika Mustermann 1961"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("learned") / "tiny", learned=True)


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory, small_volume: CTVolume) -> Path:
    """Six scans of five patients in a CSV, whose names must not come out again."""
    folder = tmp_path_factory.mktemp("data")
    rows = []
    for i in range(6):
        image = f"{WHO} {i}.nii.gz"
        data = small_volume.hu.transpose(2, 1, 0)[:, ::-1, ::-1] + i
        nib.save(nib.Nifti1Image(np.ascontiguousarray(data), np.diag([6, 5, 8, 1])), folder / image)
        common = {"image": image, "patient": f"{WHO} {min(i, 4)}"}
        rows.append(
            common
            | {"report": REPORT if i % 2 else "Findings: The heart is normal. Impression: Nothing."}
            | {"Lung nodule": str(i % 2), "Emphysema": str(int(i == 3))}
        )
        rows.append(
            common
            | {"question": "Does this image show signs of emphysema?", "answer": "No."}
            | {"kind": "yes_no"}
        )
        rows.append(
            common | {"question": "Which side?", "answer": "B", "choices": "left | right | both"}
        )
    columns = list(dict.fromkeys(name for row in rows for name in row))
    with (folder / "scans.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows(rows)
    return folder / "scans.csv"


def figures_of(folder: Path) -> dict[tuple[str, ...], dict]:
    rows = json.loads((folder / "figures.json").read_text())["figures"]
    return {(r["task"], r["group"], r["answers"], r["metric"]): r for r in rows}


def test_from_table_to_tables(model: Path, table: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = run(app, ["evaluate", str(model), str(table), "--out", str(out), "--device", "cpu"])
    assert done.exit_code == 0, done.output
    assert "# tiny on scans.csv" in done.stdout
    found = figures_of(out)
    # The tiny model says one report by heart: it is that of every second scan.
    blue = found["report", "all", "model", "BLEU-1"]
    assert 50 < blue["value"] < 100
    assert blue["items"] == 6
    assert blue["patients"] == 5
    assert blue["implementation"].startswith("sacrebleu ")
    assert found["report", "all", "model", "identical answers"]["value"] == 100
    assert found["report", "all", "truth", "identical answers"]["value"] == 50
    assert found["report", "all", "model - shuffled", "METEOR"]["value"] == pytest.approx(
        found["report", "all", "model", "METEOR"]["value"]
        - found["report", "all", "shuffled", "METEOR"]["value"]
    )
    # It says yes to every nodule and no to every emphysema, half and five of six are right.
    nodule = found["diagnosis", "Lung nodule", "model", "BACC"]
    assert nodule["value"] == 50
    assert found["diagnosis", "Lung nodule", "model", "recall"]["value"] == 100
    assert found["diagnosis", "Emphysema", "model", "recall"]["value"] == 0
    pooled = found["diagnosis", "pooled", "model", "BACC"]
    assert pooled["items"] == 12
    assert pooled["value"] == pytest.approx(100 * (3 / 4 + 5 / 8) / 2)
    assert found["vqa", "all", "model", "accuracy"]["value"] == 100
    assert found["choice", "all", "most common", "accuracy"]["value"] == 100
    assert found["choice", "all", "chance", "accuracy"]["value"] == pytest.approx(100 / 3)
    with (out / "figures.csv").open() as stream:
        assert len(list(csv.DictReader(stream))) == len(found)
    assert (out / "figures.png").read_bytes().startswith(b"\x89PNG")
    for file in out.iterdir():
        if file.suffix != ".png":
            text = file.read_text()
            assert "Mustermann" not in text, file
            assert str(table.parent) not in text, file


def test_an_interrupted_evaluation_goes_on(model: Path, table: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = ["evaluate", str(model), str(table), "-o", str(out), "--device", "cpu"]
    command += ["--task", "diagnosis", "--task", "choice"]
    assert run(app, command).exit_code == 0
    answers = out / "answers.jsonl"
    whole = answers.read_bytes()
    lines = whole.splitlines(keepends=True)
    assert len(lines) == 6 * 3 + 3, "each scan is asked each question once, and nothing is once"
    tables = (out / "figures.csv").read_bytes()
    answers.write_bytes(b"".join(lines[:7]) + lines[7][:20])
    done = run(app, command)
    assert done.exit_code == 0, done.output
    assert "answers: 7 of 21" in done.stderr
    again = answers.read_bytes()
    assert again.startswith(b"".join(lines[:7]))
    assert sorted(again.splitlines()) == sorted(whole.splitlines())
    assert (out / "figures.csv").read_bytes() == tables
    # Finished: nothing is asked, the scans are not even opened.
    assert "answers: 21 of 21" in run(app, command).stderr
    other = run(app, ["evaluate", str(model), "phantoms:0:1", "-o", str(out), "--device", "cpu"])
    assert other.exit_code == 1
    assert "holds an evaluation of another data set" in other.stderr


def test_an_unreadable_scan_is_named_or_listed(model: Path, tmp_path: Path, table: Path) -> None:
    good = next(iter(table.parent.glob("*0.nii.gz")))
    (tmp_path / "a.nii.gz").write_bytes(good.read_bytes())
    (tmp_path / "b.nii.gz").write_bytes(good.read_bytes()[:500])
    (tmp_path / "c.csv").write_text("image,report\na.nii.gz,Nothing.\nb.nii.gz,Nothing.\n")
    out = tmp_path / "out"
    command = ["evaluate", str(model), str(tmp_path / "c.csv"), "-o", str(out), "--device", "cpu"]
    done = run(app, command)
    assert done.exit_code == 1
    assert "b.nii.gz" in done.stderr.splitlines()[-1]
    assert run(app, [*command, "--skip-unreadable"]).exit_code == 0
    about = json.loads((out / "figures.json").read_text())
    assert about["unreadable"] == ["scan 2"]
    assert about["scans"] == 1
    assert "Left out as unreadable: scan 2" in (out / "figures.md").read_text()


def test_all_absent_scans_are_told_before_one_is_read(
    tiny_model_folder: Path, tmp_path: Path
) -> None:
    table = tmp_path / "scans.TSV"
    rows = [f"gone{n}.nii.gz\tNo nodule." for n in range(4)]
    table.write_text("\n".join(["Image\tReport", *rows]) + "\n")
    out = tmp_path / "out"
    done = run(app, ["evaluate", str(tiny_model_folder), str(table), "-o", str(out)])
    assert done.exit_code == 1, done.exception
    last = done.stderr.splitlines()[-1]
    assert "gone0.nii.gz: does not exist, nor do 3 more of 4 scans" in last
    assert not out.exists()


@pytest.mark.parametrize(
    ("dataset", "said"),
    [
        ("nowhere", "no such data set; give phantoms:A:B"),
        ("phantoms:3:3", "A smaller than B"),
        ("absent.csv", "absent.csv"),
        ("ct_rate:absent", "absent"),
        ("pigs:folder", "no such data set"),
    ],
)
def test_unknown_data_gets_one_line(dataset: str, said: str, tmp_path: Path) -> None:
    done = run(app, ["evaluate", "demo", dataset, "-o", str(tmp_path / "out")])
    assert done.exit_code == 1, done.exception
    assert done.stderr.splitlines()[-1].startswith("error: ")
    assert said in done.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("a,x\na,y\n", "row 3: another row gives this image another report"),
        (",x\n", "row 2: image is empty"),
    ],
)
def test_a_tables_contradictions_are_named(rows: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(f"image,report\n{rows}")
    with pytest.raises(RecipeError, match=said):
        table_cases(tmp_path / "t.csv")


def test_labels_and_questions_of_a_table_are_checked(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("image,Emphysema\na,perhaps\n")
    with pytest.raises(RecipeError, match="row 2: Emphysema is 'perhaps'"):
        table_cases(file)
    file.write_text("image,question,answer,choices\na,Side?,middle,left|right\n")
    with pytest.raises(RecipeError, match=r"row 2: .*'middle' is none of the choices"):
        table_cases(file)
    file.write_text("image,question,answer\na,Side?,\n")
    with pytest.raises(RecipeError, match="row 2: the question has no answer"):
        table_cases(file)


def test_the_split_of_a_table_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    rows = [f"{number}.nii.gz,Text." for number in range(200)]
    file.write_text("\n".join(["image,report", *rows]) + "\n")
    cases = {split: table_cases(file, split).cases for split in (None, "all", "train", "test")}
    assert len(cases[None]) == len(cases["all"]) == 200
    assert 10 <= len(cases["test"]) <= 35
    assert len(cases["train"]) == 200 - len(cases["test"])
    # Training reads the other scans by default.
    trained = read_records(TableData(kind="table", table=file))[0]
    assert {r.patient for r in trained} == {case.patient_hash for case in cases["train"]}
    file.write_text("image,report,split\na,x,train\nb,x,test\nc,x,validation\n")
    own = {split: table_cases(file, split) for split in (None, "test", "validation", "all")}
    assert [len(o.cases) for o in own.values()] == [1, 1, 1, 3]
    assert own[None].name == "t.csv test"
    trained = read_records(TableData(kind="table", table=file))[0]
    assert [r.name for r in trained] == ["a"]
    file.write_text("image,report,split\na,x,tset\n")
    with pytest.raises(RecipeError, match="row 2: split 'tset' is none of"):
        table_cases(file)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["evaluate", "absent", "{data}", "--task", "vqa"], "no questions for vqa"),
        (["evaluate", "absent", "{data}", "--task", "diagnosis"], "no labels of findings for"),
        (
            ["compare", "e3d_gpt/align", "e3d_gpt/instruct", "--test", "{data}"],
            "no questions and no labels of findings for vqa or choice or diagnosis",
        ),
    ],
)
def test_a_task_without_questions_is_refused_before_anything_is_done(
    command: list[str], said: str, tmp_path: Path
) -> None:
    root = layouts.write_bimcv_r(tmp_path / "BIMCV-R", patients=60)
    words = [word.replace("{data}", f"bimcv_r:{root}") for word in command]
    done = run(app, [*words, "-o", str(tmp_path / "out")])
    assert done.exit_code == 1
    assert done.stderr.splitlines()[-1].startswith(f"error: bimcv_r test: {said}")
    assert not (tmp_path / "out").exists()


def test_phantoms_bring_everything() -> None:
    cases = open_cases("phantoms:0:6", limit=4)
    assert len(cases.cases) == 4
    case = phantom_cases(2, 3).cases[0]
    assert case == case
    assert list(case.labels) == list(FINDINGS)
    assert case.report.startswith("Findings:")
    kinds = {asked.kind for asked in case.questions}
    assert {"free", "multiple_choice"} <= kinds
    assert "yes_no" not in kinds
    for asked in case.questions:
        assert bool(asked.choices) == (asked.kind == "multiple_choice")
        if asked.choices:
            letter = chosen_letter(asked.answer, asked.choices)
            assert letter is not None
            said = asked.answer.rstrip(".").lower()
            assert asked.choices["ABCD".index(letter)] == said


def test_a_bundled_recipe_names_its_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    layouts.write_amos_mm(tmp_path / "AMOS-MM")
    monkeypatch.chdir(tmp_path)
    cases = open_cases("vit3d_llama3/vqa", split="validation")
    same = open_cases("amos_mm:AMOS-MM")
    assert cases.name == "vqa validation"
    assert [case.questions for case in cases.cases] == [case.questions for case in same.cases]
    assert cases.cases


def test_records_hide_who_they_are() -> None:
    def record(name: str, patient: str, report: str = "x") -> ScanRecord:
        return ScanRecord("set", name, Path("nowhere"), patient, reports={"report": report})

    one = record_cases("set", [record("s1", "p1"), record("s2", "p1"), record("s3", "p2")])
    assert one.cases[0].patient == one.cases[1].patient != one.cases[2].patient
    assert one.patient_count == 2
    # The same scan in another data set has other digits.
    other = record_cases("set", [record("s1", "p1", "y"), record("s2", "p1"), record("s3", "p2")])
    assert {c.key for c in one.cases}.isdisjoint({c.key for c in other.cases})
    asked = (
        record_cases(
            "set",
            [
                ScanRecord(
                    "set",
                    "s",
                    Path("x"),
                    "p",
                    questions=(
                        Question("Side?", "left", "multiple_choice", choices=("left", "right")),
                    ),
                )
            ],
        )
        .cases[0]
        .questions[0]
    )
    assert (asked.question, asked.answer, asked.choices) == ("Side?", "left", ("left", "right"))


@pytest.mark.parametrize(
    ("question", "choices"),
    [
        ("Which? Choices: A. left. B. right.", ("left", "right")),
        ("Which? (a) the left (b) the right side", ("the left", "the right side")),
        ("Is there a nodule?", ()),
        ("Is this hepatitis B. or A. then", ()),
    ],
)
def test_listed_choices(question: str, choices: tuple[str, ...]) -> None:
    assert listed_choices(question) == choices


def test_an_answer_with_a_line_separator_is_read_back(tmp_path: Path) -> None:
    said = ModelAnswer("One line.\u2028Another.\x85", {"findings": "One."}, 0.5)
    AnswerLog(tmp_path, {"model": "m"}).add(("scan", "question"), said)
    with (tmp_path / "answers.jsonl").open("a") as stream:
        stream.write('{"image": "scan", "question": "cut o')
    log = AnswerLog(tmp_path, {"model": "m"})
    log.add(("scan", "other"), ModelAnswer("Yes."))
    assert AnswerLog(tmp_path, {"model": "m"}).answers == {
        ("scan", "question"): said,
        ("scan", "other"): ModelAnswer("Yes."),
    }


def test_nothing_to_ask_is_an_error_not_an_empty_table(
    tiny_model_folder: Path, tmp_path: Path
) -> None:
    assistant = load_assistant(tiny_model_folder, device="cpu")
    mute = replace(phantom_cases(0, 1).cases[0], questions=())
    cases = CaseList("mute", "0", (mute,))
    with pytest.raises(RecipeError, match="mute: no questions for vqa"):
        evaluate(assistant, cases, tmp_path / "out", tasks=("vqa",))
    assert not (tmp_path / "out").exists()

    def unreadable() -> CTVolume:
        raise CTReadError(Path("a.nii.gz"), "not readable")

    lost = CaseList("lost", "0", (replace(mute, open=unreadable),))
    with pytest.raises(RecipeError, match="lost: no scan could be read"):
        evaluate(assistant, lost, tmp_path / "out", tasks=("report",), skip_unreadable=True)
