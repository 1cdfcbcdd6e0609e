"""The model card of heads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def write_probe_card(
    name: str,
    facts: Mapping[str, str],
    notice: str,
    figures: Mapping[str, Any],
    left_out: Mapping[str, str],
) -> str:
    """Return the `README.md` of a folder of heads.

    Parameters
    ----------
    name : str
        Of the folder.
    facts
        {what: value}: encoder, data, code.
    notice : str
    figures
        Of `head_figures`.
    left_out
        {finding: why it has no head}.
    """
    lines = ["| | |", "| --- | --- |", *(f"| {key} | {value} |" for key, value in facts.items())]
    mean = figures["mean"]
    text = [
        "---\nlibrary_name: napari-ct-assistant\ntags: [ct, radiology, classification]\n---\n",
        f"# {name}\n",
        f"**{notice}**\n",
        "Logistic regressions on a frozen encoder: a calibrated probability for each finding, and "
        "no text.\n",
        "\n".join(lines) + "\n",
        "## Measured performance\n",
        f"On {figures['scans']} scan(s) of {figures['patients']} held-out patient(s), which had no "
        "part in fitting, calibration or thresholds. Intervals: 95 %, by drawing patients. "
        "*Another scan*: the same heads on another patient's scan. Without any scan, AUROC is "
        "0.5; *base rate* is the Brier score of always giving the training share, *majority* the "
        "accuracy of the commoner answer.\n",
        f"Mean AUROC over {mean['findings']} finding(s): {_with(mean, 'auroc')}; with another "
        f"scan {_shown(mean['auroc_another_scan'])}.\n",
        _table(figures["findings"]),
    ]
    if left_out:
        rows = [f"* {finding}: {why}" for finding, why in left_out.items()]
        text += ["Without a head, for lack of examples:\n", "\n".join(rows) + "\n"]
    return "\n".join(text)


def _table(rows: list[dict[str, Any]]) -> str:
    head = (
        "| Finding | Present | AUROC | Another scan | BACC | Accuracy | Majority | Brier | "
        "Base rate | Threshold |\n|" + " --- |" * 10
    )
    lines = [
        f"| {row['finding']} | {row['present']} of {row['scans']} | {_with(row, 'auroc')} | "
        f"{_shown(row['auroc_another_scan'])} | {_with(row, 'bacc')} | "
        f"{_shown(row['accuracy'])} | {_shown(row['accuracy_majority'])} | "
        f"{_shown(row['brier'])} | {_shown(row['brier_base_rate'])} | {row['threshold']:.3f} |"
        for row in rows
    ]
    return "\n".join([head, *lines]) + "\n"


def _with(row: Mapping[str, Any], key: str) -> str:
    pair = row.get(f"{key}_interval")
    if row[key] is None or pair is None:
        return _shown(row[key])
    return f"{row[key]:.3f} ({pair[0]:.3f} to {pair[1]:.3f})"


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
