"""Damage report templates and journals at random and read them.

    python -m tests.assistant.fuzz [--count 4000] [--seed 0]

A template becomes a template or a TemplateError; a journal is read, or set aside with one line,
and takes a new page afterwards. Nothing else may happen, nor take longer than 2 s or 100 MB.
"""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
import sys
import warnings
from pathlib import Path
from typing import Any

from napari_ct_assistant.assistant.journal.store import FILE, Journal, JournalError
from napari_ct_assistant.assistant.report.document import ReportDocument
from napari_ct_assistant.assistant.report.template import (
    TemplateError,
    find_template,
    read_template,
    template_files,
)
from tests.assistant.report.report_samples import sample_draft
from tests.fuzzing import Outcome, Run, judge, main
from tests.model.damage import VALUES, places
from tests.volume.damage import damaged_bytes

SECONDS = 2.0
MEMORY = 100 << 20
SCAN = "0" * 64
_PIECES = (
    "&a [*a, *a]", "*a", "&a", "{", "}", "[", "- ", "  ", "\t", ": ", "!!python/object:os.system x",
    "!!binary ///", "? ", "| ", "> ", "#", "'", '"', "{slices:>100000000}", "{0}", "{unknown}",
    "name: x\n", "key: findings\n", "x" * 50_000, "[" * 3000, "\0", "\ufeff", "<<: *a", "~", "0",
)  # fmt: skip


def body() -> dict[str, Any]:
    """Return a page as the panel saves it."""
    report = ReportDocument.from_draft(sample_draft(), find_template(), None)
    messages = [
        {"speaker": "you", "title": "You", "text": "Is there an effusion?", "complete": True},
        {"speaker": "model", "title": "demo", "text": "There is", "complete": False},
    ]
    page = {"report": report.to_json(), "transcript": messages, "question": "And"}
    return dict(json.loads(json.dumps(page)))


def prepare(folder: Path, seed: int) -> Run:
    """Make the sound template and journal; return what takes a case."""
    warnings.simplefilter("ignore", ResourceWarning)
    templates = [path.read_text() for path in template_files(bundled=True)]
    page = body()
    sound = Journal(folder / "sound" / FILE)
    for n in range(3):
        sound.save(f"{n}" * 64, page)
    sound.close()

    def run(case: int, place: Path) -> Outcome:
        rng = random.Random(seed * 1_000_003 + case)
        if case % 2:
            return _journal(folder / "sound", page, rng, place)
        return _template(rng.choice(templates), rng, place)

    return run


def _template(text: str, rng: random.Random, place: Path) -> Outcome:
    path = place / "mine.yaml"
    if rng.random() < 0.4:
        path.write_bytes(damaged_bytes(text.encode(), rng))
    else:
        lines = text.split("\n")
        for _ in range(rng.choice((1, 1, 2, 5))):
            k = rng.randrange(len(lines))
            at = rng.randrange(len(lines[k]) + 1)
            match rng.randrange(4):
                case 0:
                    lines[k] = lines[k][:at] + rng.choice(_PIECES) + lines[k][at:]
                case 1:
                    lines[k] = lines[k][:at]
                case 2:
                    lines.insert(k, lines[rng.randrange(len(lines))])
                case _:
                    lines[k] = "  " * rng.randrange(9) + lines[k].strip()
        path.write_text("\n".join(lines), errors="surrogatepass")

    def read() -> str:
        template = read_template(path)
        ReportDocument.blank(template, None)
        ReportDocument.from_draft(sample_draft(), template, None)
        return ""

    return judge("template", read, TemplateError, begins="mine.yaml", seconds=SECONDS,
                 memory=MEMORY)  # fmt: skip


def _journal(sound: Path, page: dict[str, Any], rng: random.Random, place: Path) -> Outcome:
    shutil.copytree(sound, place / "data")
    path = place / "data" / FILE
    if rng.random() < 0.5:
        kind = "journal's bytes"
        path.write_bytes(damaged_bytes(path.read_bytes(), rng))
    else:
        kind = "journal's pages"
        _change_pages(path, page, rng)
    told: list[str] = []

    def read() -> str:
        journal = Journal(path)
        journal.on_damage = told.append
        try:
            for found in [*journal.pages(), journal.load("1" * 64)]:
                if found is not None:
                    _use(found.body, found.text, found.updated)
            journal.save(SCAN, page)
            kept = journal.load(SCAN)
            journal.delete("1" * 64)
        finally:
            journal.close()
        if kept is None or kept.body != page:
            return "the new page is not what was saved"
        return "" if all("\n" not in line for line in told) else f"told {told}"

    return judge(kind, read, JournalError, begins=f"the journal {FILE}", seconds=SECONDS,
                 memory=MEMORY)  # fmt: skip


def _use(content: dict[str, Any], text: str, updated: float) -> None:
    if not isinstance(text, str) or not isinstance(updated, float):
        raise TypeError(f"{type(text)}, {type(updated)}")
    if content.get("report"):
        try:
            ReportDocument.from_json(content["report"])
        except ValueError:
            return


def _change_pages(path: Path, page: dict[str, Any], rng: random.Random) -> None:
    """Let a page hold other values, or values of another type."""
    changed = json.loads(json.dumps(page))
    for _ in range(rng.choice((1, 2, 4))):
        *way, last = rng.choice(places(changed))
        holder = changed
        try:
            for key in way:
                holder = holder[key]
            if rng.random() < 0.3:
                del holder[last]
            else:
                holder[last] = rng.choice(VALUES)
        except (KeyError, IndexError, TypeError):
            continue
    text: Any = json.dumps(changed).encode("utf-8", "surrogatepass").decode("utf-8", "replace")
    values = rng.choice((
        (1.0, text), (1.0, text), (1.0, text), (1.0, text[: rng.randrange(len(text))]),
        ("x", text), (1e300, text), (-1e300, text), (1.0, b"\xff\xfe"), (1.0, 5), (b"x", 0.5),
        (1.0, "[" * 100_000), (1.0, "[]"), (1.0, "null"),
    ))  # fmt: skip
    base = sqlite3.connect(path)
    base.execute("UPDATE pages SET updated = ?, body = ? WHERE scan = ?", (*values, "1" * 64))
    base.commit()
    base.close()


if __name__ == "__main__":
    sys.exit(main(prepare, "damaged templates and journals", 4000))
