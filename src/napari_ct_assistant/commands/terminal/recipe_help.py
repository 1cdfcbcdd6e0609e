"""The end of the help of commands that take a recipe: stages, bundled recipes, examples."""

from __future__ import annotations

from typing import Any, Final

from typer.core import TyperCommand

_TRAIN: Final = """\
Examples:
  ct-assistant train e3d_gpt/mae data.table=scans.csv root=runs --check
  ct-assistant train e3d_gpt/mae data.table=scans.csv root=runs
  ct-assistant recipes copy e3d_gpt/mae my.yaml
  ct-assistant train mae my.yaml training.epochs=3
  torchrun --nproc-per-node 4 -m napari_ct_assistant train e3d_gpt/mae
"""
_PREPARE: Final = """\
Examples:
  ct-assistant prepare e3d_gpt/mae data.table=scans.csv root=runs
  ct-assistant prepare e3d_gpt/mae 'data={kind: ct_rate, root: CT-RATE}' root=runs --verify
"""
_INSTRUCTIONS: Final = """\
Examples:
  ct-assistant instructions e3d_gpt/align questions.jsonl data.table=scans.csv
  ct-assistant train e3d_gpt/align data.table=scans.csv data.questions=[questions.jsonl]
"""


class _ListsRecipes(TyperCommand):
    """A command whose help ends with its examples and the recipes that there are."""

    examples = ""
    stages: tuple[str, ...] = ()

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples and the recipes."""
        super().format_epilog(ctx, formatter)
        text = f"{self.examples}\n{_recipes(self.stages)}"
        formatter.write("\n" + text)


class TrainHelp(_ListsRecipes):
    """The help of `train`."""

    examples = _TRAIN


class PrepareHelp(_ListsRecipes):
    """The help of `prepare`."""

    examples = _PREPARE


class InstructionsHelp(_ListsRecipes):
    """The help of `instructions`, which reads recipes of reports."""

    examples = _INSTRUCTIONS
    stages = ("align", "instruct")


def _recipes(stages: tuple[str, ...]) -> str:
    """Return a line for each bundled recipe, by stage."""
    # Imported for the help alone: reading the recipes takes half a second.
    try:
        from napari_ct_assistant.training.config.bundled import bundled_recipes
    except ModuleNotFoundError:
        return "Recipes: pip install 'napari-ct-assistant[train]', then ct-assistant recipes list\n"
    found: dict[str, list[tuple[str, str]]] = {}
    for one in bundled_recipes():
        stage = str(one.values["stage"])
        if not stages or stage in stages:
            found.setdefault(stage, []).append((one.name, one.purpose))
    width = max(len(name) for rows in found.values() for name, _ in rows)
    lines = ["Recipes by stage (ct-assistant recipes copy NAME FILE makes one your own):"]
    for stage, rows in found.items():
        lines.append(f"  {stage}")
        lines += [f"    {name:{width}}  {purpose}" for name, purpose in rows]
    return "\n".join(lines) + "\n"
