"""Generate questions for a data set: plan the requests, estimate their cost, send them."""

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
from napari_ct_assistant.training.instructions.question_prompts import (
    answer_schema,
    messages,
    read_answer,
    request_key,
)
from napari_ct_assistant.training.instructions.rows import (
    GeneratedQuestion,
    GeneratedRow,
    append,
    done_lines,
)
from napari_ct_assistant.training.instructions.templates import from_report

TEMPLATES = "templates"
_CHARACTERS_PER_TOKEN = 4.0  # English text, common tokenizers
_TOKENS_PER_QUESTION = {"free": 70, "short": 35, "multiple_choice": 75, "yes_no": 30}
_REPEATS = 2


@dataclass(frozen=True)
class ReportRequest:
    """A request for one kind of question about one report; `records` are all its scans."""

    key: str
    kind: Kind
    report: str
    records: tuple[ScanRecord, ...]


@dataclass(frozen=True)
class CostEstimate:
    """What the open requests would cost, before anything is sent.

    Parameters
    ----------
    reports, requests, questions
        How many there are.
    tokens_in, tokens_out
        Estimated from the length of the texts, at 4 characters per token.
    dollars
        None without prices.
    """

    reports: int
    requests: int
    questions: int
    tokens_in: int
    tokens_out: int
    dollars: float | None


@dataclass
class GenerationResult:
    """What a run generated.

    Parameters
    ----------
    written
        Lines written, one per scan and request.
    questions, refused
        Usable and unusable questions.
    tokens_in, tokens_out
        Tokens used.
    failed
        {request key: reason}; the next run repeats these requests.
    """

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
) -> list[ReportRequest]:
    """Return the requests that are still open; scans with the same report share one.

    Parameters
    ----------
    records, kinds
    count
        Questions per report and kind.
    model
    done
        (key, data set, name) of the rows that the file has, see `done_lines`.
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
    return [ReportRequest(key, kind, texts[key], tuple(of)) for (key, kind), of in by_key.items()]


def estimate(
    requests: Sequence[ReportRequest], count: int, prices: tuple[float, float] | None
) -> CostEstimate:
    """Estimate the cost of requests; prices are dollars per million tokens in and out."""
    characters = sum(len(m["content"]) for r in requests for m in messages(r.report, r.kind, count))
    tokens_in = round(characters / _CHARACTERS_PER_TOKEN)
    tokens_out = sum(count * _TOKENS_PER_QUESTION[r.kind] for r in requests)
    dollars = None
    if prices is not None:
        dollars = (tokens_in * prices[0] + tokens_out * prices[1]) / 1e6
    reports = len({r.report for r in requests})
    return CostEstimate(
        reports, len(requests), len(requests) * count, tokens_in, tokens_out, dollars
    )


def write_templates(
    records: Sequence[ScanRecord], kinds: Sequence[Kind], file: Path
) -> GenerationResult:
    """Write questions made by rules, for every scan that the file has no row for."""
    done = {(dataset, name) for _, dataset, name in done_lines(file)}
    result = GenerationResult()
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
        result.written += 1
        result.questions += len(made)
    return result


def ask_endpoint(
    requests: Sequence[ReportRequest],
    endpoint: ChatEndpoint,
    count: int,
    file: Path,
    *,
    workers: int = 4,
    progress: Callable[[int], None] = lambda _: None,
) -> GenerationResult:
    """Send requests and append each answer to the file as it arrives.

    A malformed answer is requested twice more, then left for the next run.

    Raises
    ------
    EndpointError
        If the server refuses permanently. All earlier answers are in the file.
    """
    result = GenerationResult()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for number, (request, generated) in enumerate(
                _answers(pool, requests, endpoint, count, workers), start=1
            ):
                _keep(result, request, generated, endpoint.model, file)
                progress(number)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return result


@dataclass(frozen=True)
class _Generated:
    questions: tuple[GeneratedQuestion, ...]
    refused: int
    tokens_in: int
    tokens_out: int
    problem: str = ""


def _answers(
    pool: ThreadPoolExecutor,
    requests: Sequence[ReportRequest],
    endpoint: ChatEndpoint,
    count: int,
    workers: int,
) -> Iterator[tuple[ReportRequest, _Generated]]:
    waiting, running = iter(requests), dict[Future[_Generated], ReportRequest]()
    while True:
        for request in islice(waiting, 2 * workers - len(running)):
            running[pool.submit(_ask, request, endpoint, count)] = request
        if not running:
            return
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            yield running.pop(future), future.result()


def _ask(request: ReportRequest, endpoint: ChatEndpoint, count: int) -> _Generated:
    tokens_in = tokens_out = 0
    problem = ""
    for repeat in range(1 + _REPEATS):
        try:
            reply: Reply = endpoint.ask(
                messages(request.report, request.kind, count),
                answer_schema(request.kind),
                # At the same temperature the same answer would come again.
                temperature=0.2 + 0.4 * repeat,
            )
            tokens_in, tokens_out = tokens_in + reply.tokens_in, tokens_out + reply.tokens_out
            kept, refused = read_answer(reply.text, request.kind)
            return _Generated(tuple(kept), len(refused), tokens_in, tokens_out)
        except EndpointError:
            raise
        except ValueError as error:
            problem = str(error).splitlines()[0]
    return _Generated((), 0, tokens_in, tokens_out, problem)


def _keep(
    result: GenerationResult, request: ReportRequest, generated: _Generated, model: str, file: Path
) -> None:
    result.tokens_in += generated.tokens_in
    result.tokens_out += generated.tokens_out
    result.refused += generated.refused
    if generated.problem:
        result.failed[request.key] = generated.problem
        return
    for number, record in enumerate(request.records):
        # Scans with the same report share the answer; only the first row has its cost.
        cost = (generated.tokens_in, generated.tokens_out) if number == 0 else (0, 0)
        append(file, _row(record, request.key, model, generated.questions, *cost))
        result.written += 1
        result.questions += len(generated.questions)


def _row(
    record: ScanRecord,
    key: str,
    model: str,
    questions: tuple[GeneratedQuestion, ...],
    tokens_in: int = 0,
    tokens_out: int = 0,
) -> GeneratedRow:
    return GeneratedRow(
        key=key,
        dataset=record.dataset,
        name=record.name,
        model=model,
        questions=questions,
        tokens_in=tokens_in,
        tokens_out=tokens_out,
    )
