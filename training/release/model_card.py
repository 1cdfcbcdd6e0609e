"""The model card: what the weights are, how they were made, and the audit's figures."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from safetensors import safe_open

from napari_ct_assistant.training.data.phantom_seeds import SELECTION_SEEDS

HEAD = """\
---
library_name: napari-ct-assistant
license: bsd-3-clause
tags: [ct, radiology, vision-language-model, synthetic-data]
---

# demo: the bundled demonstration model

**Trained on synthetic chest phantoms. Not for clinical use.** It shows what the plugin does and
proves that the training code works. On a real scan it says that the scan is unlike its training,
and what it says there means nothing.

It is E3D-GPT's architecture at a small size: {parameters:.1f} million parameters, a volume of
224x224x112 voxels at 1.5x1.5x3 mm, 2744 patches, 343 image tokens, a Llama of width
{width}. Unlike the paper's, its encoder begins with a convolution pyramid and was taught which
finding, of which degree and in which lobe, lies in which patch (stage `ground`), since so small a
model sees nothing otherwise; its perceiver passes on that alone; and its language model, which has
no pre-training, learned to read true maps first (stage `oracle_maps`).

Made by one command (seed {seed}; {data}), whose stages took {minutes:.0f} minutes one after
another on a machine of two CPU cores:

    ct-assistant train demo

{note}## What it was measured to do

`ct-assistant audit demo --seeds {seeds[0]}:{seeds[1]}` on phantoms of seeds never trained on.
AUROC by scikit-learn, intervals by 500 bootstraps over phantoms. The screen is the language
model's own "Yes" against "No"; the threshold of each finding was set on other phantoms
(seeds {selection}).

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
    lines = [HEAD.format(**facts, seeds=figures["seeds"])]
    lines += ["| finding | present in | AUROC (95 %) | BACC (95 %) | sensitivity | specificity | "]
    lines[-1] += "encoder's own AUROC |\n| --- | --- | --- | --- | --- | --- | --- |\n"
    for row in figures["screen"]:
        low, high = row["auroc_95"]
        b_low, b_high = row["bacc_95"]
        mark = " (not judged)" if row["name"] in facts["unreliable_findings"] else ""
        lines.append(
            f"| {row['name']}{mark} | {row['positives']} | {_f(row['auroc'])} "
            f"({_f(low)}-{_f(high)}) | {_f(row['bacc'])} ({_f(b_low)}-{_f(b_high)}) | "
            f"{_f(row['sensitivity'])} | {_f(row['specificity'])} | {_f(row['patch_auroc'])} |\n"
        )
    lines.append(
        f"| **mean** | | **{_f(figures['mean_auroc'])}** | **{_f(figures['mean_bacc'])}** | | | "
        f"**{_f(figures['mean_patch_auroc'])}** |\n\n"
    )
    if facts["unreliable_findings"]:
        lines.append(
            "Not judged: findings whose AUROC was not surely (95 %) above 0.75 on other "
            "phantoms, set apart for this choice. The screen marks them.\n\n"
        )
    lines.append("| what | figure | without looking |\n| --- | --- | --- |\n")
    lines += [f"| {what} | {figure} | {base} |\n" for what, figure, base in _rows(figures)]
    return "".join(lines)


def card_facts(folder: Path) -> dict[str, Any]:
    """Read a bundled model's facts: sizes, what it was trained on, what it does not judge."""
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    training = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    with safe_open(folder / "model.safetensors", "numpy") as weights:
        shapes = [weights.get_slice(name).get_shape() for name in weights.keys()]  # noqa: SIM118
    return {
        "parameters": sum(math.prod(shape) for shape in shapes) / 1e6,
        "width": config["text_config"]["hidden_size"],
        "seed": training["seed"],
        "data": training["data"],
        "minutes": sum(training["seconds"].values()) / 60,
        # Where they were not made by that command in one go.
        "note": f"{training['note']}\n\n" if "note" in training else "",
        "unreliable_findings": config["unreliable_findings"],
        "selection": f"{SELECTION_SEEDS.start}:{SELECTION_SEEDS.stop}",
    }


def _rows(f: dict[str, Any]) -> list[tuple[str, str, str]]:
    rows = [
        (
            "screen, mean AUROC",
            _f(f["mean_auroc"]),
            f"blind {_f(f['mean_auroc_blind'])}, shuffled images {_f(f['mean_auroc_shuffled'])}",
        ),
        (
            "report: F1 of the set of findings",
            _f(f["report_f1"]),
            f"best constant report {_f(f['report_f1_constant'])}, "
            f"another scan's report {_f(f['report_f1_shuffled'])}",
        ),
        (
            "same patient with one finding more or less: both reports right about it",
            _p(f["pairs_right"]),
            "0 % for a constant report",
        ),
        ("... and the two reports' findings differ", _p(f["pairs_differ"]), "0 %"),
        (
            "share of the commonest set of findings",
            _p(f["identical_sets"]),
            f"truth {_p(f['identical_sets_truth'])}",
        ),
        ("reports that contradict themselves", _p(f["contradictions"]), ""),
        (
            "hottest place of a true sentence lies in the finding's box (24 mm around)",
            _p(f["evidence_inside"]),
            "",
        ),
    ]
    for what in ("side", "lobe", "size"):
        place = f["places"].get(what)
        if place:
            right = f"{_p(place['right'])} of {place['count']}"
            if what == "size":
                right += f", within one class {_p(place['within_one_class'])}"
            rows.append(
                (
                    f"{what} right where the finding is named",
                    right,
                    f"majority {_p(place['majority'])}",
                )
            )
    for kind, item in f["questions"].items():
        rows.append(
            (
                f"questions, {kind.replace('_', ' ')}: exact answer",
                f"{_p(item['right'])} of {item['count']}",
                f"commonest answer {_p(item['majority'])}, of other phantoms {_p(item['usual'])}",
            )
        )
    rows += [
        ("declines questions it was not taught", _p(f["declined_untaught"]), ""),
        ("declines questions it was taught", _p(f["declined_taught"]), ""),
    ]
    seconds = f["seconds"]
    rows.append(
        (
            f"seconds to encode / report / answer ({f['torch_threads']} CPU threads)",
            " / ".join(
                f"{seconds.get(k, float('nan')):.1f}" for k in ("encode", "report", "answer")
            ),
            "",
        )
    )
    return rows


def _f(value: float) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:.2f}"


def _p(value: float) -> str:
    return "-" if value is None or math.isnan(value) else f"{100 * value:.0f} %"
