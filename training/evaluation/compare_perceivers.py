"""E3D-GPT's Table 5: every perceiver trained on the same data and seeds, then compared.

Two runs of one seed differ in the perceiver alone: encoder, language model, order of the samples
and test questions are the same.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.assistant import Assistant, GenerationSettings, load_assistant
from napari_ct_assistant.model.modeling import VolumeLanguageModel
from napari_ct_assistant.model.perceivers import PERCEIVERS
from napari_ct_assistant.model.processor import VolumeLanguageProcessor
from napari_ct_assistant.report_text.yes_no import chosen_letter
from napari_ct_assistant.support import atomic
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.config.load import load_recipe
from napari_ct_assistant.training.config.recipe import Recipe
from napari_ct_assistant.training.evaluation.answer_log import AnswerLog
from napari_ct_assistant.training.evaluation.answer_sets import (
    AnswerSet,
    finding_answers,
    question_answers,
)
from napari_ct_assistant.training.evaluation.cases import CaseList, refuse_empty_tasks
from napari_ct_assistant.training.evaluation.diagnosis import (
    AUROC_OWN,
    predicted_yes,
    yes_probabilities,
)
from napari_ct_assistant.training.evaluation.examiner import Examiner
from napari_ct_assistant.training.evaluation.metric_values import OWN
from napari_ct_assistant.training.evaluation.metrics.baselines import MODEL
from napari_ct_assistant.training.evaluation.metrics.bootstrap import PatientBootstrap
from napari_ct_assistant.training.evaluation.metrics.classification import (
    RATES,
    auroc,
    confusion,
    rates,
)
from napari_ct_assistant.training.evaluation.metrics.text_metrics import (
    PERCENT,
    TextMetric,
    text_metrics,
)
from napari_ct_assistant.training.evaluation.perceiver_table import (
    PerceiverValue,
    tabulate,
    write_table,
)
from napari_ct_assistant.training.evaluation.run import evaluate
from napari_ct_assistant.training.run import run_stage

Array = NDArray[np.float64]

TASKS = ("vqa", "choice", "diagnosis")
# Overrides that only the first recipe takes.
_FIRST_ONLY = ("encoder=", "encoder.", "model=")


def compare_perceivers(
    recipes: Sequence[str],
    cases: CaseList,
    out: Path,
    *,
    overrides: Sequence[str] = (),
    seeds: int = 1,
    perceivers: Sequence[str] = tuple(PERCEIVERS),
    tasks: Sequence[str] = TASKS,
    metrics: Sequence[TextMetric] | None = None,
    start: Path | None = None,
    device: str | None = None,
    max_new_tokens: int | None = None,
    progress: Callable[[str], None] | None = None,
) -> list[PerceiverValue]:
    """Train, evaluate and tabulate every perceiver; finished runs are kept and not repeated.

    Parameters
    ----------
    recipes
        One that joins an encoder, a perceiver and a language model (stage align, or instruct
        with an encoder), optionally followed by one of stage instruct.
    cases : CaseList
        What the models are evaluated on.
    out
        Receives a folder for each run, and the table as CSV, JSON and Markdown.
    overrides
        `key=value` for every recipe.
    seeds
        Number of seeds per perceiver: 0 to `seeds` - 1.
    perceivers
        Some of the registry.
    tasks
        Some of `TASKS`.
    start
        A model folder; the first recipe starts from its encoder and its language model.
    device
        Where the models are evaluated.
    max_new_tokens
        Length limit of an answer; the model's own by default.
    progress
        Called with a line of text before each run.

    Raises
    ------
    RecipeError
        If a recipe is wrong, before anything is trained.
    """
    refuse_empty_tasks(cases, (), among=tasks)
    tell = progress or (lambda _: None)
    scorers = text_metrics() if metrics is None else list(metrics)
    out.mkdir(parents=True, exist_ok=True)
    base = list(overrides)
    if start is not None:
        # First, so that an override can name another language model.
        base = [*take_apart(start, out.resolve() / "start"), *base]
    stages = _stages(recipes, base)
    _check_same(out, recipes, overrides, start, cases)
    values: list[PerceiverValue] = []
    runs = [(seed, kind) for seed in range(seeds) for kind in perceivers]
    for number, (seed, kind) in enumerate(runs, start=1):
        tell(f"run {number} of {len(runs)}: {kind}, seed {seed}")
        folder = out.resolve() / f"{kind}-{seed}"
        if not (folder / "draws.json").exists():
            trained = _train(recipes, stages, base, kind, seed, folder)
            settings = GenerationSettings(max_new_tokens=max_new_tokens)
            assistant = load_assistant(trained, device=device, settings=settings)
            _evaluate(assistant, cases, folder, tasks, scorers)
        values = tabulate(out, perceivers, seeds)
        write_table(out, values, recipes, overrides, cases.name)
    return values


def take_apart(model: Path, folder: Path) -> list[str]:
    """Write a model's encoder and language model to two folders; return overrides that use them."""
    if not (folder / "language" / "tokenizer_config.json").exists():
        whole = VolumeLanguageModel.from_pretrained(model, local_files_only=True).float()
        whole.vision_tower.save_pretrained(folder / "encoder")
        whole.language_model.save_pretrained(folder / "language")
        processor = VolumeLanguageProcessor.from_pretrained(model, local_files_only=True)
        processor.tokenizer.save_pretrained(folder / "language")
    encoder = json.dumps({"start": str(folder / "encoder")})  # JSON is YAML
    return [f"encoder={encoder}", _set("model", folder / "language")]


def _set(key: str, value: Path) -> str:
    """Return an override; JSON quoting allows any character in the path."""
    return f"{key}={json.dumps(str(value))}"


def _stages(recipes: Sequence[str], base: Sequence[str]) -> list[Recipe]:
    """Load the recipes; refuse those that cannot be compared."""
    if not 1 <= len(recipes) <= 2:
        raise RecipeError(f"compare takes one recipe, or align and instruct; got {len(recipes)}")
    first = load_recipe(recipes[0], list(base))
    if first.stage not in ("align", "instruct") or not first.joins:
        raise RecipeError(
            f"{recipes[0]}: stage {first.stage} joins no encoder, perceiver and language model; "
            "give a recipe of stage align, or of instruct with `encoder`"
        )
    assert first.model is not None  # noqa: S101  checked with the recipe
    if (first.path(first.model) / "processor_config.json").is_file():
        raise RecipeError(
            f"{recipes[0]}: model {first.model} already has a perceiver; give a language model"
        )
    stages = [first]
    if len(recipes) == 2:
        second = load_recipe(recipes[1], [o for o in base if not o.startswith(_FIRST_ONLY)])
        if second.stage != "instruct":
            raise RecipeError(
                f"{recipes[1]}: stage {second.stage}; the second recipe must be of stage instruct"
            )
        stages.append(second)
    return stages


def _check_same(
    out: Path, recipes: Sequence[str], overrides: Sequence[str], start: Path | None, cases: CaseList
) -> None:
    """Refuse a folder that holds another comparison."""
    about = {
        "recipes": list(recipes),
        "overrides": list(overrides),
        "from": start.name if start else None,
        "test": cases.name,
        "test_digest": cases.digest,
        "test_scans": len(cases.cases),
    }
    file = out / "comparison.json"
    if not file.exists():
        atomic.write_text(file, json.dumps(about, indent=2) + "\n")
        return
    known = json.loads(file.read_text(encoding="utf-8"))
    for name, value in about.items():
        if known.get(name) != value:
            raise RecipeError(
                f"{out}: holds a comparison with other {name} ({known.get(name)!r}, now "
                f"{value!r}); give another --out"
            )


def _train(
    recipes: Sequence[str],
    stages: Sequence[Recipe],
    base: Sequence[str],
    kind: str,
    seed: int,
    folder: Path,
) -> Path:
    """Run the stages of one perceiver and seed; return the last stage's folder."""
    trained = folder / stages[0].stage
    # Only the convolution can start at word embeddings, so none does here.
    own = [f"perceiver.kind={kind}", "perceiver.concept_words=false"]
    own += [f"seed={seed}", _set("output", trained)]
    run_stage(stages[0].stage, recipes[0], [*base, *own])
    for recipe, stage in zip(recipes[1:], stages[1:], strict=True):
        before, trained = trained, folder / f"{stage.stage}-2"
        kept = [o for o in base if not o.startswith(_FIRST_ONLY)]
        own = [_set("model", before), f"seed={seed}", _set("output", trained)]
        run_stage(stage.stage, recipe, [*kept, *own])
    return trained


def _evaluate(
    assistant: Assistant,
    cases: CaseList,
    folder: Path,
    tasks: Sequence[str],
    scorers: Sequence[TextMetric],
) -> None:
    """Evaluate one model; keep each figure with its bootstrap draws."""
    evaluate(assistant, cases, folder / "evaluation", tasks=tasks, baselines=False, metrics=scorers)
    log = AnswerLog(folder / "evaluation", {})
    examiner = Examiner(assistant, cases, tuple(tasks), baselines=False)
    content = {
        "parameters": sum(p.numel() for p in assistant.model.projector.parameters()),
        "figures": values_with_draws(examiner, log, scorers),
    }
    assistant.close()
    atomic.write_text(folder / "draws.json", json.dumps(content))


def values_with_draws(
    examiner: Examiner, log: AnswerLog, scorers: Sequence[TextMetric]
) -> dict[str, dict[str, Any]]:
    """Return {metric: value, draws, items, patients, implementation} of one model.

    The draws of two models are of the same patients, so they can be subtracted.
    """
    found: dict[str, dict[str, Any]] = {}

    def add(name: str, value: float, drawn: Array, of: PatientBootstrap, how: str) -> None:
        found[name] = {
            "value": PERCENT * value,
            "draws": [round(PERCENT * float(v), 5) if np.isfinite(v) else None for v in drawn],
            "items": len(of.owner),
            "patients": of.count,
            "implementation": how,
        }

    def add_mean(name: str, scores: Array, sets: Sequence[AnswerSet], how: str) -> None:
        of = PatientBootstrap([item.patient for item in sets])
        add(name, float(scores.mean()), of.of_mean(scores), of, how)

    texts = question_answers(examiner, log, choice=False) if "vqa" in examiner.tasks else []
    for metric in scorers if texts else ():
        if not metric.reports_only:
            scores = metric.score([i.texts[MODEL] for i in texts], [i.truth for i in texts])
            add_mean(metric.name, scores / PERCENT, texts, metric.implementation)
    choices = question_answers(examiner, log, choice=True) if "choice" in examiner.tasks else []
    if choices:
        right = [chosen_letter(i.texts[MODEL], i.choices) == i.truth for i in choices]
        add_mean("multiple choice", np.array(right, dtype=float), choices, OWN)
    findings = finding_answers(examiner, log) if "diagnosis" in examiner.tasks else []
    if findings:
        truth = np.array([float(i.truth) for i in findings])
        predicted = predicted_yes(findings)
        of = PatientBootstrap([i.patient for i in findings])
        drawn = of.of_sums(confusion(truth, predicted), RATES["BACC"])
        add("diagnosis BACC", rates(truth, predicted)["BACC"], drawn, of, OWN)
        score = yes_probabilities(findings)
        if score is not None and 0 < truth.sum() < len(truth):
            add("diagnosis AUROC", auroc(truth, score), of.of_auroc(truth, score), of, AUROC_OWN)
    return found
