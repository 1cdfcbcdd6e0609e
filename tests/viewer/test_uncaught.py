"""An uncaught exception shows where it was raised, and no values of variables."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import NoReturn

import pytest
from napari.utils.notifications import ErrorNotification, Notification, NotificationManager

from napari_ct_assistant.viewer.scan.readers import read_ct
from napari_ct_assistant.viewer.session.background import one_line
from napari_ct_assistant.viewer.uncaught import PrivateErrorNotification, hide_values_in_tracebacks
from napari_ct_assistant.volume import CTReadError
from tests.volume.samples import SECRETS, save_series

# Not spelled out in the function that fails, whose source lines a traceback may quote.
SECRET = " ".join(("large", "pericardial", "effusion"))


class BrokenError(Exception):
    def __str__(self) -> str:
        fail(SECRET)


def fail(report_text: str) -> NoReturn:
    raise ZeroDivisionError("broken <b>text</b>")


@pytest.fixture
def shown() -> list[Notification]:
    return []


@pytest.fixture
def manager(shown: list[Notification], monkeypatch: pytest.MonkeyPatch) -> NotificationManager:
    manager = NotificationManager()
    manager.notification_ready.connect(shown.append)
    manager.exit_on_error, manager.catch_error = False, True
    return manager


def test_no_values_of_variables(manager: NotificationManager, shown: list[Notification]) -> None:
    pytest.importorskip("IPython", reason="only its tracebacks list variables")
    for private in (False, True):
        if private:
            hide_values_in_tracebacks(manager)
            hide_values_in_tracebacks(manager)  # each panel does it
        try:
            one_line(BrokenError())  # a function of the package is in the traceback
        except ZeroDivisionError as error:
            manager.receive_error(type(error), error, error.__traceback__)
        text = f"{shown[-1]}{shown[-1].as_text()}{shown[-1].as_html()}"  # type: ignore[attr-defined]
        assert (SECRET in text) is not private
        assert "in one_line" in text or "one_line(" in text
    assert isinstance(shown[-1], PrivateErrorNotification)
    assert shown[-1].message == "broken \u2039b\u203atext\u2039/b\u203a"
    assert "<b>" not in shown[-1].as_html()


def test_exceptions_of_others_are_left_alone(
    manager: NotificationManager, shown: list[Notification]
) -> None:
    hide_values_in_tracebacks(manager)
    try:
        fail(SECRET)
    except ZeroDivisionError as error:
        manager.receive_error(type(error), error, error.__traceback__)
    assert type(shown[-1]) is ErrorNotification


def test_an_error_of_the_reader_shows_no_header(
    manager: NotificationManager,
    shown: list[Notification],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """A dropped file is read without the panel; napari shows the error of the reader."""
    monkeypatch.setattr(hide_values_in_tracebacks, "__defaults__", (manager,))
    slices = save_series(tmp_path / "series", [(0, 0, 0), (0, 0, 2), (0, 0, 2)])
    try:
        read_ct(str(slices))
    except CTReadError as error:
        manager.receive_error(type(error), error, error.__traceback__)
    assert isinstance(shown[-1], PrivateErrorNotification)
    assert not any(secret in str(shown[-1]) for secret in SECRETS)


def test_hooks_that_are_installed_later_or_before_hide_values(
    manager: NotificationManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "excepthook", manager.receive_error)
    hide_values_in_tracebacks(manager)
    assert getattr(sys.excepthook, "hides_values", False)
    with manager:
        assert getattr(sys.excepthook, "hides_values", False)
