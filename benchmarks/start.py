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
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from typing import Any, Final

from benchmarks.display import on_display
from benchmarks.rows import Cost, Groups, Row, Settings, Target

PLUGIN, PANEL = "napari-ct-assistant", "CT Assistant"
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
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, median of {options.repeat}\n")
    runs = in_turn(options.repeat)
    without, with_plugin = (median(runs[kind], "start") for kind in ("without", "with"))
    added = with_plugin[0] - without[0], with_plugin[1] - without[1]
    print(f"{'':34}{'seconds':>9}{'processor':>11}")
    show("napari's start without the plugin", without)
    show("napari's start with the plugin", with_plugin)
    show("added by the plugin", added)
    show("opening the panel", median(runs["with"], "panel"))
    return 0


def start(settings: Settings) -> Iterator[Row]:
    """Start napari with and without the plugin, and open the panel."""
    if settings.quick:
        return
    runs = in_turn(settings.repeat)
    without, with_plugin = (Cost(*median(runs[kind], "start")) for kind in ("without", "with"))
    added = Cost(
        max(0.0, with_plugin.seconds - without.seconds),
        max(0.0, with_plugin.processor - without.processor),
    )
    note = f"napari alone starts in {without.seconds:.2f} s"
    yield Row("what the plugin adds to napari's start", "", added,
              targets=(Target("seconds", 0.15),), note=note)  # fmt: skip
    panel = Cost(*median(runs["with"], "panel"))
    yield Row("opening the panel", "", panel, targets=(Target("seconds", 0.5),))


GROUPS: Final[Groups] = {"start": start}


def in_turn(repeat: int) -> dict[str, list[dict[str, Seconds]]]:
    """Start napari so many times without and with the plugin."""
    command = on_display([sys.executable, "-m", "benchmarks.start", "--one"])
    runs: dict[str, list[dict[str, Seconds]]] = {"without": [], "with": []}
    with tempfile.TemporaryDirectory() as compiled:
        # The first runs compile the modules, as pip does when it installs them.
        for number in range(repeat + 1):
            # In turn, so that other work on the machine disturbs both kinds alike.
            for kind, results in runs.items():
                figures = run(command, kind, compiled)
                if number:
                    results.append(figures)
    return runs


def run(command: list[str], kind: str, compiled: str) -> dict[str, Seconds]:
    """Start napari once in a process of its own; return its figures.

    `compiled` is the folder for compiled modules, which the surroundings may have turned off.
    """
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [*command, kind],
        capture_output=True,
        text=True,
        check=False,
        env=kept | {"PYTHONPYCACHEPREFIX": compiled},
    )
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
