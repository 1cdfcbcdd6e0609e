"""The panel's texts, other than the labels of buttons: tooltips, hints and notices."""

from __future__ import annotations

from typing import Final

from napari_ct_assistant.support.translation import N_

PANEL_TITLE: Final = "CT Assistant"

# Shown until a model is loaded; then the model's own notice takes their place.
DEMO_NOTICE: Final = "Demonstration model trained on synthetic phantoms. Not for clinical use."
REAL_NOTICE: Final = "Machine-written draft. Check every sentence against the scan."

# Why a request cannot start.
TOO_SHORT: Final = "No report drafted: {problem}. Draft again if you want one anyway."
DRAFT_ANYWAY: Final = N_(
    "{note} The model {model} was trained on: {trained}. Draft a report all the same? (Y / N)"
)
ASKED_OUTSIDE: Final = N_("No report drafted yet: answer the question above")
NO_SCAN: Final = "Open a CT scan first: press Folder or File above."
NO_QUESTION: Final = "Type a question first."
BUSY: Final = (
    "The model is still working. Your text is kept; send it again when the model has finished."
)
SCAN_CLOSED: Final = "The scan that this text refers to is no longer open."
BOX_MOVED: Final = "The box was moved: the next question reads the scan there, as a new chat."
REGION_CHANGED: Final = "The next question reads this region of the scan, as a new chat."
DIFFERENCE: Final = "The draft's list of findings and the screen differ"
WELCOME: Final = (
    "Open a CT scan, then press **Draft report** or ask a question. "
    "Click a link such as *image 84* to go to that image."
)
POINT_HINT: Final = "Move the pointer over the image to see HU and position."
ASK_PLACEHOLDER: Final = "Ask about this scan…"

CHOICES_HINT: Final = (
    "Give two to five choices. The answer shows the model's probability for each of them."
)
# Under an answer.
STANDS_ALONE: Final = "answered without the earlier questions, which this model cannot use"
WITH_HISTORY: Final = "used {turns} earlier question(s)"
MEASURED: Final = "Measured in the scan, not said by the model"
REGION_UNUSED: Final = (
    "This model was not trained to use a region, so its answer is about the whole scan."
)
REGION_USED: Final = "The model was given this measurement."
NO_REGION: Final = "No region is selected. Draw or select one to ask about it."
NO_HEAT: Final = "{about}: the model's output points to no place in the scan."
HEAT_OF: Final = "{about}: strongest evidence at {image}, support {support:+.1f} nats"
HEAT_AT: Final = N_("{about}: highest at {image}")
SCREENS_ONLY: Final = N_(
    "{model} screens for findings and writes no text. Press Findings, or choose another model for "
    "reports and answers."
)

REPORT_EMPTY: Final = "Type here, or press Draft report."
REPORT_STATES: Final[dict[str, str]] = {
    "draft": "not reviewed",
    "accepted": "accepted",
    "edited": "edited by you",
    "rejected": "rejected: not part of the report",
    "template": "from the template",
    "own": "written by you",
}
REVIEW_KEYS: Final = "A accept  ·  X reject  ·  E edit  ·  N next"
LEFT_TO_REVIEW: Final = "{left} sentence(s) left to review"
ALL_REVIEWED: Final = "Every drafted sentence is reviewed"
TAKE_ALONG: Final = "The impression says the same: {text}"
NEW_DRAFT: Final = "A new draft is ready. Your text has not been changed."
TITLE_SEPARATOR: Final = "  ·  "
SAMPLED_AGAIN: Final = "sampled again"
RESTORED: Final = "Restored from the journal of {when}."
FAILED: Final = "INCOMPLETE: the model failed before the end of this text; findings may be missing."
INTERRUPTED: Final = "Interrupted: the program ended while this was being written."
CHECKS_BEFORE_SIGNING: Final = "Look at these before you sign; click one to go to its line."
SIGN_TEXT: Final = (
    "When you sign off, you take responsibility for the report. Your name then replaces the notice "
    "that the text is machine-written; exports still say which model wrote the draft. If you "
    "change the text later, the signature becomes void."
)
FORGET_TEXT: Final = (
    "The journal keeps the transcript, the draft and your edits of each scan on this computer, so "
    "that nothing is lost in a crash. Each scan is stored under a hash. What is on screen stays "
    "until the scan is closed."
)
IDENTIFIERS: Final = (
    "Take patient and study identifiers from the scan's DICOM files, so that an archive can file "
    "the report with its study"
)

TIPS: Final[dict[str, str]] = {
    "body_region": "Region of the body that the model reads; automatic: by header or lungs",
    "move_box": "Centre the part that is read on the crosshair; the next question reads it there",
    "reset_box": "Put the box back where the region puts it",
    "reasoning": "Show or hide what the model wrote before its answer; it is no part of the text",
    "scan": "The scan that the model reads. Choosing a scan also selects its layer.",
    "open_folder": "Open a folder of DICOM slices (Ctrl+Shift+D)",
    "open_file": "Open a DICOM file or a NIfTI file",
    "axial": "Axial view, seen from the feet (A)",
    "coronal": "Coronal view, seen from the front (C)",
    "sagittal": "Sagittal view, seen from the left (S)",
    "3d": "Volume rendering (D)",
    "window": "{name}: width {width}, level {level} HU ({key})\n"
    "Drag with the right button: left and right change the width, up and down the level.",
    "model_fold": "Load or unload the model, its options, its size and memory",
    "layout": "Reading layout, or napari's with its layer docks (F6)",
    "warning_fold": "Show the whole warning, or one line of it",
    "more_chips": "Further suggestions",
    "load": "Load the model now rather than with the first question. A model that is loaded\n"
    "already is unloaded first.",
    "unload": "Free the model's memory; the transcript stays",
    "draft": "Read the scan and draft the report (Ctrl+Shift+R)",
    "outside_yes": "Draft the report although the model was not trained on such scans (Y, Alt+Y).\n"
    "You are not asked again for this scan and this model.",
    "outside_no": "Do not draft a report with this model (N, Alt+N)",
    "findings": "Show the probabilities of the model's findings (Ctrl+Shift+F)",
    "stop": "Stop the model; the text written so far stays (Esc)",
    "ask": "Send the question (Enter; Shift+Enter starts a new line)",
    "examples": "Put an example question into the box",
    "copy": "Copy the transcript as text",
    "clear": "Empty the transcript",
    "linked": "Linked axial, coronal and sagittal views with a shared crosshair (X)\n"
    "Click or drag the crosshair in any view; Shift-drag moves it in the large view.",
    "plane_view": "{plane}: click or drag to move the crosshair, wheel or Page Up/Down to scroll,\n"
    "arrow keys move the crosshair, Ctrl+wheel or + - 0 zooms, middle-drag pans,\n"
    "right-drag changes the window, double-click or Enter shows this plane in the large view.",
    "line": "Measure a distance in mm: drag a line (M)",
    "rectangle": "HU in a rectangle: drag it (R)",
    "ellipse": "HU in an ellipse: drag it (E)",
    "polygon": "HU in a polygon: click its corners, double-click to finish (P)",
    "select": "Select, move or resize a measurement (K); Delete removes it",
    "remove": "Delete the selected measurement",
    "region": "The selected measurement. HU are those of the single slice, even while a slab is\n"
    "shown.",
    "slab": "Show a slab of several slices: maximum (MIP), minimum (MinIP) or mean (T)",
    "thickness": "Thickness of the slab in mm",
    "details": "Series, spacing, shape, orientation, HU range and warnings of the scan (I)",
    "readout": "CT number and position under the mouse pointer",
    "message_copy": "Copy this text",
    "again": "Let the model write this again, with random sampling: the words may differ\n"
    "(Ctrl+Shift+G repeats the last text)",
    "edit": "Edit the question and send it again. The model no longer sees what came after it;\n"
    "the transcript keeps it.",
    "chip": "Ask this question (Alt+{number})",
    "choices": "Ask a multiple-choice question (Ctrl+Shift+M)",
    "heat": "Show over the slices where in the scan the sentence comes from (Ctrl+Alt+H)\n"
    "Click another sentence or slice link to see its heat map.",
    "heat_opacity": "Opacity of the heat map",
    "findings_table": "Click a finding, or press Enter on it, to see where it comes from.\n"
    "Double-click it, or press Ctrl+Enter, to ask about it. Click a header to sort.",
    "finding_probability": "The model's probability of Yes against No",
    "finding_baseline": "The model's probability without any scan: the same for every patient",
    "finding_threshold": "The model says Yes from this probability on",
    "finding_not_assessable": "The model cannot reliably detect this finding; disregard its\n"
    "probability.",
    "report": "The report. Enter starts a line of your own. Nothing that you type is overwritten.",
    "report_margin": "○ not reviewed, ✓ accepted, ✎ edited, ✗ rejected; the number is the image",
    "accept": "Accept the sentence and go to the next one (Ctrl+Enter)",
    "reject": "Take the sentence out of the report, or put it back (Ctrl+Shift+Enter)",
    "next": "Go to the next sentence that is not reviewed (F8). Then A accepts, X rejects,\n"
    "E edits and N goes on, and the picture follows.",
    "checks": "Contradictions, and what is missing: findings against the impression, the findings\n"
    "table and the measurements (Ctrl+Shift+K)",
    "checks_list": "Click a line, or press Enter on it, to go there. Nothing has to be changed.",
    "take_along": "Take this line out of the report, too (Y while reviewing)",
    "slice": "Show where in the scan the sentence comes from (Ctrl+G)",
    "explain": "Let the model explain the selected text (Ctrl+Shift+E)",
    "shorten": "Let the model shorten the selected text. You see the result before it replaces\n"
    "anything. (Ctrl+Shift+H)",
    "sum_up": "Let the model write an impression of the findings as they stand. You see the\n"
    "result before it replaces anything. (Ctrl+Shift+U)",
    "undo": "Undo (Ctrl+Z)",
    "redo": "Redo (Ctrl+Shift+Z)",
    "compare": "Show the draft beside your version (F9)",
    "phrases": "Insert a standard phrase of the template for the section at the cursor",
    "template": "The report template: its sections and phrases\n"
    "It applies to the next draft; your text stays as it is.",
    "export": "Save as DOCX, PDF, text, FHIR or DICOM SR (Ctrl+Shift+X)",
    "report_window": "Show the report in its own window, beside the scan and the chat (F7)",
    "sign": "Sign off the report with your name; you then take responsibility for it",
    "forget": "Delete what this computer keeps about this scan, or about all scans",
    "replace": "Replace the old text by the model's text; Undo restores the old text",
    "take_draft": "Replace your text by the new draft; Undo restores your text",
    "add_draft": "Add the sentences of the new draft after yours, section by section",
}
