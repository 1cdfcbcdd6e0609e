"""Every text of the panel that is not a button's own label: tooltips, hints, notices."""

from __future__ import annotations

from typing import Final

PANEL_TITLE: Final = "CT Assistant"

# Spoken before any weights are loaded; once a model is loaded its own notice replaces it.
DEMO_NOTICE: Final = "Demonstration model trained on synthetic phantoms. Not for clinical use."
REAL_NOTICE: Final = "Machine-written draft. Check every sentence against the scan."

NO_SCAN: Final = "Open a CT scan first: use Open folder or Open file above."
NO_QUESTION: Final = "Type a question first."
BUSY: Final = "The model is still working. Your text is kept; send it when the answer is done."
SCAN_CLOSED: Final = "The scan this text refers to is no longer open."
WELCOME: Final = (
    "Open a CT scan, then press **Draft report** or ask a question. "
    "Links such as *slice 84* move the viewer to that place."
)
POINT_HINT: Final = "Point at the picture for HU and place"
ASK_PLACEHOLDER: Final = "Ask about this scan…   (Enter sends, Shift+Enter new line)"

TIPS: Final[dict[str, str]] = {
    "scan": "The scan that is read. Choosing one also selects its layer.",
    "open_folder": "Open a folder of DICOM slices (Ctrl+Shift+D)",
    "open_file": "Open a DICOM file or a NIfTI file",
    "axial": "Axial view, seen from the feet (A)",
    "coronal": "Coronal view, seen from the front (C)",
    "sagittal": "Sagittal view, seen from the left (S)",
    "3d": "Volume rendering (D)",
    "window": "{name}: width {width}, level {level} HU ({key})\n"
    "Drag with the right button: left-right changes the width, up-down the level.",
    "load": "Load the model now instead of with the first question; another one is freed first",
    "unload": "Free the model's memory; the transcript stays",
    "draft": "Read the scan and draft the report (Ctrl+Shift+R)",
    "findings": "Probabilities of the 18 CT-RATE findings",
    "stop": "Stop the model; what is written so far stays (Esc)",
    "ask": "Send the question (Enter)",
    "examples": "Put an example question into the box",
    "copy": "Copy the transcript as text",
    "clear": "Empty the transcript",
    "readout": "CT number and position under the mouse pointer",
    "message_copy": "Copy this text",
}
