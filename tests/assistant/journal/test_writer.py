"""The journal is written in the background, in order, and before the program ends."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from napari_ct_assistant.assistant.journal.store import Journal
from napari_ct_assistant.assistant.journal.writer import JournalWriter

SCAN, OTHER = "a" * 64, "b" * 64


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "new" / "journal.sqlite")


def test_the_writer_keeps_the_order_and_skips_what_is_overtaken(journal: Journal) -> None:
    writer = JournalWriter(journal)
    saved: list[object] = []
    keep = journal.save
    hold = threading.Event()
    writer.call(lambda: hold.wait(10) and None)

    def counted(scan: str, body: dict[str, object]) -> None:
        saved.append(body["n"])
        keep(scan, body)

    journal.save = counted  # type: ignore[method-assign]
    for n in range(100):
        writer.save(SCAN, {"n": n})
    seen: list[object] = []
    writer.call(lambda: seen.append(journal.load(SCAN)))
    hold.set()
    assert writer.flush()
    assert saved[-1] == 99
    assert len(saved) <= 2
    assert seen[0].body == {"n": 99}  # type: ignore[attr-defined]


def test_the_writer_tells_of_trouble_once_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    path.mkdir()
    told: list[str] = []
    writer = JournalWriter(Journal(path), told.append)
    for n in range(3):
        writer.save(SCAN, {"n": n})
        assert writer.flush()
    assert len(told) == 1
    assert "cannot be used" in told[0]
    path.rmdir()
    writer.save(SCAN, {"n": 9})
    assert writer.flush()
    page = writer.journal.load(SCAN)
    assert page is not None
    assert page.body == {"n": 9}


def test_what_was_asked_before_the_program_ends_is_written(tmp_path: Path) -> None:

    code = (
        "import sys; from pathlib import Path\n"
        "from napari_ct_assistant.assistant.journal.store import Journal\n"
        "from napari_ct_assistant.assistant.journal.writer import JournalWriter\n"
        "JournalWriter(Journal(Path(sys.argv[1]))).save('a', {'question': 'last words'})"
    )
    path = tmp_path / "journal.sqlite"
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, timeout=60)
    page = Journal(path).load("a")
    assert page is not None
    assert page.body == {"question": "last words"}
