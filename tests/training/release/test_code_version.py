"""A result names the code that wrote it."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from napari_ct_assistant.training.release import code_version
from napari_ct_assistant.training.release.code_version import code_commit


@pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
def test_the_code_s_commit_is_told_with_its_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = tmp_path / "code.py"
    monkeypatch.setattr(code_version, "__file__", str(code))
    # Installed from a folder, as here, or from an index.
    assert code_commit() is None, "no repository"

    def git(*words: str) -> str:
        who = ["-c", "user.name=A", "-c", "user.email=a@example.org"]
        done = subprocess.run(
            ["git", "-C", str(tmp_path), *who, *words], capture_output=True, text=True, check=True
        )
        return done.stdout.strip()

    git("init", "-q")
    code.write_text("1\n")
    assert code_commit() is None, "a repository that does not track this code"
    git("add", ".")
    git("commit", "-qm", "first")
    assert code_commit() == git("rev-parse", "HEAD")
    code.write_text("2\n")
    assert code_commit() == git("rev-parse", "HEAD") + " with changes"


def test_pip_tells_the_commit_of_a_package_from_a_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "napari_ct_assistant-0.1.0.dist-info"
    info.mkdir()
    lines = ("Metadata-Version: 2.1", "Name: napari-ct-assistant", "Version: 0.1.0", "")
    (info / "METADATA").write_text("\n".join(lines))
    url = {"url": "https://example.org/x.git", "vcs_info": {"vcs": "git", "commit_id": "abc123"}}
    (info / "direct_url.json").write_text(json.dumps(url))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(code_version, "__file__", str(tmp_path / "code.py"))
    assert code_commit() == "abc123"
