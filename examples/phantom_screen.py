"""Compare the findings screen of the demonstration model with the truth of made-up patients.

    python examples/phantom_screen.py [NUMBER]

`ct-assistant audit` does this at length, with confidence intervals and with baselines that never
look at the scan. A few phantoms show only how the parts fit together.
"""

from __future__ import annotations

import sys

from napari_ct_assistant import load_assistant
from napari_ct_assistant.phantoms import make_phantom

number = int(sys.argv[1]) if len(sys.argv) > 1 else 5
assistant = load_assistant("demo")
right = total = 0
for seed in range(number):
    phantom = make_phantom(seed)
    found = assistant.read(phantom.volume).screen()
    present = [name for name, label in phantom.labels.items() if label]
    print(f"phantom {seed}: {', '.join(present) or 'no finding'}")
    for finding in found:
        total += 1
        if finding.positive == bool(phantom.labels[finding.name]):
            right += 1
        else:
            word = "missed" if phantom.labels[finding.name] else "false alarm"
            print(f"  {word}: {finding.name} ({finding.probability:.2f})")
print(f"{right} of {total} findings judged right")
