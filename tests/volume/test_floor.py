"""The volume floor stays light: nothing above it, and nothing heavy, is imported."""

from __future__ import annotations

import subprocess
import sys


def test_importing_the_floor_imports_nothing_heavy() -> None:
    code = (
        "import sys, napari_ct_assistant.volume;"
        "print([m for m in ('torch', 'transformers', 'qtpy', 'napari', 'imagecodecs')"
        " if m in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120
    )
    assert result.stdout.strip() == "[]"
