"""The house stands: a floor imports only from itself and those below."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = "napari_ct_assistant"
FOLDERS = {PACKAGE: ROOT / "src" / PACKAGE, f"{PACKAGE}.training": ROOT / "training"}

WINDOWS = {"magicgui", "napari", "npe2", "qtpy", "superqt", "vispy"}
NETWORKS = {
    "accelerate",
    "huggingface_hub",
    "peft",
    "safetensors",
    "tokenizers",
    "torch",
    "transformers",
}
BINDINGS = {"PyQt5", "PyQt6", "PySide2", "PySide6"}

# From the lowest floor up: a floor imports from itself and any below.
# Beside each: the libraries that it may not import.
LADDER = {
    "support": WINDOWS | NETWORKS | {"typer"},
    "volume": WINDOWS | NETWORKS | {"typer"},
    "report_text": WINDOWS | NETWORKS | {"typer"},
    "phantoms": WINDOWS | NETWORKS | {"typer"},
    "model": WINDOWS | {"peft", "accelerate", "typer"},
    "backends": WINDOWS | {"peft", "typer"},
    "assistant": WINDOWS | {"accelerate", "typer"},
    "training": WINDOWS | {"typer"},
    "viewer": {"typer"},
    "commands": WINDOWS,
    "cli": WINDOWS | NETWORKS,
    "__main__": WINDOWS | NETWORKS,
}
# Neighbours on the same level, and floors that have no business with one below them.
NOT_BELOW = {
    "report_text": {"volume"},
    "viewer": {"training"},
    "__main__": set(LADDER) - {"cli", "__main__"},
    "cli": set(LADDER) - {"commands", "cli"},
}
RULES = {
    floor: (set(list(LADDER)[:level]) - NOT_BELOW.get(floor, set()), forbidden)
    for level, (floor, forbidden) in enumerate(LADDER.items())
}


def modules() -> Iterator[tuple[str, Path]]:
    """Yield each module of the package: its dotted name and file."""
    for package, folder in FOLDERS.items():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            dotted = ".".join((package, *parts))
            yield dotted.removesuffix(".__init__"), path


def imports(module: str, path: Path) -> Iterator[tuple[int, str]]:
    """Yield each import of a file as (line, absolute dotted name), wherever it stands."""
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join((*parents, base)).rstrip(".")
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)


def floor_of(dotted: str) -> str:
    """Return the floor that a dotted name of the package belongs to ("" is the package itself)."""
    return dotted.removeprefix(PACKAGE).lstrip(".").partition(".")[0]


MODULES = dict(modules())


def test_every_module_has_a_floor() -> None:
    assert {floor_of(name) for name in MODULES} - {""} == set(RULES)


@pytest.mark.parametrize("module", [name for name in MODULES if floor_of(name)])
def test_imports_stay_on_the_floor_or_below(module: str) -> None:
    floor = floor_of(module)
    below, forbidden = RULES[floor]
    wrong = []
    for line, name in imports(module, MODULES[module]):
        top = name.partition(".")[0]
        if top == PACKAGE:
            other = floor_of(name)
            # A name that is no floor (`__version__`, `open_ct`) comes from the package itself.
            if other in RULES and other != floor and other not in below:
                wrong.append(f"line {line}: {name} ({floor} may not import {other})")
        elif top in forbidden | BINDINGS:
            wrong.append(f"line {line}: {name} (not on floor {floor})")
    assert not wrong, f"{MODULES[module].name}: {'; '.join(wrong)}"


def test_no_file_imports_itself_through_others() -> None:
    """Imports inside functions and those for types alone count, too."""
    sorter = TopologicalSorter(
        {
            module: {
                name if name in MODULES else name.rpartition(".")[0]
                for _, name in imports(module, path)
                if name.startswith(PACKAGE)
            }
            for module, path in MODULES.items()
        }
    )
    try:
        sorter.prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize("module", list(MODULES))
def test_no_unsafe_loading(module: str) -> None:
    names = {name.partition(".")[0] for _, name in imports(module, MODULES[module])}
    assert not names & {"pickle", "cloudpickle", "dill", "joblib"}
    for node in ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8"))):
        if isinstance(node, ast.keyword) and node.arg == "trust_remote_code":
            assert isinstance(node.value, ast.Constant), f"line {node.lineno}"
            assert node.value.value is False, f"line {node.lineno}: runs code of a checkpoint"
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "torch.load":
            # Released checkpoints come as pickles; the import builds tensors of them and no more.
            if module == f"{PACKAGE}.model.conversion.tensors":
                assert {k.arg: ast.unparse(k.value) for k in node.keywords}[
                    "weights_only"
                ] == "True"
                continue
            pytest.fail(f"line {node.lineno}: torch.load reads pickles; weights are safetensors")


@pytest.mark.parametrize(
    "module",
    [
        "",
        ".assistant",
        ".cli",
        ".training",
        ".phantoms",
        ".report_text",
        ".support",
        ".viewer",
        ".volume",
    ],
)
def test_importing_brings_no_torch(module: str) -> None:
    """napari imports the plugin at start-up, and `--help` must answer at once."""
    code = (
        f"import sys, {PACKAGE}{module}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    loaded = set(done.stdout.split())
    assert not loaded & {"accelerate", "peft", "tokenizers", "torch", "transformers"}
    if not module.startswith(".viewer"):
        assert not loaded & (WINDOWS | BINDINGS)
    if module in {"", ".cli", ".report_text", ".support"}:
        assert not loaded & {"nibabel", "numpy", "pydicom", "scipy"}
    if module == ".volume":
        assert not loaded & {"highdicom", "imagecodecs", "SimpleITK"}


def test_folders_and_files_stay_small() -> None:
    folders = Counter(path.parent for path in MODULES.values() if path.name != "__init__.py")
    assert {f"{folder.name}: {n} modules" for folder, n in folders.items() if n > 16} == set()
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES.values()}
    assert {f"{path.name}: {n} lines" for path, n in lines.items() if n > 400} == set()


def test_architecture_names_only_what_exists() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`([a-z_]+/[a-z_/]*(?:\.py)?)`", text))
    assert named
    places = (ROOT, FOLDERS[PACKAGE])
    assert {name for name in named if not any((at / name).exists() for at in places)} == set()
