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

CHOICES_HINT: Final = "Two to five choices; beside each comes the model's probability for it."
# Under an answer.
STANDS_ALONE: Final = "answered without the earlier questions, which this model cannot use"
WITH_HISTORY: Final = "with {turns} earlier question(s) in mind"
MEASURED: Final = "Measured in the scan, not said by the model"
REGION_UNUSED: Final = (
    "The model was not taught to look at a region: its answer is about the whole scan."
)
REGION_USED: Final = "The model was told this."
NO_REGION: Final = "No region is selected: draw or choose one, and the question is about it."
NO_HEAT: Final = "{about}: the model's words point to no place in the scan."
HEAT_OF: Final = "{about}: hottest at slice {slice}, support {support:+.1f} nats"

REPORT_EMPTY: Final = "Type here, or press Draft report."
REPORT_STATES: Final[dict[str, str]] = {
    "draft": "not reviewed",
    "accepted": "accepted",
    "edited": "edited by you",
    "rejected": "rejected: not part of the report",
    "template": "from the template",
    "own": "written by you",
}
NEW_DRAFT: Final = "A new draft is ready. Your text was not touched."
RESTORED: Final = "Restored from the journal, as it was on {when}."
INTERRUPTED: Final = "Interrupted: the program ended while this was being written."
SIGN_TEXT: Final = (
    "By signing off you take the report as yours. The machine's notice is then replaced by your "
    "name; where the draft came from stays in the export. Changing the text later voids the "
    "signature."
)
FORGET_TEXT: Final = (
    "The journal keeps transcript, draft and edits of each scan on this computer, under a hash of "
    "the scan, so that nothing is lost in a crash. What is on screen stays until it is closed."
)
IDENTIFIERS: Final = (
    "Take patient and study identifiers from the scan's DICOM files, so that an archive can file "
    "the report with its study"
)

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
    "findings": "Probabilities of the 18 CT-RATE findings (Ctrl+Shift+F)",
    "stop": "Stop the model; what is written so far stays (Esc)",
    "ask": "Send the question (Enter)",
    "examples": "Put an example question into the box",
    "copy": "Copy the transcript as text",
    "clear": "Empty the transcript",
    "linked": "Linked axial, coronal and sagittal views with a shared crosshair (X)\n"
    "Click or drag the crosshair in any view; Shift-drag moves it in the large one.",
    "plane_view": "{plane}: click or drag to point, wheel or Page Up/Down to scroll,\n"
    "arrows move the crosshair, Ctrl+wheel or + - 0 zooms, middle-drag moves,\n"
    "right-drag changes the window, double-click or Enter shows it large.",
    "line": "Measure a distance in mm: drag a line (M)",
    "rectangle": "HU in a rectangle: drag it (R)",
    "ellipse": "HU in an ellipse: drag it (E)",
    "polygon": "HU in a polygon: click its corners, double-click to end (P)",
    "select": "Move, resize or choose a measurement (K); Delete removes it",
    "remove": "Delete the chosen measurement",
    "region": "The chosen measurement. HU are those of the slice, also while a slab is shown.",
    "slab": "Show a slab of several slices: maximum (MIP), minimum (MinIP) or mean (T)",
    "thickness": "Thickness of the slab in mm",
    "details": "Series, spacing, shape, orientation, HU range and warnings of the scan (I)",
    "readout": "CT number and position under the mouse pointer",
    "message_copy": "Copy this text",
    "again": "Have it written again, sampled: the words may differ (Ctrl+Shift+G for the last)",
    "edit": "Change the question and send it again; what came after it is then left out of the\n"
    "model's context, not out of the transcript",
    "chip": "Ask this (Alt+{number})",
    "choices": "Ask a multiple-choice question (Ctrl+Shift+M)",
    "heat": "Where in the scan the sentence comes from, over the slices (Ctrl+Alt+H)\n"
    "Click another sentence or slice link to see that one's.",
    "heat_opacity": "How strongly the heat map covers the scan",
    "findings_table": "Click a finding, or press Enter on it, to see where it comes from.\n"
    "Double-click, or Ctrl+Enter, asks about it; a click on a header sorts.",
    "finding_probability": "The model's own Yes against No",
    "finding_baseline": "What the model says without any scan: the same for every patient",
    "finding_threshold": "From this probability on the model says yes",
    "report": "The report. Enter begins a line of your own; nothing typed is overwritten.",
    "report_margin": "○ not reviewed, ✓ accepted, ✎ edited, ✗ rejected; a number is the slice",
    "accept": "The sentence is right; go to the next one (Ctrl+Enter)",
    "reject": "Take the sentence out of the report, or put it back (Ctrl+Shift+Enter)",
    "next": "Go to the next sentence that is not reviewed (F8)",
    "slice": "Show where in the scan the sentence comes from (Ctrl+G)",
    "explain": "Have the selected text explained (Ctrl+Shift+E)",
    "shorten": "Have the selected text shortened; it is shown before it replaces anything\n"
    "(Ctrl+Shift+H)",
    "sum_up": "Have an impression written of the findings as they stand; it is shown before it\n"
    "replaces anything (Ctrl+Shift+U)",
    "undo": "Undo (Ctrl+Z)",
    "redo": "Redo (Ctrl+Shift+Z)",
    "compare": "The draft beside what you made of it (F9)",
    "phrases": "Standard phrases of the template, for the section the cursor is in",
    "template": "The department's template: its sections and phrases\n"
    "It is used for the next draft; your text stays as it is.",
    "export": "Save as DOCX, PDF, text, FHIR or DICOM SR (Ctrl+Shift+X)",
    "report_window": "Show the report in a window of its own, beside the scan and the chat (F7)",
    "sign": "Sign the report off by name: it then counts as yours",
    "forget": "Delete what is kept on this computer about this scan, or about all",
    "replace": "Put the model's text in the place of the old one; undo brings that back",
    "take_draft": "Put the new draft in the place of your text; undo brings your text back",
    "add_draft": "Add the new draft's sentences after yours, section by section",
}
