"""Print the figures of an audit as text."""

from __future__ import annotations

from typing import Any


def figures_as_text(value: Any, indent: str = "") -> str:
    """Return nested figures as indented lines of text; a list of rows becomes a table."""
    if isinstance(value, dict) and value:
        lines = []
        for name, item in value.items():
            nested = (isinstance(item, dict) and item) or _is_table(item)
            text = figures_as_text(item, indent + "  " if nested else "")
            shown = f"\n{text}" if nested else f" {text}"
            lines.append(f"{indent}{str(name).replace('_', ' ')}:{shown}")
        return "\n".join(lines)
    if _is_table(value):
        cells = [[figures_as_text(cell) for cell in row.values()] for row in value]
        rows = [list(value[0]), *cells]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join(
            indent
            + "  ".join(
                cell.rjust(width) if column else cell.ljust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            for row in rows
        )
    if isinstance(value, dict | list | tuple):
        return (" to " if len(value) == 2 else ", ").join(map(figures_as_text, value)) or "none"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def _is_table(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)
