"""Sample scans: procedural chest phantoms, each with one finding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from qtpy.QtCore import QCoreApplication, QEventLoop, QThread

from napari_ct_assistant.support.translation import N_, Texts, _

SAMPLE_SEED = 7
_FINDINGS: Final = Texts(
    {
        "Pleural effusion": N_("pleural effusion"),
        "Lung nodule": N_("lung nodule"),
        "Consolidation": N_("consolidation"),
        "Emphysema": N_("emphysema"),
        "Cardiomegaly": N_("cardiomegaly"),
        "Pericardial effusion": N_("pericardial effusion"),
        "Lymphadenopathy": N_("lymphadenopathy"),
        "Hiatal hernia": N_("hiatal hernia"),
    }
)

LayerDataTuple = tuple[Any, dict[str, Any], str]


def phantom(*findings: str, seed: int = SAMPLE_SEED) -> list[LayerDataTuple]:
    """Return the phantom of `seed` with exactly these findings, as napari layer data."""
    from napari_ct_assistant.phantoms import make_phantom
    from napari_ct_assistant.viewer.scan.layers import layer_data

    name = _("Phantom: {finding}").format(
        finding=", ".join(_FINDINGS.get(one, one.lower()) for one in findings) or _("normal")
    )
    made = in_background(
        lambda: make_phantom(seed, findings=findings, resolution="reading"),
        _("Generating {name}").format(name=name),
    )
    return [layer_data(made.volume, name)]


def in_background(function: Callable[[], Any], what: str) -> Any:
    """Run `function` in the background, and return its result once it is there.

    napari calls the function of a sample on the Qt thread and expects it to return layers.
    Waiting in an event loop of its own keeps the window responsive; the activity dock shows
    `what`. Called from a script, before the event loop runs, `function` is called directly.
    """
    app, thread = QCoreApplication.instance(), QThread.currentThread()
    if app is None or thread != app.thread() or thread.loopLevel() == 0:
        return function()
    from napari.utils import progress

    from napari_ct_assistant.viewer.session.background import Background

    loop, background = QEventLoop(), Background()
    made: list[Any] = []
    failed: list[Exception] = []
    activity = progress(total=0, desc=what)
    background.run(function, returned=made.append, errored=failed.append, finished=loop.quit)
    try:
        loop.exec()
    finally:
        activity.close()
    if failed:
        raise failed[0]
    if not made:
        raise RuntimeError(_("{what}: the window was closed").format(what=what))
    return made[0]


def normal() -> list[LayerDataTuple]:
    """Return a chest phantom without any finding."""
    return phantom()


def pleural_effusion() -> list[LayerDataTuple]:
    """Return a chest phantom with a pleural effusion."""
    return phantom("Pleural effusion")


def lung_nodule() -> list[LayerDataTuple]:
    """Return a chest phantom with a lung nodule."""
    return phantom("Lung nodule")


def consolidation() -> list[LayerDataTuple]:
    """Return a chest phantom with a consolidation."""
    return phantom("Consolidation")


def emphysema() -> list[LayerDataTuple]:
    """Return a chest phantom with emphysema."""
    return phantom("Emphysema")


def cardiomegaly() -> list[LayerDataTuple]:
    """Return a chest phantom with an enlarged heart."""
    return phantom("Cardiomegaly")


def pericardial_effusion() -> list[LayerDataTuple]:
    """Return a chest phantom with a pericardial effusion."""
    return phantom("Pericardial effusion")


def lymphadenopathy() -> list[LayerDataTuple]:
    """Return a chest phantom with enlarged lymph nodes."""
    return phantom("Lymphadenopathy")


def hiatal_hernia() -> list[LayerDataTuple]:
    """Return a chest phantom with a hiatal hernia."""
    return phantom("Hiatal hernia")
