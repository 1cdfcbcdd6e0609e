"""The use of each range of phantom seeds; figures come from phantoms that nothing was fitted to.

| seeds | use |
| --- | --- |
| 0 to 499,999 | audits |
| 500,000 to 500,119 | thresholds, and the choice of unreliable findings |
| from 1,000,000 | training volumes |
| from 5,000,000 | training texts |
| 10,000,000 to 99,999,999 | wordings of training texts |
"""

from __future__ import annotations

SELECTION_SEEDS = range(500_000, 500_120)
WORDING_SEEDS = range(10_000_000, 100_000_000)
