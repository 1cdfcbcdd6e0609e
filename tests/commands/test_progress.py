"""Progress on stderr, in a terminal and elsewhere."""

from __future__ import annotations

import io
import sys

import pytest

from napari_ct_assistant.commands.terminal.progress import byte_progress, count_progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_counts_are_redrawn_in_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    with count_progress("answers") as show:
        show(1, 3)
        show(2, 3)  # within the same second: not drawn
        show(3, 3)
    shown = sys.stderr.getvalue()  # type: ignore[attr-defined]
    assert shown == "\ranswers: 1 of 3   \ranswers: 3 of 3   \n"


def test_counts_are_lines_elsewhere(capsys: pytest.CaptureFixture[str]) -> None:
    with count_progress("answers") as show:
        show(1, 3)
        show(2, 3)
        show(3, 3)
    assert capsys.readouterr().err == "answers: 1 of 3\nanswers: 3 of 3\n"


def test_bytes_are_drawn_only_in_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with byte_progress() as show:
        show(1, 2)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys, "stderr", Terminal())
    with byte_progress() as show:
        show(1_500_000_000, 3_000_000_000)
    shown = sys.stderr.getvalue()  # type: ignore[attr-defined]
    assert shown.startswith("\r 50%  1.50 of 3.00 GB")
    assert shown.endswith("\n")
