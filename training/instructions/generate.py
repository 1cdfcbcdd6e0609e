"""Instruction data for a data set: what there is to ask, what it would cost, and the asking."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from napari_ct_assistant.training.data.datasets.record import Kind, ScanRecord
from napari_ct_assistant.training.instructions.endpoint import (
    ChatEndpoint,
    EndpointError,
    Reply,
)
from napari_ct_assistant.training.instructions.prompts import (
    answer_schema,
    messages,
    read_answer,
    request_key,
)
from napari_ct_assistant.training.instructions.rows import (
    GeneratedQuestion,
    Row,
    append,
    done_lines,
)
from napari_ct_assistant.training.instructions.templates import from_report

TEMPLATES = "templates"
_CHARACTERS_PER_TOKEN = 4.0  # English text, common tokenizers
_TOKENS_PER_QUESTION = {"free": 70, "short": 35, "multiple_choice": 75, "yes_no": 30}
_ASKED_AGAIN = 2


@dataclass(frozen=True)
class Request:
    """One report and one kind of question; `records` are all scans with that very report."""

    key: str
    kind: Kind
    report: str
    records: tuple[ScanRecord, ...]


@dataclass(frozen=True)
class Estimate:
    """What sending the open requests would take, before anything is sent.

    tokens_in, tokens_out: from the length of the texts, at 4 characters a token;
    dollars: None where no prices were given.
    """

    reports: int
    requests: int
    questions: int
    tokens_in: int
    tokens_out: int
    dollars: float | None


@dataclass
class Outcome:
    """What came of a run. failed: request key -> why; it is asked again in the next run."""

    written: int = 0
    questions: int = 0
    refused: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    failed: dict[str, str] = field(default_factory=dict)


def plan(
    records: Sequence[ScanRecord],
    kinds: Sequence[Kind],
    count: int,
    model: str,
    done: set[tuple[str, str, str]],
) -> list[Request]:
    """Return the requests that a file does not hold yet; equal reports are asked about once.

    done: (key, dataset, name) of each line.
    """
    by_key: dict[tuple[str, Kind], list[ScanRecord]] = {}
    texts: dict[str, str] = {}
    for record in records:
        report = "\n".join(record.reports.values())
        if not report:
            continue
        for kind in kinds:
            key = request_key(report, kind, count, model)
            if (key, record.dataset, record.name) not in done:
                texts[key] = report
                by_key.setdefault((key, kind), []).append(record)
    return [Request(key, kind, texts[key], tuple(of)) for (key, kind), of in by_key.items()]


def estimate(
    requests: Sequence[Request], count: int, prices: tuple[float, float] | None
) -> Estimate:
    """Return what requests would take; prices are dollars per million tokens in and out."""
    characters = sum(len(m["content"]) for r in requests for m in messages(r.report, r.kind, count))
    tokens_in = round(characters / _CHARACTERS_PER_TOKEN)
    tokens_out = sum(count * _TOKENS_PER_QUESTION[r.kind] for r in requests)
    dollars = None
    if prices is not None:
        dollars = (tokens_in * prices[0] + tokens_out * prices[1]) / 1e6
    reports = len({r.report for r in requests})
    return Estimate(reports, len(requests), len(requests) * count, tokens_in, tokens_out, dollars)


def write_templates(records: Sequence[ScanRecord], kinds: Sequence[Kind], file: Path) -> Outcome:
    """Write questions by rules for every scan that the file does not hold yet."""
    done = {(dataset, name) for _, dataset, name in done_lines(file)}
    outcome = Outcome()
    for record in records:
        questions = from_report(record, kinds)
        if (record.dataset, record.name) in done or not questions:
            continue
        made = tuple(
            GeneratedQuestion(
                question=q.question,
                answer=q.answer,
                kind=q.kind,
                finding=q.finding,
                choices=q.choices,
            )
            for q in questions
        )
        key = request_key("\n".join(record.reports.values()), "free", 0, TEMPLATES)
        append(file, _row(record, key, TEMPLATES, made))
        outcome.written += 1
        outcome.questions += len(made)
    return outcome


def ask_endpoint(
    requests: Sequence[Request],
    endpoint: ChatEndpoint,
    count: int,
    file: Path,
    *,
    workers: int = 4,
    progress: Callable[[int], None] = lambda _: None,
) -> Outcome:
    """Send requests and append each answer to the file as it comes.

    An answer of the wrong form is asked for again twice, then left for the next run.

    Raises
    ------
    EndpointError
        If the server refuses for good; what was answered before is in the file.
    """
    outcome = Outcome()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for number, (request, got) in enumerate(
                _answers(pool, requests, endpoint, count, workers), start=1
            ):
                _keep(outcome, request, got, endpoint.model, file)
                progress(number)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return outcome


@dataclass(frozen=True)
class _Got:
    questions: tuple[GeneratedQuestion, ...]
    refused: int
    tokens_in: int
    tokens_out: int
    problem: str = ""


def _answers(
    pool: ThreadPoolExecutor,
    requests: Sequence[Request],
    endpoint: ChatEndpoint,
    count: int,
    workers: int,
) -> Iterator[tuple[Request, _Got]]:
    waiting, running = iter(requests), dict[Future[_Got], Request]()
    while True:
        for request in islice(waiting, 2 * workers - len(running)):
            running[pool.submit(_ask, request, endpoint, count)] = request
        if not running:
            return
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            yield running.pop(future), future.result()


def _ask(request: Request, endpoint: ChatEndpoint, count: int) -> _Got:
    tokens_in = tokens_out = 0
    problem = ""
    for again in range(1 + _ASKED_AGAIN):
        try:
            reply: Reply = endpoint.ask(
                messages(request.report, request.kind, count),
                answer_schema(request.kind),
                # The same words would come again at the same temperature.
                temperature=0.2 + 0.4 * again,
            )
            tokens_in, tokens_out = tokens_in + reply.tokens_in, tokens_out + reply.tokens_out
            kept, refused = read_answer(reply.text, request.kind)
            return _Got(tuple(kept), len(refused), tokens_in, tokens_out)
        except EndpointError:
            raise
        except ValueError as error:
            problem = str(error).splitlines()[0]
    return _Got((), 0, tokens_in, tokens_out, problem)


def _keep(outcome: Outcome, request: Request, got: _Got, model: str, file: Path) -> None:
    outcome.tokens_in += got.tokens_in
    outcome.tokens_out += got.tokens_out
    outcome.refused += got.refused
    if got.problem:
        outcome.failed[request.key] = got.problem
        return
    for number, record in enumerate(request.records):
        # One answer for scans with the same report; its cost is written once.
        cost = (got.tokens_in, got.tokens_out) if number == 0 else (0, 0)
        append(file, _row(record, request.key, model, got.questions, *cost))
        outcome.written += 1
        outcome.questions += len(got.questions)


def _row(
    record: ScanRecord,
    key: str,
    model: str,
    questions: tuple[GeneratedQuestion, ...],
    tokens_in: int = 0,
    tokens_out: int = 0,
) -> Row:
    return Row(
        key=key,
        dataset=record.dataset,
        name=record.name,
        model=model,
        questions=questions,
        tokens_in=tokens_in,
        tokens_out=tokens_out,
    )
