"""Which phantoms are for what, so that no figure is taken on one that was trained or chosen on.

| seeds | use |
| --- | --- |
| 0 to 499,999 | audits |
| 500,000 to 500,119 | choices: thresholds, findings that are not claimed |
| from 1,000,000 | training volumes |
| from 5,000,000 | texts alone |
"""

from __future__ import annotations

SELECTION_SEEDS = range(500_000, 500_120)
