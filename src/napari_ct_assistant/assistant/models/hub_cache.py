"""Where the Hugging Face client keeps models, and which of them are complete.

The cache has a folder `models--OWNER--NAME` for each repository, with `snapshots/COMMIT` and
`refs/NAME`. The client's API is not imported here (0.3 s, its constants 10 ms), so that listing
the models at start-up is immediate.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Final

REF: Final = "ct-assistant"  # names the commit of a finished download
REPO: Final = re.compile(r"[\w.-]+(/[\w.-]+)?")


def hub_cache() -> Path:
    """Return the folder of the cache, by the client's own rules."""
    client = sys.modules.get("huggingface_hub.constants")
    if client is not None:
        return Path(client.HF_HUB_CACHE)
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if os.environ.get(variable):
            return Path(os.path.expandvars(os.environ[variable])).expanduser()
    caches = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("HF_HOME") or f"{caches}/huggingface"
    return Path(os.path.expandvars(home)).expanduser() / "hub"


def is_repo(name: str) -> bool:
    """Return whether a text can be the name of a repository."""
    return REPO.fullmatch(name) is not None and ".." not in name


def repo_home(repo: str) -> Path:
    """Return a repository's folder in the cache."""
    return hub_cache() / f"models--{repo.replace('/', '--')}"


def pinned_snapshot(repo: str) -> Path | None:
    """Return the folder of a complete download; None if there is none.

    A repository that another program downloaded is found by its ref `main`.
    """
    if not is_repo(repo):
        return None
    home = repo_home(repo)
    for ref in (REF, "main"):
        file = home / "refs" / ref
        if not file.is_file():
            continue
        commit = file.read_text(encoding="utf-8").strip()
        if re.fullmatch(r"[0-9a-f]{40}", commit) and (home / "snapshots" / commit).is_dir():
            return home / "snapshots" / commit
    return None
