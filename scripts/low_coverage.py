"""Name each file whose tests cover less of it than 80 %, from coverage's JSON report."""

from __future__ import annotations

import json
import sys
from pathlib import Path

LOW = 80.0

report = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
rows = sorted(
    (entry["summary"]["percent_covered"], name) for name, entry in report["files"].items()
)
for percent, name in rows:
    if percent < LOW:
        print(f"{percent:5.1f} %  {name}")
print(f"{report['totals']['percent_covered']:5.1f} %  in all, {len(rows)} files")
