"""Open a scan in napari beside the panel, and draft its report.

    python examples/open_in_napari.py [SCAN]

`ct-assistant view SCAN` does the same from the command line.
"""

from __future__ import annotations

import sys

import napari

from napari_ct_assistant.phantoms import make_phantom
from napari_ct_assistant.viewer.app import open_viewer

scan = sys.argv[1] if len(sys.argv) > 1 else make_phantom(7, findings=["Pleural effusion"]).volume
viewer, panel = open_viewer(scan)
panel.draft_report()
napari.run()
