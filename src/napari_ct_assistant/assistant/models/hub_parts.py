"""Models whose published files lie in several repositories of the hub."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_ct_assistant.assistant.models.download import (
    DownloadPlan,
    Progress,
    download,
    plan_download,
)
from napari_ct_assistant.assistant.models.installed import models_home
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.support.translation import said


@dataclass(frozen=True)
class HubPart:
    """Files of a repository.

    Attributes
    ----------
    repo : str
    files : tuple of str
    revision : str or None
        The commit that they are taken from; None for the one that the repository has now, which
        is written down.
    """

    repo: str
    files: tuple[str, ...]
    revision: str | None = None


@dataclass(frozen=True)
class HubModel:
    """A model that is put together from parts; the first has the weights.

    Attributes
    ----------
    name, title : str
    parts : tuple of HubPart
    licence, trained_on : str
    """

    name: str
    title: str
    parts: tuple[HubPart, ...]
    licence: str
    trained_on: str

    def terms(self) -> list[str]:
        """Return what the reader should know before the download, a line each."""
        return [
            f"{self.title}, published as {self.parts[0].repo}",
            f"Licence: {self.licence}",
            f"Trained on: {self.trained_on}",
            "Only weights and vocabulary are downloaded from the hub; no code of the "
            f"repositories is run ({', '.join(part.repo for part in self.parts)}).",
        ]

    def plan(self, revision: str | None = None) -> list[DownloadPlan]:
        """Ask the hub for the parts and their sizes. revision: of the weights.

        Raises
        ------
        ModelLoadError
            If a repository, the revision or a file is missing.
        """
        first, *others = self.parts
        plans = [plan_download(first.repo, revision or first.revision, parts=first.files)]
        return plans + [plan_download(one.repo, one.revision, parts=one.files) for one in others]

    def add(
        self,
        plans: Sequence[DownloadPlan],
        *,
        progress: Progress | None = None,
        cancel: threading.Event | None = None,
    ) -> Path:
        """Fetch the parts and import them; return the model's folder.

        Raises
        ------
        ModelLoadError
            If the network fails, or the files are not the model's.
        DownloadCancelled
            If `cancel` was set.
        """
        total = sum(plan.to_fetch for plan in plans)
        before = 0
        folders = []
        for plan in plans:
            start = before

            def shown(done: int, _: int, start: int = start) -> None:
                if progress is not None:
                    progress(start + done, total)

            folders.append(download(plan, progress=shown, cancel=cancel))
            before += plan.to_fetch
        return self.put_together(folders, plans[0].commit)

    def put_together(self, folders: Sequence[Path], commit: str | None) -> Path:
        """Import the parts from folders; commit: of the weights, where it is known.

        Raises
        ------
        ModelLoadError
            If a file is missing, or is not the model's.
        """
        from napari_ct_assistant.backends.importing import import_model

        out = models_home() / self.name
        with tempfile.TemporaryDirectory() as temporary:
            whole = Path(temporary)
            for part in self.parts:
                for file in part.files:
                    found = next((f / file for f in folders if (f / file).is_file()), None)
                    if found is None:
                        raise ModelLoadError(
                            said(
                                "{name}: no {file} in {name2}",
                                name=self.name,
                                file=file,
                                name2=folders[0].name,
                            )
                        )
                    _put(found, whole / file)
            models_home().mkdir(parents=True, exist_ok=True)
            settings = {} if commit is None else {"revision": commit}
            return import_model(whole, out, settings=settings).folder


def _put(file: Path, target: Path) -> None:
    """Link a file; copy it where links are not possible."""
    try:
        target.symlink_to(file.resolve())
    except OSError:
        shutil.copyfile(file, target)
