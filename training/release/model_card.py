"""The model card: what the weights are, how they were trained, and the audit's figures."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from safetensors import safe_open

from napari_ct_assistant.training.data.phantom_seeds import SELECTION_SEEDS
from napari_ct_assistant.training.evaluation.metrics.bootstrap import DRAWS, MIN_PATIENTS
from napari_ct_assistant.training.release.bundle import RELIABLE_AUROC

HEAD = """\
---
library_name: napari-ct-assistant
license: bsd-3-clause
tags: [ct, radiology, vision-language-model, synthetic-data]
---

# demo: the bundled demonstration model

**Trained on synthetic chest phantoms. Not for clinical use.** It shows what the plugin does, and
that the training code works. On a real scan it warns that the scan is unlike its training scans;
what it says about such a scan means nothing.

| | |
| --- | --- |
| architecture | E3D-GPT's at a small size, with the changes below |
| parameters | {parameters:.1f} million |
| input | 224x224x112 voxels of 1.5x1.5x3 mm |
| tokens | 2744 patches, 343 image tokens |
| language model | a Llama with a hidden size of {width}, not pre-trained |
| trained by | `ct-assistant train demo`, seed {seed}, on {data} |
| training time | {minutes:.0f} minutes, summed over the stages, on {cores} CPU cores |

A model as small as this does not learn to see from reports alone. It therefore differs from the
paper's in three ways: the encoder begins with a convolution stem, and stage `ground` teaches it
which finding, of which degree and in which lobe, is in which patch; the perceiver passes on only
these concepts; and the language model learns to read true concept maps first (stage
`oracle_maps`).

{note}## Measured performance

`ct-assistant audit demo --seeds {seeds[0]}:{seeds[1]}`, on phantoms that no training used.
Intervals are 95 % intervals of {draws} bootstrap draws of phantoms; fewer than {min_patients}
phantoms get none. AUROC is counted by ranks, ties half (equal to scikit-learn's). The screen is
the language model's own "Yes" against "No". The threshold of each finding was chosen on other
phantoms (seeds {selection}).

"""
SCREEN_HEAD = """\
| finding | present in | AUROC (95 %) | BACC (95 %) | sensitivity | specificity | \
encoder's own AUROC |
| --- | --- | --- | --- | --- | --- | --- |
"""
UNRELIABLE = """\
Not assessable: the lower end of the finding's AUROC interval was below {limit} on phantoms
reserved for this choice. The screen marks such findings.

"""


def write_card(figures: dict[str, Any], facts: dict[str, Any]) -> str:
    """Return a model card in Markdown.

    Parameters
    ----------
    figures
        What `audit` returns.
    facts
        What `card_facts` returns.
    """
    head = HEAD.format(**facts, seeds=figures["seeds"], draws=DRAWS, min_patients=MIN_PATIENTS)
    return head + audit_tables(figures, facts["unreliable_findings"])


def audit_tables(figures: dict[str, Any], unreliable: list[str]) -> str:
    """Return the tables of an audit's figures in Markdown; some findings may be unreliable."""
    lines = [SCREEN_HEAD]
    lines += [_screen_row(row, unreliable) for row in figures["screen"]]
    means = [_number(figures[f"mean_{name}"]) for name in ("auroc", "bacc", "patch_auroc")]
    lines.append("| **mean** | | **{}** | **{}** | | | **{}** |\n\n".format(*means))
    if unreliable:
        lines.append(UNRELIABLE.format(limit=RELIABLE_AUROC))
    lines.append("| what | figure | without looking |\n| --- | --- | --- |\n")
    rows = [*_report_rows(figures), *_attribute_rows(figures), *_question_rows(figures)]
    lines += [f"| {what} | {figure} | {baseline} |\n" for what, figure, baseline in rows]
    return "".join(lines)


def card_facts(folder: Path) -> dict[str, Any]:
    """Return a bundled model's facts for its card: sizes, training, unreliable findings.

    Parameters
    ----------
    folder
        As `bundle` writes it.
    """
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    training = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    with safe_open(folder / "model.safetensors", "numpy") as weights:
        shapes = [weights.get_slice(name).get_shape() for name in weights.keys()]  # noqa: SIM118
    return {
        "parameters": sum(math.prod(shape) for shape in shapes) / 1e6,
        "width": config["text_config"]["hidden_size"],
        "seed": training["seed"],
        "data": training["data"],
        "cores": training.get("cpu_cores", 2),
        "minutes": sum(training["seconds"].values()) / 60,
        # For weights that the command did not make in one go.
        "note": f"{training['note']}\n\n" if "note" in training else "",
        "unreliable_findings": config["unreliable_findings"],
        "selection": f"{SELECTION_SEEDS.start}:{SELECTION_SEEDS.stop}",
    }


Row = tuple[str, str, str]  # what, figure, what is reached without looking


def _screen_row(row: dict[str, Any], unreliable: list[str]) -> str:
    mark = " (not assessable)" if row["name"] in unreliable else ""
    cells = [
        f"{row['name']}{mark}",
        str(row["positives"]),
        _with_interval(row["auroc"], row["auroc_95"]),
        _with_interval(row["bacc"], row["bacc_95"]),
        _number(row["sensitivity"]),
        _number(row["specificity"]),
        _number(row["patch_auroc"]),
    ]
    return f"| {' | '.join(cells)} |\n"


def _report_rows(f: dict[str, Any]) -> list[Row]:
    return [
        (
            "screen: mean AUROC",
            _number(f["mean_auroc"]),
            f"blind {_number(f['mean_auroc_blind'])}, "
            f"shuffled images {_number(f['mean_auroc_shuffled'])}",
        ),
        (
            "report: F1 of the set of findings",
            _number(f["report_f1"]),
            f"best constant report {_number(f['report_f1_constant'])}, "
            f"another scan's report {_number(f['report_f1_shuffled'])}",
        ),
        (
            "same patient with one finding more or less: both reports right about it",
            _percent(f["pairs_right"]),
            "0 % for a constant report",
        ),
        ("... and the findings of the two reports differ", _percent(f["pairs_differ"]), "0 %"),
        (
            "share of the commonest set of findings",
            _percent(f["identical_sets"]),
            f"truth {_percent(f['identical_sets_truth'])}",
        ),
        ("reports that contradict themselves", _percent(f["contradictions"]), ""),
        (
            "hottest place of a true sentence in the finding's box, or at most 24 mm outside",
            _percent(f["evidence_inside"]),
            "",
        ),
    ]


def _attribute_rows(f: dict[str, Any]) -> list[Row]:
    rows = []
    for attribute, found in f["places"].items():
        right = f"{_percent(found['right'])} of {found['count']}"
        if attribute == "size":
            right += f", within one class {_percent(found['within_one_class'])}"
        rows.append(
            (
                f"{attribute} right where the finding is named",
                right,
                f"commonest answer {_percent(found['majority'])}",
            )
        )
    return rows


def _question_rows(f: dict[str, Any]) -> list[Row]:
    rows = [
        (
            f"questions, {kind.replace('_', ' ')}: exact answer",
            f"{_percent(found['right'])} of {found['count']}",
            f"commonest answer {_percent(found['majority'])}, "
            f"of other phantoms {_percent(found['usual'])}",
        )
        for kind, found in f["questions"].items()
    ]
    parts = [f["seconds"][part] for part in ("encode", "report", "answer")]
    seconds = " / ".join("-" if math.isnan(part) else f"{part:.1f}" for part in parts)
    return [
        *rows,
        ("declines questions that it was not taught", _percent(f["declined_untaught"]), ""),
        ("declines questions that it was taught", _percent(f["declined_taught"]), ""),
        (f"seconds to encode / report / answer ({f['torch_threads']} CPU threads)", seconds, ""),
    ]


def _with_interval(value: float, interval: tuple[float, float]) -> str:
    low, high = interval
    return _number(value) if math.isnan(low) else f"{_number(value)} ({low:.2f}-{high:.2f})"


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{100 * value:.0f} %"
