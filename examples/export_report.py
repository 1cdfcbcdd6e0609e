"""Review a draft, sign it, and write it as plain text, FHIR and DICOM SR.

    python examples/export_report.py [FOLDER]

A draft stays a draft until a person signs it: the exports carry the status "preliminary" before
and "final" after, and name the model, its weights and what was done to each sentence.
"""

from __future__ import annotations

import sys
from pathlib import Path

from napari_ct_assistant import load_assistant
from napari_ct_assistant.assistant.export import export_report
from napari_ct_assistant.assistant.report.document import ReportDocument
from napari_ct_assistant.assistant.report.template import find_template
from napari_ct_assistant.phantoms import make_phantom

folder = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
volume = make_phantom(3, findings=["Consolidation"]).volume
draft = load_assistant("demo").read(volume).draft_report()

document = ReportDocument.from_draft(draft, find_template("Chest CT"), volume)
print(document)
print(f"\n{document.unreviewed} sentences not reviewed, status {document.status}")

signed = document.sign("A. Reader", "Example Hospital")
for name in ("report.txt", "report.json", "report.dcm"):
    print("wrote", export_report(signed, folder / name))
