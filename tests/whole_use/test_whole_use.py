"""Reading a scan opens no connection, and nothing that it writes names the patient."""

from __future__ import annotations

import json
import os
import re
import stat
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pypdf import PdfReader

from napari_ct_assistant.assistant.export import FORMATS
from tests.volume.samples import save_series

# What stands in the scan's header and in the folders above it.
HEADER = {
    "PatientName": "Quagmyre^Ottoline",
    "PatientID": "PID83617Q",
    "PatientBirthDate": "19430913",
    "AccessionNumber": "ACC55120X",
    "StudyDate": "20171103",
    "StudyInstanceUID": "1.2.826.0.1.990137.1",
    "InstitutionName": "Zwettlburg Hospital",
    "ReferringPhysicianName": "Brandhofen^Ida",
    "StudyDescription": "Staging Quagmyre",
}
SERIES = "Thorax Quagmyre 83617Q"
FOLDER = "Quagmyre_Ottoline_19430913"
PERSONAL = re.compile(
    "quagmyre|ottoline|83617q|19430913|1943-09-13|acc55120x|20171103|2017-11-03|990137"
    "|zwettlburg|brandhofen",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class WholeUse:
    """What came of the run: its record, its two streams, and every folder that it could write to.

    `home` holds the home folder, the temporary files and the exports of the run.
    """

    record: dict[str, Any]
    stdout: str
    stderr: str
    home: Path

    @property
    def files(self) -> list[Path]:
        return [path for path in sorted(self.home.rglob("*")) if path.is_file()]


@pytest.fixture(scope="module")
def whole_use(tmp_path_factory: pytest.TempPathFactory, tiny_model_folder: Path) -> WholeUse:
    scan = tmp_path_factory.mktemp("archive") / FOLDER / "series"
    positions = [(0.0, 0.0, 6.0 * k) for k in range(8)]
    save_series(scan, positions, shape=(40, 48), SeriesDescription=SERIES, **HEADER)
    home = tmp_path_factory.mktemp("home")
    (home / "exports").mkdir()
    (home / "tmp").mkdir()
    places = {
        name: str(home)
        for name in ("HOME", "USERPROFILE", "APPDATA", "LOCALAPPDATA", "CT_ASSISTANT_MODELS")
    }
    places |= {
        f"XDG_{kind}_HOME": str(home / kind) for kind in ("CONFIG", "CACHE", "DATA", "STATE")
    }
    places |= {name: str(home / "tmp") for name in ("TMPDIR", "TEMP", "TMP")}
    places |= {"HF_HOME": str(home / "hub"), "CT_ASSISTANT_DATA": str(home / "journal")}
    # The product itself must stay offline, not the setting of the tests.
    environment = {name: value for name, value in os.environ.items() if name != "HF_HUB_OFFLINE"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.whole_use.run", scan, tiny_model_folder, home / "exports"],
        env=environment | places,
        cwd=Path(__file__).parents[2],
        capture_output=True,
        encoding="utf-8",
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    record = json.loads((home / "exports" / "record.json").read_text())
    (home / "exports" / "record.json").unlink()
    return WholeUse(record, done.stdout, done.stderr, home)


def test_everything_was_done(whole_use: WholeUse) -> None:
    assert set(whole_use.record["steps"]) >= {
        *("info", "report", "ask", "screen", "journal"),
        *("open", "draft", "again", "evidence", "export", "uncaught", "close"),
    }
    names = {path.name for path in whole_use.files}
    assert "journal.sqlite" in names
    assert names >= {f"{by}{known.ending}" for by in ("command", "panel") for known in FORMATS}


def test_no_connection_is_tried(whole_use: WholeUse) -> None:
    assert whole_use.record["connections"] == []


def test_nothing_is_written_elsewhere(whole_use: WholeUse) -> None:
    """So that the files in which the next test looks are all there are."""
    kept = (str(whole_use.home.resolve()), str(whole_use.home), os.devnull, "/dev/", "/proc/")
    elsewhere = [
        path
        for path in whole_use.record["written"]
        if not os.path.realpath(path).startswith(kept) and "__pycache__" not in path
    ]
    assert elsewhere == []


def test_no_file_names_the_patient(whole_use: WholeUse) -> None:
    assert whole_use.files
    for path in whole_use.files:
        assert not PERSONAL.search(str(path.relative_to(whole_use.home)))
        for text in texts(path):
            found = PERSONAL.search(text)
            assert found is None, f"{path.name}: {text[max(0, found.start() - 60) :][:160]!r}"


def test_the_terminal_does_not_name_the_patient(whole_use: WholeUse) -> None:
    # `info` shows the description of the series, which is what it was asked for.
    out = whole_use.stdout.replace(SERIES, "")
    for text in (out, whole_use.stderr):
        found = PERSONAL.search(text)
        assert found is None, text[max(0, found.start() - 200) :][:400]


def test_an_uncaught_exception_shows_no_text_of_the_report(whole_use: WholeUse) -> None:
    output = whole_use.stdout + whole_use.stderr
    assert "ZeroDivisionError" in output
    assert "a fault" in output
    assert "probability=" not in output  # the result that the listener was given


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other permissions")
def test_text_about_a_scan_can_be_read_by_its_owner_only(whole_use: WholeUse) -> None:
    journal = whole_use.home / "journal"
    assert stat.S_IMODE(journal.stat().st_mode) == 0o700
    private = [*journal.iterdir(), *(whole_use.home / "exports").iterdir()]
    assert len(private) > 2 * len(FORMATS)
    for path in private:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path.name


def texts(path: Path) -> list[str]:
    """Return the content of a file in the encodings that text may have, unpacked."""
    contents = [path.read_bytes()]
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as packed:
            contents += [packed.read(name) for name in packed.namelist()]
    found = [data.decode(encoding, "ignore") for data in contents for encoding in ENCODINGS]
    if path.suffix == ".pdf":
        reader = PdfReader(path)
        found += [page.extract_text() for page in reader.pages] + [str(reader.metadata)]
    return found


ENCODINGS = ("utf-8", "utf-16-le", "utf-16-be")
