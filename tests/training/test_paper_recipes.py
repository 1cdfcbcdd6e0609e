"""Every recipe of the papers: what it draws from files in the data sets' real layouts."""

from __future__ import annotations

import json
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from typer.testing import CliRunner

from napari_ct_assistant.cli import app
from napari_ct_assistant.model.processor import VolumeLanguageProcessor
from napari_ct_assistant.report_text.questions import FINDING_QUESTION, SCAN_REPORT_QUESTION
from napari_ct_assistant.training.config.bundled import RECIPES, bundled_recipes, copy_recipe
from napari_ct_assistant.training.config.load import load_recipe
from napari_ct_assistant.training.config.recipe import Recipe
from napari_ct_assistant.training.data.datasets.read_records import read_records
from napari_ct_assistant.training.data.stores import open_store
from napari_ct_assistant.training.instructions.generate import write_templates
from napari_ct_assistant.training.instructions.rows import GeneratedQuestion, GeneratedRow, append
from napari_ct_assistant.training.sequences.conversation_dataset import ConversationDataset
from napari_ct_assistant.training.sequences.store_conversations import StoreConversations
from napari_ct_assistant.training.sequences.taught import taught_questions
from tests.tiny_model import tiny_model
from tests.training.data.datasets import layouts

TURNS = 2000
DIAGNOSIS = FINDING_QUESTION.split("{finding}", maxsplit=1)[0]
REGION = "please provide a detailed caption outlining the findings in "
PAPERS = [
    source
    for source in bundled_recipes()
    if source.name.split("/")[0] in ("e3d_gpt", "m3d", "radfm", "vit3d_llama3")
]
# Of own scans, or without questions.
OWN = ("e3d_gpt/align", "e3d_gpt/instruct", "e3d_gpt/ground")
TALKING = [
    source.name
    for source in PAPERS
    if source.values["stage"] in ("align", "instruct") and source.name not in OWN
]
# Reports to reports and questions, from E3D-GPT's Table 1.
REPORTS = {"ct_rate": 47_149 / (47_149 + 713_150), "bimcv_r": 6_766 / (6_766 + 89_243)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data sets in folders of the recipes' names, with 20 questions a scan in each."""
    tmp_path = tmp_path_factory.mktemp("papers")
    root = layouts.write_ct_rate(tmp_path / "CT-RATE")
    file = root / "dataset/vqa/train_vqa.json"
    items = json.loads(file.read_text())
    asked = [i for i in items if i["id"].split("_")[0] in ("long", "short", "multiple")]
    copies = 20 * 4 // len(asked)  # of four volumes, one of which is no chest
    for number in range(copies):
        for item in asked:
            copy = json.loads(json.dumps(item))
            copy["conversations"][0]["value"] = f"{number}. {item['conversations'][0]['value']}"
            items.append(copy)
    file.write_text(json.dumps(items))
    layouts.write_amos_mm(tmp_path / "AMOS-MM")
    layouts.write_bimcv_r(tmp_path / "BIMCV-R")
    write_questions(tmp_path / "BIMCV-R")
    rows = "".join(f"{number}.nii.gz\n" for number in range(5))
    (tmp_path / "scans.csv").write_text(f"image\n{rows}")
    return tmp_path


@pytest.fixture
def data_sets(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data sets where the recipes look for them."""
    monkeypatch.chdir(folder)
    return folder


def write_questions(root: Path) -> None:
    """Questions of every kind, as a language model writes them."""
    file = root / "questions.jsonl"
    options = [f"data.root={root}", "data.split=all"]
    records, _ = read_records(load_recipe("e3d_gpt/bimcv_r/mae", options).data)
    assert write_templates(records, ["free", "yes_no"], file).written
    for record in records:
        questions = [
            GeneratedQuestion(question=f"Is it number {n}?", answer="No.", kind="yes_no")
            for n in range(10)
        ]
        questions += [
            GeneratedQuestion(
                question=f"Which is number {n}?",
                answer="this",
                kind="multiple_choice",
                choices=("this", "that"),
            )
            for n in range(10)
        ]
        append(
            file,
            GeneratedRow(
                key="1",
                dataset=record.dataset,
                name=record.name,
                model="some",
                questions=tuple(questions),
            ),
        )


def kind(question: str) -> str:
    """Return what a question asks for."""
    if question.startswith(REGION):
        return question.removeprefix(REGION).split()[0]
    if question == SCAN_REPORT_QUESTION:
        return "report"
    if question.startswith(DIAGNOSIS):
        return "diagnosis"
    return "choice" if " Choices: A. " in question else "other"


def source_of(name: str) -> tuple[Recipe, StoreConversations]:
    """Return a recipe and what it asks about the data sets' scans."""
    family = name.partition("/")[0]
    preset = {"m3d": "vit3d_llama3"}.get(family, family)
    recipe = load_recipe(name, [f"encoder={{preset: {preset}}}", f"training.samples={TURNS}"])
    return recipe, StoreConversations(open_store(recipe), recipe.conversation)


@cache
def draw(name: str) -> tuple[str, ...]:
    """Return the questions of a recipe's first turns; the data sets must be there."""
    recipe, source = source_of(name)
    dataset = ConversationDataset(
        source, tiny_model()[1], recipe.conversation, recipe.training, recipe.seed
    )
    turns = [dataset.drawn(k)[1] for k in range(TURNS)]
    assert all(len(one) == 1 for one in turns)
    return tuple(one[0].question for one in turns)


@pytest.mark.parametrize("name", TALKING)
def test_a_recipe_draws_its_papers_mixture(name: str, data_sets: Path) -> None:
    drawn = draw(name)
    found = Counter(map(kind, drawn))
    assert sum(found.values()) == TURNS
    assert not found["diagnosis"], "Table 4 is of unseen questions"
    if name.startswith("vit3d_llama3"):
        assert found.keys() == {
            "mrg": {"abdomen", "pelvis"},
            "baseline": {"abdomen", "pelvis"},
            "vqa": {"choice"},
            "baseline_vqa": {"choice"},
            # CT-RATE's reports are of the chest.
            "ct_rate": {"chest", "abdomen", "pelvis"},
        }.get(name.split("/")[1])
        return
    data = "ct_rate" if "/ct_rate/" in name else "bimcv_r"
    assert found["report"] / TURNS == pytest.approx(REPORTS[data], abs=0.005)
    assert found["choice"] > TURNS / 4
    assert found["other"] > TURNS / 4


@pytest.mark.parametrize("name", TALKING)
def test_the_saved_processor_asks_what_was_drawn(
    name: str, data_sets: Path, tmp_path: Path
) -> None:
    recipe, source = source_of(name)
    drawn = draw(name)
    kinds = Counter(map(kind, drawn))
    trained = tiny_model()[1]
    trained.follow_up, trained.region_form = " {question}", "{region} {question}"
    asked = source.store.report_questions(recipe.conversation)
    taught_questions(source, asked).keep_in(trained)
    trained.save_pretrained(tmp_path)
    saved = VolumeLanguageProcessor.from_pretrained(tmp_path)
    reports = {question for question in drawn if kind(question) not in ("choice", "other")}
    assert set(saved.report_questions.values()) == reports
    assert saved.finding_question == ""
    assert bool(saved.choices_form) == bool(kinds["choice"])
    assert saved.follow_up is None
    assert saved.region_form is None
    untaught = {"report"} if not reports else set()
    untaught |= {"finding"}
    untaught |= {"choice"} if not kinds["choice"] else set()
    untaught |= {"question"} if not kinds["other"] else set()
    assert set(saved.untaught) == untaught


def test_the_papers_tables_have_their_recipes() -> None:
    names = {source.name for source in PAPERS}
    kinds = "convolution global_qformer local_qformer mlp_mixer average_pooling max_pooling"
    wanted = {f"e3d_gpt/{d}/{s}" for d in REPORTS for s in ("mae", "align", "instruct")}
    wanted |= {
        f"{paper}/{d}/{s}"
        for paper in ("m3d", "radfm")
        for d in REPORTS
        for s in ("align", "instruct")
    }
    wanted |= {f"e3d_gpt/perceivers/{k}/{s}" for k in kinds.split() for s in ("align", "instruct")}
    wanted |= {"e3d_gpt/several/mae"}
    wanted |= {f"vit3d_llama3/{n}" for n in ("mrg", "vqa", "baseline", "baseline_vqa", "ct_rate")}
    assert wanted <= names


def test_the_autoencoder_has_all_training_scans_and_no_other(data_sets: Path) -> None:
    records = {d: read_records(load_recipe(f"e3d_gpt/{d}/mae").data)[0] for d in REPORTS}
    assert len(records["ct_rate"]) == 3
    everyone, _ = read_records(load_recipe("e3d_gpt/bimcv_r/mae", ["data.split=all"]).data)
    assert 0 < len(records["bimcv_r"]) < len(everyone) == 12
    together, _ = read_records(load_recipe("e3d_gpt/several/mae").data)
    own = [record for record in together if record.dataset.startswith("table")]
    assert {r.name for r in together} - {r.name for r in own} == {
        record.name for part in records.values() for record in part
    }
    assert own
    assert {record.split for record in together} == {"train"}


@pytest.mark.parametrize("stage", ["align", "instruct"])
def test_each_stage_starts_from_the_one_before(stage: str) -> None:
    written = {source.name: load_recipe(source.name).folder for source in PAPERS}
    for name in TALKING:
        if not name.endswith(f"/{stage}"):
            continue
        recipe = load_recipe(name)
        start = recipe.model if stage == "instruct" else recipe.encoder and recipe.encoder.start
        assert start is not None
        if start in (Path("m3d_clip"), Path("radfm")):
            continue  # imported
        assert recipe.path(start) in written.values(), name


def test_the_compared_models_differ_only_in_encoder_and_perceiver() -> None:
    """ "For a fair comparison, all methods use Vicuna 7B as the language model.\""""
    for data in REPORTS:
        for stage in ("align", "instruct"):
            ours = load_recipe(f"e3d_gpt/{data}/{stage}")
            for paper in ("m3d", "radfm"):
                theirs = load_recipe(f"{paper}/{data}/{stage}")
                for key in ("model", "lora", "training", "conversation", "prompt"):
                    assert getattr(ours, key) == getattr(theirs, key), (paper, key)
                assert theirs.data.kind == data


def test_vicuna_is_asked_with_its_system_sentence() -> None:
    recipe = load_recipe("e3d_gpt/ct_rate/align")
    assert recipe.prompt == (
        "A chat between a curious user and an artificial intelligence assistant. The assistant "
        "gives helpful, detailed, and polite answers to the user's questions. USER: {image}\n"
        "{question} ASSISTANT:"
    )


@pytest.mark.parametrize("name", [source.name for source in PAPERS])
def test_every_line_says_where_it_comes_from(name: str, tmp_path: Path) -> None:
    file = RECIPES / f"{name}.yaml"
    lines = file.read_text().splitlines()
    head = "\n".join(line for line in lines if line.startswith("#"))
    if not any(line.startswith("like:") for line in lines):
        for launcher in (
            "torchrun --nproc-per-node",
            "torchrun --nnodes",
            "--config_file fsdp2.yaml",
        ):
            assert launcher in head
    for number, line in enumerate(lines):
        group = line.rstrip().endswith(":")
        if not line.strip() or line.lstrip()[0] == "#" or group or lines[number - 1][-1:] == "\\":
            continue
        said = (line.partition(" # ")[2] or lines[number - 1]).lower()
        words = ("paper", "code", "our choice", "not stated", "states neither")
        assert any(word in said for word in words), line
    copy_recipe(name, tmp_path / "own.yaml")
    assert load_recipe(tmp_path / "own.yaml") == load_recipe(name)
    copied = (tmp_path / "own.yaml").read_text()
    assert copied.startswith(file.read_text())
    # The values that it takes from another recipe are there to be read.
    assert "learning_rate:" in copied


def test_questions_are_made_with_the_recipe_that_will_read_them(
    data_sets: Path, tmp_path: Path
) -> None:
    out = tmp_path / "questions.jsonl"
    command = ["instructions", "e3d_gpt/bimcv_r/align", str(out), f"data.questions=[{out}]"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.stderr
    recipe = load_recipe("e3d_gpt/bimcv_r/align", [f"data.questions=[{out}]"])
    assert all(record.questions for record in read_records(recipe.data)[0])
