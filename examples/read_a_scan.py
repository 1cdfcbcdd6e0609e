"""Draft a report, ask questions and screen a scan for findings.

    python examples/read_a_scan.py [SCAN]

SCAN is a DICOM folder or a NIfTI file. Without it a phantom with a pleural effusion is read.
"""

from __future__ import annotations

import sys

from napari_ct_assistant import load_assistant, open_ct
from napari_ct_assistant.phantoms import make_phantom

if len(sys.argv) > 1:
    volume = open_ct(sys.argv[1])
else:
    volume = make_phantom(7, findings=["Pleural effusion"]).volume

print(f"{volume.shape} voxels of {volume.spacing} mm")
for warning in volume.warnings:
    print("Warning:", warning)

# The scan is encoded once; the report, every question and the screen share the result.
reading = load_assistant("demo").read(volume)

draft = reading.draft_report()
print(f"\n{draft}\n")
for sentence in draft.sentences:
    support = "-" if sentence.support is None else f"{sentence.support:+.1f} nats"
    print(f"slice {sentence.slice}, support {support}: {sentence.text}")

for question in ("Is there a pleural effusion?", "Where is the pleural effusion?"):
    print(f"\n{question}\n{reading.ask(question).text}")

print("\nFindings above their threshold:")
for finding in reading.screen():
    if finding.positive:
        print(f"  {finding.name}: {finding.probability:.2f}")
