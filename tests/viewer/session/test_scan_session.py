"""Who has a session, and until when."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from napari_ct_assistant.viewer.scan.layers import add_volume
from napari_ct_assistant.viewer.scan.scan_picker import ScanPicker
from napari_ct_assistant.viewer.session.scan_session import OpenScans, ScanSession
from tests.viewer.conftest import box_volume

if TYPE_CHECKING:
    from pytestqt.qtbot import QtBot


def test_every_open_scan_has_one_session() -> None:
    scans, first, second = OpenScans(), box_volume(), box_volume()
    assert scans.of(first) is scans.of(first)
    assert scans.of(first) is not scans.of(second)
    assert [scan.volume for scan in scans] == [first, second]
    before = scans.of(first)
    scans.remove(before)
    assert [scan.volume for scan in scans] == [second]
    assert scans.of(first) is not before


def test_a_session_lives_as_long_as_its_last_layer(
    make_napari_viewer: Callable[..., Any], qtbot: QtBot
) -> None:
    viewer = make_napari_viewer()
    picker = ScanPicker(viewer)
    qtbot.addWidget(picker)
    picker.attach()
    closed: list[ScanSession] = []
    open_when_told: list[bool] = []
    picker.closed.connect(closed.append)
    picker.closed.connect(lambda scan: open_when_told.append(scan.is_open))
    volume = box_volume()
    layer, again = add_volume(viewer, volume), add_volume(viewer, volume)
    scan = picker.scan
    assert scan is not None
    viewer.layers.remove(layer)
    assert picker.scan is scan
    assert not closed
    viewer.layers.remove(again)
    assert closed == [scan]
    # Whoever is told may still write to the session; then it is released.
    assert open_when_told == [True]
    assert not scan.is_open
    assert picker.scan is None
    picker.detach()


def test_a_scan_removed_while_the_panel_is_closed_is_closed_when_it_comes_back(
    make_napari_viewer: Callable[..., Any], qtbot: QtBot
) -> None:
    viewer = make_napari_viewer()
    picker = ScanPicker(viewer)
    qtbot.addWidget(picker)
    picker.attach()
    kept, removed = box_volume(), box_volume()
    add_volume(viewer, kept)
    layer = add_volume(viewer, removed)
    scans = picker.open_scans.of(kept), picker.open_scans.of(removed)
    picker.detach()
    viewer.layers.remove(layer)
    assert scans[1].is_open
    picker.attach()
    assert picker.scan is scans[0]
    assert not scans[1].is_open
    picker.detach()
