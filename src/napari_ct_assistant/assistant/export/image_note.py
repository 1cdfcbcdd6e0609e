"""Where the scan shows a drafted sentence, as exports say it after the sentence."""

from __future__ import annotations

from typing import Final

from napari_ct_assistant.assistant.report.document import ReportDocument
from napari_ct_assistant.assistant.report.parts import Line
from napari_ct_assistant.support.translation import N_, _, shown

UNSUPPORTED: Final = N_("not supported by the image")


def image_note(report: ReportDocument, line: Line) -> str:
    """Return a line's image and its mark; "" for the reader's own lines.

    An edited sentence keeps its image but not the mark: the support was measured for other words.
    """
    if line.measurement is not None:
        # Its sentence names the image, unless the reader took it out.
        image = report.measurements[line.measurement].image
        return "" if image in line.text else shown(image)
    if line.source is None:
        return ""
    sentence = report.sources[line.source].sentence
    parts = [shown(sentence.image)] if sentence.image else []
    if sentence.unsupported and report.state(line) != "edited":
        parts.append(_(UNSUPPORTED))
    return ", ".join(parts)
