"""A model folder: what is checked before anything in it is loaded, and its hashes."""

from __future__ import annotations

from napari_ct_assistant.model.folder.checks import (
    DTYPES,
    TensorHeader,
    check_folder,
    check_tensors,
    compare,
    expected_tensors,
    indexed_files,
    refuse_code,
    tensor_headers,
    weights_of,
)
from napari_ct_assistant.model.folder.hashes import (
    HASHES,
    INDEX,
    check_hashes,
    settings_sha256,
    sha256,
    write_hashes,
)

__all__ = [
    "DTYPES",
    "HASHES",
    "INDEX",
    "TensorHeader",
    "check_folder",
    "check_hashes",
    "check_tensors",
    "compare",
    "expected_tensors",
    "indexed_files",
    "refuse_code",
    "settings_sha256",
    "sha256",
    "tensor_headers",
    "weights_of",
    "write_hashes",
]
