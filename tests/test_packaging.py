"""What a user installs is whole: the wheel, the manifest, the pins, the README's words."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib import import_module
from importlib.metadata import entry_points, metadata, packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import napari_ct_assistant

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MB = 1024 * 1024


@pytest.fixture(scope="session")
def tracked() -> list[Path]:
    """Return the files of the project as git knows them, relative to its root."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout: the project's own files cannot be told from others")
    listed = subprocess.run(
        ["git", "-c", f"safe.directory={ROOT}", "ls-files", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [Path(name) for name in listed.stdout.split("\0") if name and (ROOT / name).exists()]


@pytest.fixture(scope="session")
def wheel(tracked: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from the tracked files alone, as a clone has them."""
    source = tmp_path_factory.mktemp("source")
    for name in tracked:
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, source / name)
    out = tmp_path_factory.mktemp("wheel")
    build = (
        "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", build, str(out)],
        cwd=source,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (built,) = out.glob("*.whl")
    return built


def test_wheel_holds_every_module_and_data_file(wheel: Path, tracked: list[Path]) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    wanted = {
        name.as_posix().removeprefix("src/")
        for name in tracked
        if name.is_relative_to("src") and not name.name.startswith(".")
    } | {
        f"napari_ct_assistant/{name.as_posix()}" for name in tracked if name.parts[0] == "training"
    }
    assert {"napari_ct_assistant/napari.yaml", "napari_ct_assistant/py.typed"} <= wanted
    assert wanted - names == set(), "in the project but not in the wheel"
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_wheel_holds_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.partition("/")[0] for name in archive.namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"napari_ct_assistant"}


def test_bundled_weights_are_small_and_described(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        bundled = {
            item.filename.rpartition("/")[2]: item.file_size
            for item in archive.infolist()
            if item.filename.startswith("napari_ct_assistant/bundled/demo/")
        }
    assert {"config.json", "README.md", "model.safetensors"} <= set(bundled)
    assert sum(size for name, size in bundled.items() if name.endswith("safetensors")) <= 25 * MB
    assert wheel.stat().st_size <= 28 * MB


def test_entry_points_lead_somewhere() -> None:
    (command,) = (ep for ep in entry_points(group="console_scripts") if ep.name == "ct-assistant")
    assert callable(command.load())
    manifests = {ep.name: ep.value for ep in entry_points(group="napari.manifest")}
    assert manifests["napari-ct-assistant"] == "napari_ct_assistant:napari.yaml"


def test_manifest_is_valid_and_every_command_exists() -> None:
    from npe2 import PluginManifest

    manifest = PluginManifest.from_distribution("napari-ct-assistant")
    assert manifest.name == "napari-ct-assistant"
    assert manifest.contributions.commands
    for command in manifest.contributions.commands:
        assert command.id.startswith("napari-ct-assistant.")
        module, _, name = command.python_name.partition(":")
        assert callable(getattr(import_module(module), name)), command.python_name


def test_manifest_at_the_top_is_the_packages_own() -> None:
    inside = ROOT / "src" / "napari_ct_assistant" / "napari.yaml"
    top = ROOT / "napari.yaml"
    if top.is_symlink():
        assert top.resolve() == inside.resolve()
    else:  # a checkout without symbolic links holds the target's name
        assert top.read_text(encoding="utf-8").strip() == "src/napari_ct_assistant/napari.yaml"


def test_version_is_one() -> None:
    installed = metadata("napari-ct-assistant")
    assert napari_ct_assistant.__version__ == PROJECT["version"] == installed["Version"]
    assert f"## {PROJECT['version']}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def declared() -> list[Requirement]:
    """Return every requirement of the project and its extras, but those on itself."""
    extras = [text for texts in PROJECT["optional-dependencies"].values() for text in texts]
    requirements = [Requirement(text) for text in [*PROJECT["dependencies"], *extras]]
    return [found for found in requirements if found.name != PROJECT["name"]]


def pins() -> dict[str, str]:
    """Return constraints.txt as {name: version}; a line that is no plain pin is an error."""
    found = {}
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            match = re.fullmatch(r"([A-Za-z0-9._-]+)==([A-Za-z0-9.!]+)", line)
            assert match, f"not NAME==VERSION: {line!r}"
            found[canonicalize_name(match[1])] = match[2]
    return found


@pytest.mark.parametrize("requirement", declared(), ids=lambda found: found.name)
def test_every_dependency_is_pinned_within_its_range(requirement: Requirement) -> None:
    pinned = pins()[canonicalize_name(requirement.name)]
    assert requirement.specifier.contains(Version(pinned), prereleases=True)
    if not requirement.extras:
        assert any(part.operator in {">=", "=="} for part in requirement.specifier), "has no floor"


def imported(*folders: Path) -> set[str]:
    """Return the distributions whose modules the Python files of `folders` import."""
    homes = packages_distributions()
    names = {
        name.partition(".")[0]
        for folder in folders
        for path in folder.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom) and not node.level
            else []
        )
    }
    third = names - set(sys.stdlib_module_names) - {"napari_ct_assistant"}
    return {canonicalize_name(homes.get(name, [name])[0]) for name in third}


def names_of(requirements: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(text).name) for text in requirements}


def test_every_import_is_declared() -> None:
    base = names_of(PROJECT["dependencies"])
    train = names_of(PROJECT["optional-dependencies"]["train"])
    # Used where somebody has it: quantization depends on the GPU.
    optional = {"torchao", "bitsandbytes"}
    # Imported by the format that needs them; its error names the extra where they are missing.
    for extra in ("export", "itk", "remote"):
        optional |= names_of(PROJECT["optional-dependencies"][extra])
    # The phantoms also serve the viewer's samples, which come without the training extra.
    phantoms = ROOT / "training" / "phantoms"
    assert imported(ROOT / "src" / "napari_ct_assistant", phantoms) - optional <= base
    evaluate = names_of(PROJECT["optional-dependencies"]["evaluate"])
    # GREEN's own environment has radeval.
    optional |= {"radeval"}
    assert imported(ROOT / "training") - optional <= base | train | evaluate


def test_no_qt_binding_comes_with_the_base() -> None:
    """Somebody's napari has its binding already; a second one breaks it."""
    for text in PROJECT["dependencies"]:
        requirement = Requirement(text)
        assert not requirement.name.lower().startswith(("pyqt", "pyside"))
        assert not requirement.extras


def test_ci_runs_the_readmes_test_line() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    lines = [line for line in script.splitlines() if line and not line.startswith("#")]
    assert lines[0] == "set -euo pipefail"
    assert lines[1].startswith("cd ")
    (test_line,) = lines[2:]
    assert test_line in README.splitlines()


def test_readme_names_only_what_exists() -> None:
    from typer.main import get_command

    from napari_ct_assistant.cli import app

    verbs = set(get_command(app).commands)
    spoken = set(re.findall(r"(?<![\w-])ct-assistant ([a-z]+(?:-[a-z]+)*)", README))
    assert verbs <= spoken
    assert spoken <= verbs
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        if not target.startswith(("https://", "http://")):
            assert (ROOT / target).exists(), f"README.md links to {target}"


def test_no_path_of_one_machine(tracked: list[Path]) -> None:
    folders = "|".join(("home", "root", "tmp", "work", "Users", "mnt", "opt"))
    path = re.compile(rf"(?<![\w.~$}}/*-])/(?:{folders})/\w")
    wrong = []
    for name in tracked:
        try:
            text = (ROOT / name).read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        wrong += [
            f"{name}:{number}: {line.strip()[:80]}"
            for number, line in enumerate(text.splitlines(), 1)
            if path.search(line)
        ]
    assert not wrong, "\n".join(wrong)
