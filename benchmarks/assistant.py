"""Measure what a reader waits for beside what they would use instead.

    python -m benchmarks.assistant [--list] [--only GROUP ...] [--repeat N] [--quick] [--quiet]

`benchmarks/rows.py` says what a group of rows is; `--list` names them.
"""

from benchmarks.suite import main

if __name__ == "__main__":
    raise SystemExit(main())
