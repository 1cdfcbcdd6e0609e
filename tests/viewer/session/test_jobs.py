"""Each kind of job, run with a real (tiny) model, without a window."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from napari_ct_assistant.viewer.session.jobs import (
    AskJob,
    AskResult,
    EvidenceJob,
    EvidenceResult,
    Job,
    JobResult,
    ReportJob,
    ReportResult,
    RewriteJob,
    RewriteResult,
    ScreenJob,
    ScreenResult,
)
from napari_ct_assistant.viewer.session.model_session import ModelSession, StoppedError

if TYPE_CHECKING:
    from pathlib import Path

    from napari_ct_assistant.viewer.session.scan_session import ScanSession


@pytest.fixture(scope="module")
def session() -> ModelSession:
    return ModelSession()


@pytest.mark.parametrize(
    ("kind", "details", "result", "stage"),
    [
        (ReportJob, (), ReportResult, "Drafting the report"),
        (AskJob, ("Is there a pleural effusion?",), AskResult, "Answering"),
        (ScreenJob, (), ScreenResult, "Screening"),
        (RewriteJob, ("shorten", "Shorten: open."), RewriteResult, "Rewriting the passage"),
        (EvidenceJob, ("Pleural effusion",), EvidenceResult, "Finding the evidence"),
    ],
)
def test_a_job_tells_its_own_stage_and_gives_its_own_result(
    session: ModelSession,
    scan: ScanSession,
    tiny_model_folder: Path,
    kind: type[Job],
    details: tuple[Any, ...],
    result: type[JobResult],
    stage: str,
) -> None:
    stages: list[str] = []
    texts: list[str] = []
    job = kind(scan, str(tiny_model_folder), *details)
    done = session.run(job, stages.append, texts.append)
    assert stages[-1] == stage
    assert type(done) is result
    assert done.job is job
    assert done.record.info.name == tiny_model_folder.name
    writes = kind in (ReportJob, AskJob, RewriteJob)
    assert bool(texts) == writes
    assert (done.tokens > 0) == writes
    assert (done.record.first_text_s is not None) == writes


def test_a_job_that_was_stopped_does_not_begin(
    session: ModelSession, scan: ScanSession, tiny_model_folder: Path
) -> None:
    job = ReportJob(scan, str(tiny_model_folder))
    job.cancel.set()
    with pytest.raises(StoppedError):
        session.run(job, lambda _: None, lambda _: None)
