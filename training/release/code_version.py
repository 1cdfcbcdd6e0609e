"""Which code wrote a result: the versions of its packages, and its commit where that is known."""

from __future__ import annotations

import json
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

PACKAGE = "napari-ct-assistant"
# What the numbers of a training run depend on.
_PACKAGES = (
    PACKAGE,
    "torch",
    "transformers",
    "accelerate",
    "peft",
    "tokenizers",
    "safetensors",
    "numpy",
)


def package_versions() -> dict[str, str]:
    """Return {package: version} of what a training run depends on, and of Python."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def code_commit() -> str | None:
    """Return the git commit of this code, marked if there are changes.

    It comes from the working copy that the code lies in, or from pip for a package that was
    installed from a repository; None for any other one, whose version tells what it is.
    """
    here = Path(__file__).resolve()
    # A package may be installed inside another project's repository, which does not track it.
    if _git(here.parent, "ls-files", "--error-unmatch", here.name) is None:
        return _installed_commit()
    commit, changes = (
        _git(here.parent, *question)
        for question in (["rev-parse", "HEAD"], ["status", "--porcelain", "-uno"])
    )
    return f"{commit} with changes" if commit and changes else commit


def _installed_commit() -> str | None:
    """Return the commit that pip has installed the package from (PEP 610)."""
    try:
        text = distribution(PACKAGE).read_text("direct_url.json")
    except PackageNotFoundError:
        return None
    commit = json.loads(text or "{}").get("vcs_info", {}).get("commit_id")
    return None if commit is None else str(commit)


def _git(folder: Path, *question: str) -> str | None:
    """Return git's answer; None outside a repository, or without git."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *question], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
