"""`prepare` and `instructions`: prepare a data set's scans and make questions for training."""

from __future__ import annotations

import os
import re
import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from napari_ct_assistant.commands.terminal.extras import training_extra
from napari_ct_assistant.commands.terminal.options import AsJson, Overrides, RecipeFile
from napari_ct_assistant.commands.terminal.output import (
    fail,
    note,
    one_line_errors,
    print_json,
    say,
)

if TYPE_CHECKING:
    from napari_ct_assistant.training.data.datasets.record import ScanRecord
    from napari_ct_assistant.training.data.datasets.store import DatasetStore
    from napari_ct_assistant.training.data.volume_store import VolumeStore


class QuestionKind(StrEnum):
    """Kind of question."""

    yes_no = "yes_no"
    free = "free"
    short = "short"
    multiple_choice = "multiple_choice"


def prepare(
    recipe: RecipeFile,
    overrides: Overrides = None,
    workers: Annotated[
        int | None,
        typer.Option("--workers", metavar="N", min=1, help="Processes. Default: one per core."),
    ] = None,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Also check every prepared volume and redo damaged ones."),
    ] = False,
    shards: Annotated[
        bool,
        typer.Option(
            "--shards", help="Also write the prepared volumes into few large tar files (shards)."
        ),
    ] = False,
    shard_size: Annotated[
        str, typer.Option("--shard-size", metavar="SIZE", help="Size of a shard, e.g. 500MB.")
    ] = "1GB",
    move: Annotated[
        bool,
        typer.Option("--move", help="Remove each volume's own file once it is in a shard."),
    ] = False,
    part: Annotated[
        str | None,
        typer.Option("--part", metavar="I/N", help="Only part I of N, one for each machine."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Prepare the scans of a recipe's data set for training.

    Scans are resampled once and stored. Run the command again to resume an interrupted run.
    """
    with one_line_errors(), training_extra():
        from napari_ct_assistant.training.config.load import load_recipe
        from napari_ct_assistant.training.data.stores import open_store

        if move and not shards:
            raise fail("--move needs --shards")
        size = _bytes(shard_size)
        store = open_store(load_recipe(recipe, list(overrides or ())))
        prefix = _keep_part(store, part)
        if shards:
            # They may be still to be written.
            _dataset(store, "--shards").shards.named = False
        found = _fill(store, workers)
        for line in store.notes:
            note(line)
        if verify:
            found["verified"] = _verify(store, workers)
        if shards:
            found["shards"] = _pack(_dataset(store, "--shards"), size, prefix, workers, move)
        for text, scans in found["warnings"].items():
            note(f"warning: {text} ({scans})")
        if as_json:
            print_json(found)
        else:
            say(_summary(found))


def _fill(store: VolumeStore, workers: int | None) -> dict[str, Any]:
    """Prepare the missing volumes; return their number, size and the time taken."""
    start = last = time.monotonic()
    first = done = 0
    for done in store.fill(workers):
        now = time.monotonic()
        first = first or done
        if now - last > 10:
            last = now
            rate = max(done - first, 1) / (now - start)
            left = (len(store) - done) / rate / 3600
            note(f"{done} of {len(store)}, {rate:.2f} per second, {left:.1f} h left")
    seconds = time.monotonic() - start
    sizes = [store.stored_bytes(i) for i in range(len(store))]
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
    found["warnings"] = dict(store.warnings)
    return found


def _verify(store: VolumeStore, workers: int | None) -> int:
    """Check every prepared volume, redo the damaged ones and return how many were checked."""
    dataset = _dataset(store, "--verify")
    wrong = 0
    for index, problem in dataset.verify():
        if problem:
            wrong += 1
            note(f"{dataset.records[index].name}: {problem}; preparing it again")
    if wrong:
        for _ in store.fill(workers):
            pass
    return len(store)


def _bytes(size: str) -> int:
    """Return a size such as 500MB or 1GiB in bytes."""
    from pydantic import ByteSize, TypeAdapter, ValidationError

    try:
        found = int(TypeAdapter(ByteSize).validate_python(size))
    except ValidationError:
        found = 0
    if found < 1:
        raise fail(f"--shard-size {size}: give a size such as 500MB or 1GiB")
    return found


def _keep_part(store: VolumeStore, part: str | None) -> str:
    """Leave a store the scans of one machine's part; return how names of its shards begin."""
    if part is None:
        return ""
    found = re.fullmatch(r"([1-9]\d*)/([1-9]\d*)", part)
    number, parts = map(int, found.groups()) if found else (0, 0)
    if not 0 < number <= parts:
        raise fail(f"--part {part}: give the part and the number of parts, e.g. 1/4")
    _dataset(store, "--part").keep_part(number, parts)
    return f"{number}of{parts}-"


def _dataset(store: VolumeStore, option: str) -> DatasetStore:
    """Return the store of a data set's scans; phantoms end the command."""
    from napari_ct_assistant.training.data.datasets.store import DatasetStore

    if not isinstance(store, DatasetStore):
        raise fail(f"{option}: for data sets; phantoms are made where they are needed")
    return store


def _pack(
    store: DatasetStore, size: int, prefix: str, workers: int | None, move: bool
) -> dict[str, Any]:
    """Write the volumes that are in no shard yet; return folder, number and size of all shards."""
    from napari_ct_assistant.training.data.shards import packing

    last = time.monotonic()
    for done in packing.pack(store, size, prefix=prefix, workers=workers, move=move):
        if time.monotonic() - last > 10:
            last = time.monotonic()
            note(f"{done} of {len(store)} volumes written into shards")
    return packing.shard_summary(store)


def _summary(found: dict[str, Any]) -> str:
    lines = [
        f"{found['volumes']} volumes in {found['folder']}: {found['bytes'] / 1e9:.2f} GB, "
        f"{found['bytes_per_volume'] / 1e6:.2f} MB each; {found['seconds']:.0f} s"
    ]
    if found.get("skipped"):
        lines.append(f"skipped {len(found['skipped'])}, listed in {found['folder']}/skipped.csv")
    if "verified" in found:
        lines.append(f"verified {found['verified']}")
    if "shards" in found:
        made = found["shards"]
        lines.append(
            f"{made['shards']} shards with {made['volumes']} volumes in {made['folder']}: "
            f"{made['bytes'] / 1e9:.2f} GB"
        )
    return "\n".join(lines)


def instructions(
    recipe: RecipeFile,
    output: Annotated[
        Path, typer.Argument(metavar="OUT.jsonl", help="File to which the questions are appended.")
    ],
    overrides: Overrides = None,
    kinds: Annotated[
        list[QuestionKind] | None,
        typer.Option(
            "--kind",
            metavar="KIND",
            help="yes_no, free, short or multiple_choice; repeat for several. Default: all.",
        ),
    ] = None,
    endpoint: Annotated[
        str | None,
        typer.Option(
            "--endpoint", metavar="URL", help="OpenAI-compatible server, e.g. http://HOST:8000/v1."
        ),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", metavar="NAME", help="Model name on the server.")
    ] = None,
    count: Annotated[
        int,
        typer.Option(
            "--count", metavar="N", min=1, max=50, help="Questions of each kind per report."
        ),
    ] = 5,
    prices: Annotated[
        tuple[float, float] | None,
        typer.Option(
            "--prices", metavar="IN OUT", help="Dollars per million input and output tokens."
        ),
    ] = None,
    key_variable: Annotated[
        str,
        typer.Option(
            "--key-from", metavar="VARIABLE", help="Environment variable that holds the API key."
        ),
    ] = "OPENAI_API_KEY",
    workers: Annotated[
        int, typer.Option("--workers", metavar="N", min=1, help="Simultaneous requests.")
    ] = 4,
    yes: Annotated[
        bool,
        typer.Option("--yes", help="Send the reports. Without it, only the cost is estimated."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make questions and answers from the reports of a data set.

    Without --endpoint, rules make them offline. With --endpoint, a language model on that server
    writes them: --yes sends the reports to it. Run the command again to resume an interrupted run.
    """
    with one_line_errors(), training_extra():
        from napari_ct_assistant.training.config.load import load_recipe
        from napari_ct_assistant.training.config.recipe import PhantomData
        from napari_ct_assistant.training.data.datasets.read_records import read_records
        from napari_ct_assistant.training.data.datasets.specs import SeveralData

        if (endpoint is None) != (model is None):
            raise fail("--endpoint and --model need each other; give both or neither")
        data = load_recipe(recipe, list(overrides or ())).data
        if isinstance(data, PhantomData):
            raise fail("data.kind phantoms: phantoms already come with questions")
        if not isinstance(data, SeveralData):
            # They may be what this command has yet to write.
            data = data.model_copy(update={"questions": ()})
        records, skips = read_records(data)
        for line in skips.notes:
            note(line)
        for name, reason in skips.found.items():
            note(f"left out: {name}: {reason}")
        asked: list[Any] = [kind.value for kind in kinds or QuestionKind]
        output.parent.mkdir(parents=True, exist_ok=True)
        if endpoint is None or model is None:
            from napari_ct_assistant.training.instructions.generate import write_templates

            result = vars(write_templates(records, asked, output))
        else:
            key = os.environ.get(key_variable, "")
            result = _ask_endpoint(
                records, asked, (endpoint, model, key), count, prices, output, workers, yes
            )
        if as_json:
            print_json(result)
        else:
            shown = {"written": 0, **{name: value for name, value in result.items() if value}}
            say("\n".join(f"{name.replace('_', ' ')}: {v}" for name, v in shown.items()))
        if result.get("failed"):
            raise fail(f"{len(result['failed'])} requests failed; run it again to retry them")


def _ask_endpoint(
    records: list[ScanRecord],
    kinds: list[Any],
    server: tuple[str, str, str],
    count: int,
    prices: tuple[float, float] | None,
    output: Path,
    workers: int,
    yes: bool,
) -> dict[str, Any]:
    """Print the estimated cost and, if `yes`, send the requests."""
    from napari_ct_assistant.training.instructions import generate
    from napari_ct_assistant.training.instructions.endpoint import ChatEndpoint
    from napari_ct_assistant.training.instructions.rows import done_lines

    chat = ChatEndpoint(*server)
    requests = generate.plan(records, kinds, count, chat.model, done_lines(output))
    planned = generate.estimate(requests, count, prices)
    cost = "" if planned.dollars is None else f", about ${planned.dollars:.2f}"
    note(
        f"{planned.requests} requests for {planned.reports} reports to {chat.host}: about "
        f"{planned.tokens_in} input tokens and {planned.tokens_out} output tokens{cost}"
    )
    if not yes:
        note(f"nothing was sent; use --yes to send the report texts to {chat.host}")
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
