"""Fetch a model from the Hugging Face hub, pinned to one commit.

The large files come first, each into the hub's own cache under the SHA-256 that the hub states
for it: an interrupted file is resumed, and a file with another hash is deleted. The small files
follow with `snapshot_download`. A ref, `refs/ct-assistant`, is written last. A download is found
by that ref only, so a cancelled one never loads.

The large files are not left to `snapshot_download` because huggingface_hub (2.4) deletes a file
that was interrupted and does not compare its SHA-256.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final

from huggingface_hub import HfApi, get_session, hf_hub_download, hf_hub_url
from huggingface_hub import snapshot_download as fetch_snapshot
from huggingface_hub.errors import (
    HFValidationError,
)
from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

from napari_ct_assistant.assistant.models.hub_cache import REF, is_repo, repo_home
from napari_ct_assistant.assistant.models.hub_errors import failure_reason, network_errors
from napari_ct_assistant.backends.families import family_of
from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.support import atomic
from napari_ct_assistant.support.errors import CTAssistantError
from napari_ct_assistant.support.translation import said

# No pickles and no code. Files in subfolders are other formats and examples.
WANTED: Final = (
    "*.safetensors",
    "*.json",
    "tokenizer*",
    "merges.txt",
    "SHA256SUMS",
    "README.md",
    "losses.png",
    "LICENSE*",
)
CHUNK: Final = 1 << 20
PARTS: Final = "parts"  # of a model that is put together from several repositories

Progress = Callable[[int, int], None]


class DownloadCancelled(CTAssistantError):  # noqa: N818  not an error
    """The download was stopped. Complete files stay in the cache; the model does not load."""


@dataclass(frozen=True)
class RemoteFile:
    """A file of a repository.

    Attributes
    ----------
    name : str
    size : int
        In bytes.
    sha256 : str or None
        None for small files, which are stored in git.
    cached : bool
        Whether it is on this computer.
    part : int
        Bytes of a large file that an earlier, interrupted download left.
    """

    name: str
    size: int
    sha256: str | None
    cached: bool
    part: int = 0


@dataclass(frozen=True)
class DownloadPlan:
    """What a download would fetch.

    Attributes
    ----------
    repo, commit : str
        The repository, and the commit to which the revision points now.
    files : tuple of RemoteFile
    left_out : tuple of str
        Files that are not fetched: pickles, code, other formats.
    kind : str
        "model" (loads as it is), "m3d" or "encoder" (both have to be imported), or "parts".
    free : int
        Free bytes on the cache's disk.
    code : bool
        Its `config.json` asks to run code from the repository, which is neither fetched nor run.
    """

    repo: str
    commit: str
    files: tuple[RemoteFile, ...]
    left_out: tuple[str, ...]
    kind: str
    free: int
    code: bool = False

    @property
    def bytes(self) -> int:
        """Bytes of the whole model."""
        return sum(file.size for file in self.files)

    @property
    def to_fetch(self) -> int:
        """Bytes of the files that are not on this computer yet."""
        return sum(file.size for file in self.files if not file.cached)

    @property
    def to_resume(self) -> int:
        """How many of these bytes an interrupted download left; they are not fetched again."""
        return sum(min(file.part, file.size) for file in self.files if not file.cached)


def plan_download(
    repo: str, revision: str | None = None, *, parts: Sequence[str] = ()
) -> DownloadPlan:
    """Ask the hub for the files of a model and their sizes; fetch only its `config.json`.

    Parameters
    ----------
    parts
        Names of files that are wanted as they are, of a repository that holds no whole model.

    Raises
    ------
    ModelLoadError
        If there is no such repository or revision, the model is of a kind that cannot be used,
        it has no safetensors weights, or one of the parts is missing.
    """
    try:
        info = HfApi().model_info(repo, revision=revision, files_metadata=True)
        commit = str(info.sha)
        if re.fullmatch(r"[0-9a-f]{40}", commit) is None:
            raise ModelLoadError(
                said(
                    "{repo}: the hub states {commit} as its commit, which is not one; nothing "
                    "was downloaded",
                    repo=repo,
                    commit=repr(commit[:80]),
                )
            )
        names = {file.rfilename for file in info.siblings or []}
        config = _config(repo, commit) if "config.json" in names and not parts else {}
    except (*network_errors(), HFValidationError) as error:
        raise ModelLoadError(failure_reason(repo, revision, error)) from error
    kind = PARTS if parts else _kind(config)
    wanted = set(parts) or {name for name in names if _is_wanted(name, config)}
    if missing := sorted(wanted - names):
        raise ModelLoadError(
            said(
                "{repo}: has no {list} at revision {commit}; nothing was downloaded",
                repo=repo,
                list=", ".join(missing),
                commit=commit[:12],
            )
        )
    if kind is None:
        raise ModelLoadError(
            said(
                "{repo}: not a model that can be used here (config.json is neither ours nor "
                "M3D's); nothing was downloaded",
                repo=repo,
            )
        )
    if not parts and not any(name.endswith(".safetensors") for name in wanted):
        pickles = sorted(n for n in names if n.endswith((".bin", ".pt", ".pth")))[:3]
        raise ModelLoadError(
            said(
                "{repo}: has no safetensors weights, only {files}; nothing was downloaded",
                repo=repo,
                files=", ".join(pickles),
            )
            if pickles
            else said("{repo}: has no safetensors weights; nothing was downloaded", repo=repo)
        )
    blobs = _home(repo) / "blobs"
    files = []
    for file in sorted(info.siblings or [], key=lambda file: file.rfilename):
        if file.rfilename not in wanted:
            continue
        digest = file.lfs.sha256 if file.lfs is not None else None
        # Both become names of files in the cache.
        for value, form in ((digest, r"[0-9a-f]{64}"), (file.blob_id, r"[0-9a-f]{40}")):
            if value is not None and re.fullmatch(form, str(value)) is None:
                raise ModelLoadError(
                    said(
                        "{repo}: the hub states {value} as a hash of {rfilename}, which is not "
                        "one; nothing was downloaded",
                        repo=repo,
                        value=repr(str(value)[:80]),
                        rfilename=repr(file.rfilename),
                    )
                )
        stored = blobs / (digest or str(file.blob_id))
        left = stored.with_name(f"{stored.name}.part")
        part = left.stat().st_size if left.is_file() else 0
        files.append(
            RemoteFile(file.rfilename, int(file.size or 0), digest, stored.is_file(), part)
        )
    home = _home(repo)
    disk = next(path for path in (home, *home.parents) if path.exists())
    return DownloadPlan(
        repo,
        commit,
        tuple(files),
        tuple(sorted(names - wanted)),
        kind,
        shutil.disk_usage(disk).free,
        code="auto_map" in config,
    )


def download(
    plan: DownloadPlan,
    *,
    progress: Progress | None = None,
    cancel: threading.Event | None = None,
) -> Path:
    """Fetch the files of a plan.

    Parameters
    ----------
    plan : DownloadPlan
    progress
        Called with (bytes fetched, bytes to fetch).
    cancel
        Set it to stop within a second.

    Returns
    -------
    Path
        The folder in the hub's cache.

    Raises
    ------
    ModelLoadError
        If the disk is too small, the network fails or a file has another SHA-256.
    DownloadCancelled
        If `cancel` was set.
    """
    if plan.to_fetch > plan.free:
        raise ModelLoadError(
            said(
                "{repo}: needs {number} GB and the disk of the cache has {number2} GB free; "
                "make room or set HF_HOME to another disk",
                repo=plan.repo,
                number=f"{plan.to_fetch / 1000000000.0:.1f}",
                number2=f"{plan.free / 1000000000.0:.1f}",
            )
        )
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        if progress is not None:
            progress(done, plan.to_fetch)
        if cancel is not None and cancel.is_set():
            raise DownloadCancelled(plan.repo)

    try:
        for file in plan.files:
            if file.sha256 is not None and not file.cached:
                _fetch_blob(plan, file, advance)
        small = [file.name for file in plan.files]
        folder = Path(
            fetch_snapshot(plan.repo, revision=plan.commit, allow_patterns=small, max_workers=2)
        )
    except network_errors() as error:
        raise ModelLoadError(failure_reason(plan.repo, plan.commit, error)) from error
    advance(plan.to_fetch - done)
    missing = [file.name for file in plan.files if not (folder / file.name).is_file()]
    if missing:
        raise ModelLoadError(
            said(
                "{repo}: {files} could not be downloaded; try again",
                repo=plan.repo,
                files=", ".join(missing),
            )
        )
    if plan.kind != PARTS:
        _pin(plan)
    return folder


def _home(repo: str) -> Path:
    """Return a repository's folder in the hub's cache."""
    if not is_repo(repo):
        raise HFValidationError(f"{repo!r} is not the name of a repository")
    return repo_home(repo)


def _config(repo: str, commit: str) -> dict[str, Any]:
    """Fetch a repository's `config.json`; return {} if it is not a JSON object."""
    file = hf_hub_download(repo, "config.json", revision=commit)
    try:
        config = json.loads(Path(file).read_text(encoding="utf-8"))
    except ValueError:
        return {}
    return config if isinstance(config, dict) else {}


def _kind(config: dict[str, Any]) -> str | None:
    """Return the kind of model that a `config.json` describes; None for other kinds."""
    kind = str(config.get("model_type"))
    if family_of(config) is not None:
        return "model"
    if "mm_projector_type" in config:
        return "m3d"
    return "encoder" if "m3d" in kind and "clip" in kind else None


def _is_wanted(name: str, config: dict[str, Any]) -> bool:
    """Return whether a file of a repository is fetched; a pattern stays within its folder."""
    family = family_of(config)
    patterns = (family.files if family is not None else ()) or WANTED
    return any(name.count("/") == p.count("/") and fnmatch(name, p) for p in patterns)


def _fetch_blob(plan: DownloadPlan, file: RemoteFile, advance: Callable[[int], None]) -> None:
    """Fetch one large file into the cache under its hash; resume an interrupted download."""
    blobs = _home(plan.repo) / "blobs"
    blobs.mkdir(parents=True, exist_ok=True)
    part = blobs / f"{file.sha256}.part"
    digest = hashlib.sha256()
    if part.is_file() and part.stat().st_size <= file.size:
        with part.open("rb") as stream:
            while chunk := stream.read(CHUNK):
                digest.update(chunk)
        start = part.stat().st_size
    else:
        part.unlink(missing_ok=True)
        start = 0
    if start < file.size:
        headers = build_hf_headers() | ({"Range": f"bytes={start}-"} if start else {})
        url = hf_hub_url(plan.repo, file.name, revision=plan.commit)
        with get_session().stream("GET", url, headers=headers, follow_redirects=True) as response:
            hf_raise_for_status(response)
            if start and response.status_code != 206:  # the server sends the whole file again
                digest, start = hashlib.sha256(), 0
            advance(start)
            with part.open("ab" if start else "wb") as stream:
                for chunk in response.iter_raw(CHUNK):
                    stream.write(chunk)
                    digest.update(chunk)
                    advance(len(chunk))
    else:
        advance(start)
    if part.stat().st_size < file.size:
        raise ModelLoadError(
            said("{repo}: {name} was cut short; download it again", repo=plan.repo, name=file.name)
        )
    if digest.hexdigest() != file.sha256:
        part.unlink()
        raise ModelLoadError(
            said(
                "{repo}: {name} has another SHA-256 than the hub states; it was deleted, try again",
                repo=plan.repo,
                name=file.name,
            )
        )
    part.rename(blobs / str(file.sha256))


def _pin(plan: DownloadPlan) -> None:
    """Write the ref by which the download is found from now on."""
    refs = _home(plan.repo) / "refs"
    refs.mkdir(exist_ok=True)
    atomic.write_text(refs / REF, plan.commit)
