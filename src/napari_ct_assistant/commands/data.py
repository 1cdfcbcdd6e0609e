"""`prepare` and `instructions`: training data, before any training."""

from __future__ import annotations

import os
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_ct_assistant.commands.extras import training_extra
from napari_ct_assistant.commands.terminal import AsJson, fail, note, one_line_errors, print_json

if TYPE_CHECKING:
    from napari_ct_assistant.training.data.datasets.record import ScanRecord
    from napari_ct_assistant.training.data.volume_store import VolumeStore

RecipeFile = Annotated[
    str, typer.Argument(metavar="RECIPE.yaml", help="A recipe file, or a bundled recipe's name.")
]
Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE", help="Values that replace the recipe's."),
]


class QuestionKind(StrEnum):
    """What is asked for."""

    yes_no = "yes_no"
    free = "free"
    short = "short"
    multiple_choice = "multiple_choice"


def prepare(
    recipe: RecipeFile,
    overrides: Overrides = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Processes; one a core by default.")
    ] = None,
    verify: Annotated[
        bool, typer.Option("--verify", help="Also read every prepared volume again.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Prepare the scans of a recipe's data set once, for every training on it.

    Interrupted, the same command goes on where it was.
    """
    with one_line_errors(), training_extra():
        from napari_ct_assistant.training.config.load import load_recipe
        from napari_ct_assistant.training.data.stores import open_store

        store = open_store(load_recipe(recipe, list(overrides or ())))
        found = _fill(store, workers)
        if verify:
            found["verified"] = _verify(store, workers)
        if as_json:
            print_json(found)
        else:
            typer.echo(_in_words(found))


def _fill(store: VolumeStore, workers: int | None) -> dict[str, Any]:
    """Prepare what is missing; return what stands and how fast it went."""
    start = last = time.monotonic()
    first = done = 0
    for done in store.fill(workers):
        now = time.monotonic()
        first = first or done
        if now - last > 10:
            last = now
            rate = max(done - first, 1) / (now - start)
            left = (len(store) - done) / rate / 3600
            note(f"{done} of {len(store)}, {rate:.2f} a second, {left:.1f} h to go")
    seconds = time.monotonic() - start
    sizes = [os.stat(store.volume_file(i)).st_size for i in range(len(store))]  # noqa: PTH116
    found: dict[str, Any] = {
        "folder": str(store.folder),
        "volumes": len(store),
        "seconds": round(seconds, 1),
        "bytes": sum(sizes),
        "bytes_per_volume": round(sum(sizes) / len(sizes)),
    }
    skips = getattr(store, "skips", None)
    if skips is not None:
        found["skipped"] = dict(skips.found)
    return found


def _verify(store: VolumeStore, workers: int | None) -> int:
    """Read every prepared volume again; what is wrong is prepared anew. Return how many were."""
    from napari_ct_assistant.training.data.datasets.store import DatasetStore

    if not isinstance(store, DatasetStore):
        raise fail("--verify: phantoms are drawn from their seeds; there is nothing to compare")
    wrong = 0
    for index, problem in store.verify():
        if problem:
            wrong += 1
            note(f"{store.records[index].name}: {problem}; prepared again")
    if wrong:
        for _ in store.fill(workers):
            pass
    return len(store)


def _in_words(found: dict[str, Any]) -> str:
    lines = [
        f"{found['volumes']} volumes in {found['folder']}: {found['bytes'] / 1e9:.2f} GB, "
        f"{found['bytes_per_volume'] / 1e6:.2f} MB each; {found['seconds']:.0f} s"
    ]
    if found.get("skipped"):
        lines.append(f"skipped {len(found['skipped'])}, listed in {found['folder']}/skipped.csv")
    if "verified" in found:
        lines.append(f"verified {found['verified']}")
    return "\n".join(lines)


def instructions(
    recipe: RecipeFile,
    output: Annotated[Path, typer.Argument(metavar="OUT.jsonl", help="Lines are added to it.")],
    overrides: Overrides = None,
    kinds: Annotated[
        list[QuestionKind] | None,
        typer.Option("--kind", help="What to ask for; may be repeated. All, if left out."),
    ] = None,
    endpoint: Annotated[
        str | None,
        typer.Option("--endpoint", metavar="URL", help="An OpenAI-compatible server, .../v1."),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="The model, as the server calls it.")
    ] = None,
    count: Annotated[
        int, typer.Option("--count", min=1, max=50, help="Questions of a kind for each report.")
    ] = 5,
    prices: Annotated[
        tuple[float, float] | None,
        typer.Option("--prices", help="Dollars per million tokens, in and out."),
    ] = None,
    key_variable: Annotated[
        str, typer.Option("--key-from", help="The environment variable that holds the key.")
    ] = "OPENAI_API_KEY",
    workers: Annotated[int, typer.Option("--workers", min=1, help="Requests at a time.")] = 4,
    yes: Annotated[
        bool, typer.Option("--yes", help="Send the reports; without it only the cost is told.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make questions and answers from a data set's reports.

    Without --endpoint by rules, offline. With it, a language model writes them: the reports
    leave this machine for the endpoint's host, after --yes alone. Interrupted, the same
    command goes on where it was.
    """
    with one_line_errors(), training_extra():
        from napari_ct_assistant.training.config.load import load_recipe
        from napari_ct_assistant.training.config.recipe import PhantomData
        from napari_ct_assistant.training.data.datasets.reading import read_records

        if (endpoint is None) != (model is None):
            raise fail("--endpoint and --model go together")
        data = load_recipe(recipe, list(overrides or ())).data
        if isinstance(data, PhantomData):
            raise fail("data.kind phantoms: phantoms bring their own questions")
        records, _ = read_records(data)
        asked: list[Any] = [kind.value for kind in kinds or QuestionKind]
        output.parent.mkdir(parents=True, exist_ok=True)
        if endpoint is None or model is None:
            from napari_ct_assistant.training.instructions.generate import write_templates

            result = vars(write_templates(records, asked, output))
        else:
            key = os.environ.get(key_variable, "")
            result = _ask(
                records, asked, (endpoint, model, key), count, prices, output, workers, yes
            )
        if as_json:
            print_json(result)
        else:
            told = {"written": 0, **{name: value for name, value in result.items() if value}}
            typer.echo("\n".join(f"{name.replace('_', ' ')}: {v}" for name, v in told.items()))
        if result.get("failed"):
            raise fail(f"{len(result['failed'])} requests failed; run the command again for them")


def _ask(
    records: list[ScanRecord],
    kinds: list[Any],
    server: tuple[str, str, str],
    count: int,
    prices: tuple[float, float] | None,
    output: Path,
    workers: int,
    yes: bool,
) -> dict[str, Any]:
    """Tell what it would take, and ask where that was agreed to."""
    from napari_ct_assistant.training.instructions import generate
    from napari_ct_assistant.training.instructions.endpoint import ChatEndpoint
    from napari_ct_assistant.training.instructions.rows import done_lines

    chat = ChatEndpoint(*server)
    requests = generate.plan(records, kinds, count, chat.model, done_lines(output))
    planned = generate.estimate(requests, count, prices)
    cost = "" if planned.dollars is None else f", about ${planned.dollars:.2f}"
    note(
        f"{planned.requests} requests about {planned.reports} reports to {chat.host}: about "
        f"{planned.tokens_in} tokens in and {planned.tokens_out} out{cost}"
    )
    if not yes:
        note(f"nothing was sent; --yes sends the texts of the reports to {chat.host}")
        return {"sent": False, **vars(planned)}
    outcome = generate.ask_endpoint(
        requests,
        chat,
        count,
        output,
        workers=workers,
        progress=lambda n: note(f"{n} of {len(requests)}") if n % 100 == 0 else None,
    )
    return {"sent": True, **vars(outcome)}
