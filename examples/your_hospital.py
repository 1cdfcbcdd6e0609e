"""From a table of scans and reports to a model of your own in the panel.

    python examples/your_hospital.py                                 # a trial on 12 phantoms
    python examples/your_hospital.py scans.csv --out my_model        # from the bundled model
    python examples/your_hospital.py scans.csv --out my_model --start MODEL [--language-model MODEL]

The table is checked, the scans are prepared, the model is trained on nine tenths of the patients
and evaluated on the others beside baselines that do not use the scan. With --language-model, only
the encoder of --start is used. --set KEY=VALUE replaces a setting of the recipes. Run the same
command again after an interruption. docs/your-hospital.md explains each step.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
from pathlib import Path

from napari_ct_assistant import load_assistant
from napari_ct_assistant.assistant.models.installed import find_model, remember_folder
from napari_ct_assistant.phantoms import draw_truth, make_phantom
from napari_ct_assistant.training.config.load import load_recipe
from napari_ct_assistant.training.data.datasets.read_records import read_records
from napari_ct_assistant.training.evaluation.cases import CaseList, record_cases
from napari_ct_assistant.training.evaluation.run import evaluate
from napari_ct_assistant.training.run import run_stage
from napari_ct_assistant.volume import write_nifti

# Twelve phantoms teach nothing about chests, but a way to write reports. The bundled model knows
# this question already.
FIRST = 16  # of these twelve, three are test patients
HOUSE_STYLE = "The heart, both lungs and the pleura are seen."
TRIAL = ["data.held_out=0.25", "training.epochs=20", "training.accumulate=2"]
TRIAL += ["training.learning_rate=1e-3", "training.log_steps=10"]
TRIAL += ["conversation.report_question=Describe the findings of this chest CT."]


def write_trial(folder: Path, count: int) -> Path:
    """Write phantoms as NIfTI files and their table, in the form that Excel gives it in Europe."""
    table = folder / "scans.csv"
    if table.exists():
        return table
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for seed in range(FIRST, FIRST + count):
        phantom, truth = make_phantom(seed), draw_truth(seed)
        write_nifti(phantom.volume, folder / f"scan-{seed}.nii.gz")
        # A sentence of this hospital, with which no report of the model's training begins.
        report = truth.report.replace("Findings: ", f"{HOUSE_STYLE}\nFindings: ")
        report = report.replace(" Impression:", "\nImpression:")
        rows.append((f"scan-{seed}.nii.gz", report, f"patient {seed}", "Universitätsklinik"))
    with table.open("w", newline="", encoding="cp1252") as stream:
        writer = csv.writer(stream, delimiter=";")
        writer.writerow(["Image", "Report", "Patient", "Hospital"])
        writer.writerows(rows)
    return table


def cases_of(recipe: str, overrides: list[str]) -> CaseList:
    """Return the patients of the table that are kept for the test; print what is in the table."""
    data = load_recipe(recipe, overrides).data
    parts = {}
    for split in ("train", "test"):
        records, skips = read_records(data.model_copy(update={"split": split}))
        patients = len({record.patient for record in records})
        print(f"{split}: {len(records)} scans of {patients} patients", flush=True)
        parts[split] = records
    for line in (*skips.notes, *(f"left out: {k}: {v}" for k, v in skips.found.items())):
        print(line)
    return record_cases("the test patients", parts["test"])


def main() -> None:
    """Run the steps in their order."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("table", nargs="?", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs/your_hospital"))
    parser.add_argument("--start", default="demo", help="released model to start from")
    parser.add_argument("--language-model", help="train it on the encoder of --start")
    parser.add_argument("--phantoms", type=int, default=12, help="scans of the trial")
    parser.add_argument("--max-new-tokens", type=int, help="length limit of a report")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    known = parser.parse_args()
    folder = known.out.resolve()
    settings = [f"root={folder}"]
    if known.table is None:
        known.table = write_trial(folder / "scans", known.phantoms)
        settings += TRIAL
    settings += [f"data.table={known.table.resolve()}", *known.set]
    start = find_model(known.start)
    if known.language_model is None:
        stages = {"instruct": ("your_hospital/adapt", [*settings, f"model={start}"])}
    else:
        own = [f"encoder.start={start}", f"model={known.language_model}"]
        stages = {
            "align": ("your_hospital/align", [*settings, *own]),
            "instruct": ("your_hospital/instruct", settings),
        }

    cases = cases_of(*stages["instruct"])
    for stage, (recipe, values) in stages.items():
        run_stage(stage, recipe, values)
    model = load_recipe(*stages["instruct"]).folder
    assistant = load_assistant(model)
    if known.max_new_tokens is not None:
        assistant.settings = dataclasses.replace(
            assistant.settings, max_new_tokens=known.max_new_tokens
        )
    evaluate(assistant, cases, folder / "evaluation", tasks=("report", "vqa", "choice"))
    print((folder / "evaluation" / "figures.md").read_text(encoding="utf-8"))
    remember_folder(model)  # the panel and `ct-assistant models list` show it
    print(f"see it with: ct-assistant view SCAN --model {model}")


# Scans are prepared in several processes, each of which imports this file again.
if __name__ == "__main__":
    main()
