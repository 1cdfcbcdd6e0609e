"""Reads the parts of a report from the plain values that were saved."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from napari_ct_assistant.assistant.reading.results import Sentence
from napari_ct_assistant.assistant.report.measurement import Measurement
from napari_ct_assistant.assistant.report.parts import (
    FROM_TEMPLATE,
    DraftInfo,
    Line,
    Section,
    Signature,
    Source,
)


def read_parts(data: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a `ReportDocument`.

    Raises
    ------
    KeyError, TypeError, AttributeError, ValueError
        If something is missing or of another kind.
    """
    signature = data["signature"]
    return {
        "sections": tuple(
            Section(s["key"], s["heading"], s["level"], tuple(Line(**x) for x in s["lines"]))
            for s in data["sections"]
        ),
        "sources": tuple(_source(s) for s in data["sources"]),
        "drafts": tuple(
            DraftInfo(**d | {"warnings": tuple(d["warnings"])}) for d in data["drafts"]
        ),
        "signature": Signature(**signature) if signature else None,
        "template": data["template"],
        "measurements": tuple(Measurement.from_json(m) for m in data.get("measurements", ())),
    }


def check_references(
    sections: Sequence[Section],
    sources: Sequence[Source],
    drafts: Sequence[DraftInfo],
    measurements: Sequence[Measurement],
) -> None:
    """Raise IndexError if a line or a source refers to what is not there."""
    lines = [line for section in sections for line in section.lines]
    there: Sequence[Sequence[object]] = (sources, drafts, measurements)
    places = (
        [line.source for line in lines if line.source is not None],
        [s.draft for s in sources if s.draft != FROM_TEMPLATE],
        [line.measurement for line in lines if line.measurement is not None],
    )
    for what, used, known in zip(("source", "draft", "measurement"), places, there, strict=True):
        wrong = [place for place in used if not 0 <= place < len(known)]
        if wrong:
            raise IndexError(f"{what} {wrong[0]} of {len(known)}")


def _source(data: dict[str, Any]) -> Source:
    sentence = data["sentence"]
    ras = sentence["ras"]
    return Source(
        Sentence(
            sentence["text"],
            sentence["section"],
            sentence["support"],
            sentence["slice"],
            None if ras is None else (float(ras[0]), float(ras[1]), float(ras[2])),
            # Reports of earlier versions have no such numbers.
            sentence.get("instance_number"),
            sentence.get("frame_number"),
        ),
        data["draft"],
    )
