"""Time what the plugin adds to napari's start, and how long its panel takes to open.

    python -m benchmarks.start [--repeat N]

Each run is a fresh process that starts napari with a window. Half of them do not see the plugin,
as if it were not installed. The others also open the panel, whose modules are not imported
before. The median of each figure is printed, in wall time and in processor time; on a busy
machine the latter tells more. Without a display the processes run under Xvfb.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

PLUGIN, PANEL = "napari-ct-assistant", "CT Assistant"
SCREEN = "-screen 0 1400x900x24"
# Wall and processor seconds.
Seconds = tuple[float, float]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeat", type=int, default=5, help="runs of each kind (default 5)")
    parser.add_argument("--one", choices=["with", "without"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(start_napari(plugin=options.one == "with")))
        return 0
    from napari_ct_assistant.viewer.app import display_available

    command = [sys.executable, "-m", "benchmarks.start", "--one"]
    available, reason = display_available()
    if not available:
        xvfb = shutil.which("xvfb-run")
        if xvfb is None:
            print(f"{reason}; start a display or install Xvfb", file=sys.stderr)
            return 1
        command = [xvfb, "-a", "-s", SCREEN, *command]
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, median of {options.repeat}\n")
    runs: dict[str, list[dict[str, Seconds]]] = {"without": [], "with": []}
    for _ in range(options.repeat):
        # In turn, so that other work on the machine disturbs both kinds alike.
        for kind, results in runs.items():
            results.append(run(command, kind))
    without, with_plugin = (median(runs[kind], "start") for kind in runs)
    added = with_plugin[0] - without[0], with_plugin[1] - without[1]
    print(f"{'':34}{'seconds':>9}{'processor':>11}")
    show("napari's start without the plugin", without)
    show("napari's start with the plugin", with_plugin)
    show("added by the plugin", added)
    show("opening the panel", median(runs["with"], "panel"))
    return 0


def run(command: list[str], kind: str) -> dict[str, Seconds]:
    """Start napari once in a process of its own; return its figures."""
    done = subprocess.run([*command, kind], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"napari did not start ({kind} the plugin):\n{done.stderr}")
    figures: dict[str, Seconds] = json.loads(done.stdout.splitlines()[-1])
    return figures


def median(runs: list[dict[str, Seconds]], figure: str) -> Seconds:
    """Return the medians of the wall and of the processor seconds."""
    wall, processor = zip(*(each[figure] for each in runs), strict=True)
    return statistics.median(wall), statistics.median(processor)


def show(what: str, seconds: Seconds) -> None:
    print(f"{what:34}{seconds[0]:9.2f}{seconds[1]:11.2f}")


# -- in the process that is measured


def start_napari(*, plugin: bool) -> dict[str, Seconds]:
    """Start napari in this process, and open the panel if it has the plugin."""
    # Both kinds of run search the installed packages in the same way.
    hide_distribution("" if plugin else PLUGIN)
    figures = {}
    began = now()
    import napari
    from qtpy.QtWidgets import QApplication

    viewer = napari.Viewer()
    QApplication.processEvents()
    figures["start"] = since(began)
    if plugin:
        began = now()
        viewer.window.add_plugin_dock_widget(PLUGIN, PANEL)
        QApplication.processEvents()
        figures["panel"] = since(began)
    viewer.close()
    return figures


def hide_distribution(name: str) -> None:
    """Leave a package out of the installed ones, which napari searches for plugins."""
    every = importlib.metadata.distributions

    def others(**options: Any) -> Iterator[importlib.metadata.Distribution]:
        return (each for each in every(**options) if each.metadata["Name"] != name)

    importlib.metadata.distributions = others


def now() -> Seconds:
    return time.perf_counter(), time.process_time()


def since(began: Seconds) -> Seconds:
    wall, processor = now()
    return wall - began[0], processor - began[1]


if __name__ == "__main__":
    raise SystemExit(main())
