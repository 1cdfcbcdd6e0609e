"""What an evil model folder or template may take before it is refused: 2 s and 500 MB."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.tiny_model import save_tiny_model

SECONDS = 2.0
MEMORY_MB = 500.0

# Prints for each path what was raised, the processor time, and by how much the peak of memory rose.
VICTIM = """
import json, resource, sys, time
from pathlib import Path
from napari_ct_assistant.assistant.report.template import read_template
from napari_ct_assistant.model.folder import check_folder
for path in map(Path, sys.argv[1:]):
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    try:
        check_folder(path, path.name) if path.is_dir() else read_template(path)
        said = ""
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
    taken = time.process_time() - start
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(json.dumps([said, taken, memory]))
"""


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_model(tmp_path_factory.mktemp("sound") / "model", learned=False)


def words(folder: Path) -> None:
    """Give the tokenizer three million words, in as few bytes as they can take."""
    file = folder / "tokenizer.json"
    content = json.loads(file.read_text())
    content["model"]["vocab"] = {}
    text = json.dumps(content, separators=(",", ":"))
    many = ",".join(f'"{n:x}":0' for n in range(3_000_000))
    file.write_text(text.replace('"vocab":{}', f'"vocab":{{{many}}}'))


def setting(file: str, *way: str, value: Any) -> Callable[[Path], None]:
    """Return what puts a value into a settings file."""

    def change(folder: Path) -> None:
        content = json.loads((folder / file).read_text())
        holder = content
        for key in way[:-1]:
            holder = holder[key]
        holder[way[-1]] = value
        (folder / file).write_text(json.dumps(content))

    return change


def pipe(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    os.mkfifo(folder / "tokenizer.json")


ATTACKS: dict[str, tuple[Callable[[Path], None], str]] = {
    "3 million words": (words, "more than 1000000 entries"),
    "1e9 layers": (
        setting("config.json", "text_config", "num_hidden_layers", value=10**9),
        "num_hidden_layers is 1000000000",
    ),
    "NaN spacing": (
        setting("processor_config.json", "spacing", value=[float("nan"), 1, 1]),
        "says NaN",
    ),
    "format bomb": (
        setting("processor_config.json", "finding_question", value="{finding:>100000000}"),
        "which nothing fills",
    ),
    "deep nesting": (
        setting("config.json", "x", value=json.loads("[" * 500 + "]" * 500)),
        "nested more than 40 deep",
    ),
    "pattern": (
        setting("tokenizer.json", "pre_tokenizer", value={"pattern": {"Regex": "(a|aa)+$"}}),
        "endless time",
    ),
    "pipe": (pipe, "not an ordinary file"),
}


def aliases(path: Path) -> Path:
    """Write a template whose aliases stand for gigabytes."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 4000)]
    path.write_text("\n".join(lines)[:180_000])
    return path


@pytest.mark.skipif(sys.platform == "win32", reason="no pipes and no peak of memory there")
def test_attacks_are_refused_cheaply(sound: Path, tmp_path: Path) -> None:
    paths, messages = [aliases(tmp_path / "evil.yaml")], ["evil.yaml line 2: "]
    for name, (change, message) in ATTACKS.items():
        paths.append(tmp_path / name)
        messages.append(message)
        shutil.copytree(sound, paths[-1])
        change(paths[-1])
    done = subprocess.run(
        [sys.executable, "-c", VICTIM, *map(str, paths)],
        capture_output=True,
        text=True,
        timeout=200,
        check=True,
    )
    for path, message, line in zip(paths, messages, done.stdout.splitlines(), strict=True):
        said, seconds, memory = json.loads(line)
        print(f"{path.name}: {seconds:.2f} s, {memory:.0f} MB: {said[:90]}")
        assert said.split(":")[0] in ("ModelLoadError", "TemplateError")
        assert path.name in said
        assert message in said
        assert "\n" not in said
        assert seconds < SECONDS
        assert memory < MEMORY_MB
