"""The panel's texts, other than the labels of buttons: tooltips, hints and notices."""

from __future__ import annotations

from typing import Final

from napari_ct_assistant.support.translation import N_, Texts

PANEL_TITLE: Final = "CT Assistant"

# Shown until a model is loaded; then the model's own notice takes their place.
DEMO_NOTICE: Final = N_("Demonstration model trained on synthetic phantoms. Not for clinical use.")
REAL_NOTICE: Final = N_("Machine-written draft. Check every sentence against the scan.")

# What the bundled model says about itself, for the catalogues.
DEMO_TRAINED_ON: Final = N_("synthetic chest phantoms")

# Why a request cannot start.
TOO_SHORT: Final = N_("No report drafted: {problem}. Draft again if you want one anyway.")
DRAFT_ANYWAY: Final = N_(
    "{note} The model {model} was trained on: {trained}. Draft a report all the same? (Y / N)"
)
ASKED_OUTSIDE: Final = N_("No report drafted yet: answer the question above")
NO_SCAN: Final = N_("Open a CT scan first: press Folder or File above.")
NO_QUESTION: Final = N_("Type a question first.")
BUSY: Final = N_(
    "The model is still working. Your text is kept; send it again when the model has finished."
)
SCAN_CLOSED: Final = N_("The scan that this text refers to is no longer open.")
BOX_MOVED: Final = N_("The box was moved: the next question reads the scan there, as a new chat.")
REGION_CHANGED: Final = N_("The next question reads this region of the scan, as a new chat.")
SLICES_CHOSEN: Final = N_("The next question looks at these slices, as a new chat.")
DIFFERENCE: Final = N_("The draft's list of findings and the screen differ")
WELCOME: Final = N_(
    "Open a CT scan, then press **Draft report** or ask a question. "
    "Click a link such as *image 84* to go to that image."
)
POINT_HINT: Final = N_("Move the pointer over the image to see HU and position.")
ASK_PLACEHOLDER: Final = N_("Ask about this scan…")

CHOICES_HINT: Final = N_(
    "Give two to five choices. The answer shows the model's probability for each of them."
)
# Under an answer.
STANDS_ALONE: Final = N_("answered without the earlier questions, which this model cannot use")
MEASURED: Final = N_("Measured in the scan, not said by the model")
REGION_UNUSED: Final = N_(
    "This model was not trained to use a region, so its answer is about the whole scan."
)
REGION_USED: Final = N_("The model was given this measurement.")
NO_REGION: Final = N_("No region is selected. Draw or select one to ask about it.")
NO_HEAT: Final = N_("{about}: the model's output points to no place in the scan.")
HEAT_OF: Final = N_("{about}: strongest evidence at {image}, support {support} nats")
HEAT_AT: Final = N_("{about}: highest at {image}")
SCREENS_ONLY: Final = N_(
    "{model} screens for findings and writes no text. Press Findings, or choose another model for "
    "reports and answers."
)
MODEL_MISSING: Final = N_(
    "There is no model {model} on this machine. Correct its path in the box, choose another model "
    "from the list, or browse for its folder."
)
MODEL_NOT_DOWNLOADED: Final = N_(
    "{model} is not on this machine. Download it, or choose another model from the list."
)
MODEL_BROKEN: Final = N_(
    "{why}. Choose another model from the list, or mend this one and try again."
)

REPORT_EMPTY: Final = N_("Type here, or press Draft report.")
REPORT_STATES: Final = Texts(
    {
        "draft": N_("not reviewed"),
        "accepted": N_("accepted"),
        "edited": N_("edited by you"),
        "rejected": N_("rejected: not part of the report"),
        "template": N_("from the template"),
        "own": N_("written by you"),
    }
)
PAIR_ABOUT: Final = N_(
    "Two reports of the scan on screen are shown side by side, in random order. Your choice goes "
    "into a table that names no patient; ct-assistant compare-choices sums it up."
)
PAIR_QUESTION: Final = N_("Which report describes this scan better?")
PAIR_DONE: Final = N_("Thank you. The models are named above.")
PAIR_KEPT: Final = N_("Kept in {file}. Strengths (95 % interval): {strengths}")
PAIR_STOPPED: Final = N_("The comparison was stopped")
OTHER_SCAN: Final = N_("{file}: a draft about another scan than the one on screen")
READ_FIRST: Final = N_(
    "Read first: draft, findings and heat map stay hidden until your read is done."
)
READ_FIRST_READY: Final = N_("The model's result is ready and hidden until your read is done")
READ_FIRST_ASK: Final = N_("Finish your read first; then the model answers")
READ_DONE: Final = N_("Your read took {seconds:.0f} s. Draft, findings and heat map are shown.")
RULER_BEGUN: Final = N_("One end of a ruler is set. Move the crosshair and press Shift+M again.")
RULER_OTHER_SLICE: Final = N_(
    "The ruler's other end has to be another point of the same slice. Move the crosshair there."
)
NO_MEASUREMENT: Final = N_("Draw or select a ruler (M), a region (R, E, P) or a label first.")
MEASURING_LABEL: Final = N_("Measuring {name}")
MEASURED_UNNAMED: Final = N_("In the report. Type what it is; the selected word is replaced.")
MEASURED_PLACE: Final = N_("In the report. The place, {place}, is from the model's text: check it.")
MEASUREMENT_CHANGED: Final = N_("Now measured: {figures}")
NOT_IN_SENTENCE: Final = N_("The sentence no longer has {figures}: change its words by hand.")
REVIEW_KEYS: Final = N_("A accept  ·  X reject  ·  E edit  ·  N next")
ALL_REVIEWED: Final = N_("Every drafted sentence is reviewed")
TAKE_ALONG: Final = N_("The impression says the same: {text}")
NEW_DRAFT: Final = N_("A new draft is ready. Your text has not been changed.")
TITLE_SEPARATOR: Final = "  ·  "
SAMPLED_AGAIN: Final = N_("sampled again")
RESTORED: Final = N_("Restored from the journal of {when}.")
FAILED: Final = N_(
    "INCOMPLETE: the model failed before the end of this text; findings may be missing."
)
CHECKS_BEFORE_SIGNING: Final = N_("Look at these before you sign; click one to go to its line.")
SIGN_TEXT: Final = N_(
    "When you sign off, you take responsibility for the report. Your name then replaces the notice "
    "that the text is machine-written; exports still say which model wrote the draft. If you "
    "change the text later, the signature becomes void."
)
FORGET_TEXT: Final = N_(
    "The journal keeps the transcript, the draft and your edits of each scan on this computer, so "
    "that nothing is lost in a crash. Each scan is stored under a hash. What is on screen stays "
    "until the scan is closed."
)
IDENTIFIERS: Final = N_(
    "Take patient and study identifiers from the scan's DICOM files, so that an archive can file "
    "the report with its study"
)
EXPORT_LANGUAGE: Final = N_(
    "Of notice, measurements and provenance; the report keeps the language that it is written in"
)
STUDY_FIELDS: Final = N_(
    "They go into this file only and are kept nowhere else. The date is read from the scan's DICOM "
    "files; it is patient data."
)

TIPS: Final = Texts(
    {
        "body_region": N_("Region of the body that the model reads; automatic: by header or lungs"),
        "move_box": N_(
            "Centre the part that is read on the crosshair; the next question reads it there"
        ),
        "reset_box": N_("Put the box back where the region puts it"),
        "reasoning": N_(
            "Show or hide what the model wrote before its answer; it is no part of the text"
        ),
        "scan": N_("The scan that the model reads. Choosing a scan also selects its layer."),
        "open_folder": N_("Open a folder of DICOM slices (Ctrl+Shift+D)"),
        "open_file": N_("Open a DICOM file or a NIfTI file"),
        "axial": N_("Axial view, seen from the feet (A)"),
        "coronal": N_("Coronal view, seen from the front (C)"),
        "sagittal": N_("Sagittal view, seen from the left (S)"),
        "3d": N_("Volume rendering (D)"),
        "window": N_(
            "{name}: width {width}, level {level} HU ({key})\n"
            "Drag with the right button: left and right change the width, up and down the level."
        ),
        "model_fold": N_("Load or unload the model, its options, its size and memory"),
        "layout": N_("Reading layout, or napari's with its layer docks (F6)"),
        "warning_fold": N_("Show the whole warning, or one line of it"),
        "more_chips": N_("Further suggestions"),
        "load": N_(
            "Load the model now rather than with the first question. A model that is loaded\n"
            "already is unloaded first."
        ),
        "unload": N_("Free the model's memory; the transcript stays"),
        "draft": N_("Read the scan and draft the report (Ctrl+Shift+R)"),
        "outside_yes": N_(
            "Draft the report although the model was not trained on such scans (Y, Alt+Y).\n"
            "You are not asked again for this scan and this model."
        ),
        "outside_no": N_("Do not draft a report with this model (N, Alt+N)"),
        "findings": N_("Show the probabilities of the model's findings (Ctrl+Shift+F)"),
        "stop": N_("Stop the model; the text written so far stays (Esc)"),
        "ask": N_("Send the question (Enter; Shift+Enter starts a new line)"),
        "examples": N_("Put an example question into the box"),
        "copy": N_("Copy the transcript as text"),
        "clear": N_("Empty the transcript"),
        "linked": N_(
            "Linked axial, coronal and sagittal views with a shared crosshair (X)\n"
            "Click or drag the crosshair in any view; Shift-drag moves it in the large view."
        ),
        "plane_view": N_(
            "{plane}: click or drag to move the crosshair, wheel or Page Up/Down to scroll,\n"
            "arrow keys move the crosshair, Ctrl+wheel or + - 0 zooms, middle-drag pans,\n"
            "right-drag changes the window, double-click or Enter shows this plane in the large "
            "view."
        ),
        "line": N_(
            "Measure a distance in mm: drag a line (M)\n"
            "With the keyboard: Shift+M sets each end at the crosshair."
        ),
        "rectangle": N_("HU in a rectangle: drag it (R)"),
        "ellipse": N_("HU in an ellipse: drag it (E)"),
        "polygon": N_("HU in a polygon: click its corners, double-click to finish (P)"),
        "select": N_("Select, move or resize a measurement (K); Delete removes it"),
        "remove": N_("Delete the selected measurement"),
        "region": N_(
            "The selected measurement. HU are those of the single slice, even while a slab is\n"
            "shown."
        ),
        "slab": N_("Show a slab of several slices: maximum (MIP), minimum (MinIP) or mean (T)"),
        "thickness": N_("Thickness of the slab in mm"),
        "details": N_("Series, spacing, shape, orientation, HU range and warnings of the scan (I)"),
        "readout": N_("CT number and position under the mouse pointer"),
        "message_copy": N_("Copy this text"),
        "again": N_(
            "Let the model write this again, with random sampling: the words may differ\n"
            "(Ctrl+Shift+G repeats the last text)"
        ),
        "edit": N_(
            "Edit the question and send it again. The model no longer sees what came after it;\n"
            "the transcript keeps it."
        ),
        "chip": N_("Ask this question (Alt+{number})"),
        "choices": N_("Ask a multiple-choice question (Ctrl+Shift+M)"),
        "heat": N_(
            "Show over the slices where in the scan the sentence comes from (Ctrl+Alt+H)\n"
            "Click another sentence or slice link to see its heat map."
        ),
        "heat_opacity": N_("Opacity of the heat map"),
        "findings_table": N_(
            "Click a finding, or press Enter on it, to see where it comes from.\n"
            "Double-click it, or press Ctrl+Enter, to ask about it. Click a header to sort."
        ),
        "finding_probability": N_("The model's probability of Yes against No"),
        "finding_baseline": N_(
            "The model's probability without any scan: the same for every patient"
        ),
        "finding_threshold": N_("The model says Yes from this probability on"),
        "finding_not_assessable": N_(
            "The model cannot reliably detect this finding; disregard its\nprobability."
        ),
        "report": N_(
            "The report. Enter starts a line of your own. Nothing that you type is overwritten."
        ),
        "report_margin": N_(
            "○ not reviewed, ✓ accepted, ✎ edited, ✗ rejected; the number is the image"
        ),
        "pair": N_(
            "Compare the reports of two models on this scan, blind if you wish (Ctrl+Shift+B)"
        ),
        "pair_left": N_("Report A, on the left, is better (1, or Ctrl+1 from the note)"),
        "pair_equal": N_("Both are equally good or bad (2, or Ctrl+2 from the note)"),
        "pair_right": N_("Report B, on the right, is better (3, or Ctrl+3 from the note)"),
        "read_done": N_(
            "Show draft, findings and heat map (Ctrl+Shift+Y). They are also shown once the\n"
            "impression has a sentence of yours that ends in a full stop."
        ),
        "measured": N_(
            "Put the selected ruler, region or label into the report as a sentence (F5)\n"
            "A label layer has to lie on the voxels of the scan."
        ),
        "measured_name": N_(
            "What was measured. Left empty, it is what the line at the cursor names."
        ),
        "measured_place": N_(
            "Where it lies. Left empty, it is what the model said about the finding, if\n"
            "that is on the side that was measured."
        ),
        "measured_update": N_("Give the sentence the new figures; Undo restores the old ones"),
        "accept": N_("Accept the sentence and go to the next one (Ctrl+Enter)"),
        "reject": N_("Take the sentence out of the report, or put it back (Ctrl+Shift+Enter)"),
        "next": N_(
            "Go to the next sentence that is not reviewed (F8). Then A accepts, X rejects,\n"
            "E edits and N goes on, and the picture follows."
        ),
        "checks": N_(
            "Contradictions, and what is missing: findings against the impression, the findings\n"
            "table and the measurements (Ctrl+Shift+K)"
        ),
        "checks_list": N_(
            "Click a line, or press Enter on it, to go there. Nothing has to be changed."
        ),
        "take_along": N_("Take this line out of the report, too (Y while reviewing)"),
        "slice": N_("Show where in the scan the sentence comes from (Ctrl+G)"),
        "explain": N_("Let the model explain the selected text (Ctrl+Shift+E)"),
        "shorten": N_(
            "Let the model shorten the selected text. You see the result before it replaces\n"
            "anything. (Ctrl+Shift+H)"
        ),
        "sum_up": N_(
            "Let the model write an impression of the findings as they stand. You see the\n"
            "result before it replaces anything. (Ctrl+Shift+U)"
        ),
        "undo": N_("Undo (Ctrl+Z)"),
        "redo": N_("Redo (Ctrl+Shift+Z)"),
        "more": N_("The buttons for which this row has no room"),
        "compare": N_("Show the draft beside your version (F9)"),
        "phrases": N_("Insert a standard phrase of the template for the section at the cursor"),
        "template": N_(
            "The report template: its sections and phrases\n"
            "It applies to the next draft; your text stays as it is."
        ),
        "export": N_("Save as DOCX, PDF, text, FHIR or DICOM SR (Ctrl+Shift+X)"),
        "report_window": N_("Show the report in its own window, beside the scan and the chat (F7)"),
        "open_export": N_("Open the file with the program that this computer uses for such files"),
        "hide_export": N_("Hide this line; the file stays"),
        "sign": N_(
            "Sign off the report with your name; you then take responsibility for it\n"
            "(Ctrl+Shift+S)"
        ),
        "forget": N_("Delete what this computer keeps about this scan, or about all scans"),
        "replace": N_("Replace the old text by the model's text; Undo restores the old text"),
        "take_draft": N_("Replace your text by the new draft; Undo restores your text"),
        "add_draft": N_("Add the sentences of the new draft after yours, section by section"),
    }
)
