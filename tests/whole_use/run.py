"""Read a scan on the command line and in the panel, in a process that refuses every connection.

Run as a program: SCAN MODEL OUT. It writes OUT/record.json: the connections that were tried, the
files that Python opened for writing, and the names of the steps that were done.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

PROBE = ("192.0.2.1", 9)  # an address that belongs to nobody (RFC 5737)
CONNECTING = (
    *("socket.connect", "socket.sendto", "socket.sendmsg", "socket.getaddrinfo"),
    *("socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo", "urllib.Request"),
    *("http.client.connect", "ftplib.connect", "smtplib.connect", "imaplib.open", "poplib.connect"),
)
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC

connections: list[str] = []
written: list[str] = []
steps: list[str] = []


class ConnectionForbidden(BaseException):
    """Not an Exception: nothing may swallow it."""


def watch(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse what connects; note what is opened for writing."""
    if event in CONNECTING:
        connections.append(f"{event} {arguments[1:]}")
        raise ConnectionForbidden(event)
    if event == "open" and isinstance(arguments[0], str | bytes):
        path, mode, flags = arguments
        if (isinstance(mode, str) and set(mode) & set("wax+")) or (flags or 0) & WRITING:
            written.append(os.fsdecode(path))


def forbidden(*arguments: Any, **_: Any) -> NoReturn:
    """Stand in for what connects."""
    connections.append(f"call {arguments}")
    raise ConnectionForbidden("call")


def forbid_connections() -> None:
    """Refuse every connection from here on, and show that it works."""
    sys.addaudithook(watch)
    try:
        socket.create_connection(PROBE, timeout=1)
    except ConnectionForbidden:
        assert connections
    connections.clear()
    for name in ("connect", "connect_ex", "sendto"):
        setattr(socket.socket, name, forbidden)
    for name in ("create_connection", "getaddrinfo", "gethostbyname"):
        setattr(socket, name, forbidden)


# -- the command line


def command(*arguments: object, status: int = 0) -> None:
    """Run a command of `ct-assistant`."""
    from napari_ct_assistant.cli import app

    try:
        code = app([str(argument) for argument in arguments], standalone_mode=False)
    except SystemExit as ended:
        code = ended.code
    assert (code or 0) == status, (arguments, code)
    steps.append(str(arguments[0]))


def use_command_line(scan: Path, model: Path, out: Path) -> None:
    """Read the scan with every command that reads one, and make some mistakes."""
    command("info", scan, "--json")
    exports = [f"--out={out / f'command{ending}'}" for ending in endings()]
    command("report", scan, "--model", model, *exports)
    command("ask", scan, "Does this image show signs of lung nodule?", "--model", model)
    command("screen", scan, "--model", model, "--json")
    command("info", scan / "absent", status=1)
    command("report", scan, "--model", scan / "absent", status=1)
    command("report", scan, "--model", model, f"--out={scan / 'absent' / 'a.txt'}", status=1)


def endings() -> list[str]:
    """Return the endings of all export formats."""
    from napari_ct_assistant.assistant.export import FORMATS

    return [known.ending for known in FORMATS]


# -- the panel


def wait(done: Callable[[], object], seconds: float = 120.0) -> None:
    """Let the event loop run until `done` is true."""
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "the panel did not get there"
        QApplication.processEvents()
        time.sleep(0.005)


def use_panel(scan: Path, model: Path, out: Path) -> None:
    """Do in the panel what a reader does, and close it."""
    from qtpy.QtCore import Qt
    from qtpy.QtGui import QGuiApplication
    from qtpy.QtWidgets import QApplication

    from napari_ct_assistant.viewer.app import open_viewer

    QApplication.setAttribute(Qt.ApplicationAttribute.AA_DontUseNativeDialogs)
    viewer, panel = open_viewer(model=str(model))
    jobs, keeper = panel.conversation.jobs, panel.report_controller.keeper
    assert keeper is not None
    open_by_dialog(panel, scan)
    wait(lambda: panel.scans.scan is not None and panel.scans.scan.journal == "read")
    steps.append("open")

    failed: list[str] = []
    jobs.failed.connect(lambda _job, error: failed.append(error))

    def do(name: str, start: Callable[[], object]) -> None:
        start()
        wait(lambda: not jobs.busy)
        assert not failed, (name, failed)
        steps.append(name)

    for _ in range(2):
        do("draft", panel.draft_report)  # a scan of few slices is drafted when asked again
    do("ask", lambda: panel.ask("Does this image show signs of emphysema?"))
    do("again", panel.chat_controller.again)
    do("screen", panel.screen)
    do("evidence", lambda: panel.show_finding("Lung nodule"))
    panel.ask_row.box.setPlainText("half a question")
    panel.transcript.linkClicked.emit(panel.transcript.messages[-1], "slice:3")
    panel.copy()
    assert "Tiny model" in QGuiApplication.clipboard().text()
    current = panel.scans.scan
    assert current is not None
    tab, exporter = panel.report_controller.tab, panel.report_controller.exporter
    report = tab.text_of(current).report()
    for ending in endings():
        exporter.export(report, current.volume, out / f"panel{ending}")
        wait(lambda: not exporter.busy)
    steps.append("export")
    panel.scans.open(scan / "absent.nii")
    wait(lambda: not panel.scans.busy)
    # An uncaught exception in the middle of a job.
    panel.conversation.finished.connect(broken)
    do("uncaught", panel.screen)
    panel.conversation.finished.disconnect(broken)
    panel.transcript.clear()
    keeper.flush()
    assert keeper.writer.journal.pages()
    viewer.close()
    QApplication.processEvents()
    steps.append("close")


def broken(_result: object) -> None:
    """Fail as a fault in the program would."""
    raise ZeroDivisionError("a fault")


def open_by_dialog(panel: Any, scan: Path) -> None:
    """Choose the scan's folder in Qt's dialog."""
    from qtpy.QtCore import QTimer
    from qtpy.QtWidgets import QApplication

    def answer() -> None:
        dialog = QApplication.activeModalWidget()
        dialog.setDirectory(str(scan))
        QTimer.singleShot(50, dialog.accept)
        QTimer.singleShot(5_000, dialog.reject)

    QTimer.singleShot(200, answer)
    panel.scans.ask_folder()


def main() -> None:
    """Do it all."""
    scan, model, out = map(Path, sys.argv[1:])
    os.umask(0)  # what is private has to say so itself
    forbid_connections()
    use_command_line(scan, model, out)
    use_panel(scan, model, out)
    command("journal", "list")
    from napari_ct_assistant.assistant.journal.store import Journal

    command("journal", "show", Journal().pages()[0].scan)
    record = {"connections": connections, "written": written, "steps": steps}
    (out / "record.json").write_text(json.dumps(record))


if __name__ == "__main__":
    main()
