"""`report`, `ask`, `screen` and `demo` with real models: output on stdout and stderr."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from napari_ct_assistant.assistant import ModelLoadError
from napari_ct_assistant.assistant.reading.results import CUT_NOTE, STOPPED_NOTE
from napari_ct_assistant.cli import app
from napari_ct_assistant.commands import reading
from napari_ct_assistant.commands.terminal.output import CUT
from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.volume import CTVolume, write_nifti
from tests.tiny_model import NOTICE

run = CliRunner().invoke
DEMO_NOTICE = "Demonstration model trained on synthetic phantoms. Not for clinical use."


@pytest.fixture(scope="module")
def scan(small_volume: CTVolume, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the path of a small scan."""
    path = tmp_path_factory.mktemp("scan") / "scan.nii.gz"
    write_nifti(small_volume, path)
    return str(path)


@pytest.fixture(scope="module")
def tiny(tiny_model_folder: Path) -> list[str]:
    """Return the options that choose the tiny model."""
    return ["--model", str(tiny_model_folder), "--device", "cpu"]


def provenance(result: dict[str, object]) -> dict[str, object]:
    model = result["model"]
    assert isinstance(model, dict)
    return model


def test_report_streams_text_and_ends_with_the_notice(scan: str, tiny: list[str]) -> None:
    done = run(app, ["report", scan, *tiny])
    assert done.exit_code == 0, done.output
    assert "Cardiomegaly" in done.stdout
    assert done.stdout.endswith(f"\n\n{NOTICE}\n")
    assert "loading the model" in done.stderr
    assert "loading the model" not in done.stdout


def test_report_json_keeps_its_promise(scan: str, tiny: list[str]) -> None:
    done = run(app, ["report", scan, *tiny, "--json"])
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert set(result) >= {"report", "sections", "sentences", "model", "seconds"}
    assert set(result["sections"]) == {"Findings", "Impression"}
    for sentence in result["sentences"]:
        assert set(sentence) >= {"text", "support", "slice", "ras"}
        # `slice` counts from 0 as ever; people count images from 1.
        index = sentence["slice"]
        assert sentence["image_number"] == (None if index is None else index + 1)
        # A NIfTI file knows no DICOM numbers.
        assert sentence["instance_number"] is None
        assert sentence["frame_number"] is None
        assert sentence["text"] in result["report"]
    model = provenance(result)
    assert model["name"] == "tiny-model"
    assert len(str(model["weights_sha256"])) == 64
    assert model["trained_on"] == "nothing"
    assert model["notice"] == NOTICE
    assert all(seconds >= 0 for seconds in result["seconds"].values())


def test_words_and_json_say_the_same(scan: str, tiny: list[str]) -> None:
    words = run(app, ["report", scan, *tiny]).stdout.removesuffix(f"\n\n{NOTICE}\n")
    drafted = json.loads(run(app, ["report", scan, *tiny, "--json"]).stdout)["report"]
    assert words.split() == drafted.split()


def test_ask_json_keeps_its_promise(scan: str, tiny: list[str]) -> None:
    done = run(app, ["ask", scan, "Does this image show signs of emphysema?", *tiny, "--json"])
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert result["answer"] == "No."
    assert 0 < result["seconds"]["first_token"] <= result["seconds"]["total"]
    assert provenance(result)["name"] == "tiny-model"


def test_ask_in_words(scan: str, tiny: list[str]) -> None:
    done = run(app, ["ask", scan, "Does this image show signs of emphysema?", *tiny])
    assert done.stdout == f"No.\n\n{NOTICE}\n"


def test_screen_gives_the_18_findings_in_order(scan: str, tiny: list[str]) -> None:
    done = run(app, ["screen", scan, *tiny, "--json"])
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert [finding["name"] for finding in result["findings"]] == list(FINDINGS)
    assert all(0 <= finding["probability"] <= 1 for finding in result["findings"])
    assert provenance(result)["name"] == "tiny-model"
    words = run(app, ["screen", scan, *tiny]).stdout
    assert [line[:36].strip() for line in words.splitlines()[:18]] == list(FINDINGS)
    assert words.endswith(f"\n\n{NOTICE}\n")


def test_ctrl_c_keeps_what_was_drafted(
    scan: str, tiny: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal at the first piece of text stops the model after that piece."""
    pieces: list[str] = []
    write = reading.write

    def interrupted(piece: str) -> None:
        write(piece)
        pieces.append(piece)
        if len(pieces) == 1:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(reading, "write", interrupted)
    whole = run(app, ["report", scan, *tiny, "--json"])
    before = signal.getsignal(signal.SIGINT)
    done = run(app, ["report", scan, *tiny])
    assert signal.getsignal(signal.SIGINT) == before
    assert done.exit_code == 130
    assert done.stdout.startswith(pieces[0])
    end = f"\n\n{STOPPED_NOTE}\n\n{NOTICE}\n"
    assert done.stdout.endswith(end)
    assert len(done.stdout.removesuffix(end)) < len(json.loads(whole.stdout)["report"])
    assert done.stderr.splitlines()[-1] == "stopped: the text drafted so far is above"


def test_a_reading_opens_no_connection(
    scan: str, tiny: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a reading opened a network connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    for verb in (["report", scan], ["ask", scan, "Where?"], ["screen", scan]):
        done = run(app, [*verb, *tiny])
        assert done.exit_code in (0, CUT), done.output


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--model", "nobody/nothing"], "nobody/nothing"),
        (["--device", "tricorder"], "demo: device tricorder"),
        (["--device", "cuda:99"], "demo: device cuda:99"),
        (["--device", "cpu", "--device-map", "auto"], "--device cpu and --device-map auto exclude"),
    ],
)
def test_a_model_that_cannot_be_had_gets_one_line(options: list[str], said: str, scan: str) -> None:
    done = run(app, ["ask", scan, "Where?", *options])
    assert done.exit_code == 1, done.exception
    assert done.stdout == ""
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: ")
    assert said in last
    assert "Traceback" not in done.stderr
    assert isinstance(done.exception, SystemExit)
    assert issubclass(ModelLoadError, ValueError)


def test_an_empty_question_is_refused(scan: str) -> None:
    done = run(app, ["ask", scan, "  "])
    assert done.exit_code == 1
    assert "the question is empty" in done.stderr


def without_a_display() -> dict[str, str]:
    hidden = {"DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM"}
    return {name: value for name, value in os.environ.items() if name not in hidden}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has desktops without a display")
def test_demo_drafts_in_the_terminal_where_no_display_is() -> None:
    """The README's first command on a server: bundled model, phantom, no window."""
    done = subprocess.run(
        [sys.executable, "-m", "napari_ct_assistant", "demo"],
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
        env=without_a_display(),
    )
    assert done.returncode == 0, done.stderr
    assert "no window can open here (" in done.stderr
    assert "DISPLAY" in done.stderr
    assert "Findings:" in done.stdout
    assert "findings in this phantom: Cardiomegaly" in done.stderr
    assert done.stdout.endswith(f"{DEMO_NOTICE}\n")


def test_demo_on_a_scan_of_ones_own(scan: str, tiny: list[str]) -> None:
    done = run(app, ["demo", scan, "--terminal", *tiny])
    assert done.exit_code == 0, done.output
    assert "Cardiomegaly" in done.stdout
    assert "phantom" not in done.stderr


def test_demo_model_labels_every_result(scan: str) -> None:
    for verb in (["report", scan], ["ask", scan, "Is there a pleural effusion?"], ["screen", scan]):
        assert DEMO_NOTICE in run(app, verb).stdout
        result = json.loads(run(app, [*verb, "--json"]).stdout)
        assert provenance(result)["notice"] == DEMO_NOTICE
        assert "phantom" in str(provenance(result)["trained_on"])


def test_demo_model_reads_real_scans(shared_data: Path) -> None:
    done = run(app, ["report", str(shared_data / "abdomen_ts" / "example_ct.nii.gz"), "--json"])
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert result["report"]
    # The phantoms that it was trained on contain no abdomen.
    assert result["warnings"]


def test_precision_of_choice(scan: str, tiny: list[str]) -> None:
    done = run(app, ["ask", scan, "Where?", *tiny, "--dtype", "bf16", "--json"])
    # What random weights write, and whether it ends, depends on the versions of the libraries.
    assert done.exit_code in (0, CUT), done.output
    assert json.loads(done.stdout)["answer"]
    wrong = run(app, ["ask", scan, "Where?", *tiny, "--dtype", "int7"])
    assert wrong.exit_code == 2  # a usage error, which lists the valid values
    assert "bf16" in wrong.stderr


def test_no_quantization_library_gets_one_line(
    scan: str, tiny: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_ct_assistant.backends.loading import quantization

    monkeypatch.setattr(quantization, "find_spec", lambda name: name == "accelerate" or None)
    done = run(app, ["report", scan, *tiny, "--quantize", "4bit"])
    assert done.exit_code == 1
    assert "4bit weights need a quantization library: pip install" in done.stderr.splitlines()[-1]


def test_a_model_that_does_not_fit_is_told_the_options(
    scan: str, tiny: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_ct_assistant.backends.loading import memory

    monkeypatch.setattr(memory, "free_bytes", lambda _: 600_000)
    done = run(app, ["screen", scan, *tiny])
    assert done.exit_code == 1
    last = done.stderr.splitlines()[-1]
    assert "GB are free" in last
    assert "load it with --dtype bf16" in last


def test_a_cut_draft_does_not_look_whole(
    scan: str, tiny_model_folder: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(tiny_model_folder, tmp_path / "short")
    file = folder / "processor_config.json"
    settings = json.loads(file.read_text())
    file.write_text(json.dumps(settings | {"max_new_tokens": 5}))
    short = ["--model", str(folder), "--device", "cpu"]
    done = run(app, ["report", scan, *short])
    assert done.exit_code == CUT
    assert CUT_NOTE in done.stdout
    assert CUT_NOTE in done.stderr
    as_json = run(app, ["report", scan, *short, "--json"])
    assert as_json.exit_code == CUT
    assert json.loads(as_json.stdout)["incomplete"] == CUT_NOTE
