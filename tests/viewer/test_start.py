"""What opening the panel does not wait for."""

from __future__ import annotations

import json
import subprocess
import sys

LATER = (
    *("pydicom", "nibabel", "scipy.spatial", "scipy.sparse", "scipy.ndimage", "numpy.f2py"),
    *("torch", "transformers", "docx"),
)
CODE = f"""
import json, sys
import napari.viewer
before = set(sys.modules)
import napari_ct_assistant.viewer.panel
print(json.dumps(sorted((set(sys.modules) - before) & set({LATER!r}))))
"""


def test_the_panel_imports_no_reader_and_no_model_library() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.splitlines()[-1]) == []
