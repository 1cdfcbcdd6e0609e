"""`python -m napari_ct_assistant`: the same as `ct-assistant`."""

from __future__ import annotations

from napari_ct_assistant.cli import main

main()
