"""The report template: the bundled default at first, all others once they have been read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_ct_assistant.assistant.report.template import (
    DEFAULT,
    ReportTemplate,
    default_template,
    find_template,
    list_templates,
)
from napari_ct_assistant.support.translation import _
from napari_ct_assistant.viewer.session.background import Background, one_line

if TYPE_CHECKING:
    from napari_ct_assistant.viewer.report.tools import ReportTools


class TemplateChoice(QObject):
    """Lists the templates in the report's tools, and keeps the one that is chosen.

    Parameters
    ----------
    tools : ReportTools
    name : str
        The template to begin with; "" for the bundled chest template.

    Signals
    -------
    changed
        Another template is chosen.
    problem : str
        One line that says why a template cannot be used.
    """

    changed = Signal()
    problem = Signal(str)

    def __init__(self, tools: ReportTools, name: str, parent: QObject) -> None:
        super().__init__(parent)
        self._tools = tools
        self.template = default_template()
        self._templates = {DEFAULT: self.template}
        tools.show_templates(list(self._templates), DEFAULT)
        self._reading = Background(self)
        self._read(name)

    def choose(self, name: str) -> str:
        """Choose a template; return why it cannot be chosen, "" if it can."""
        if name not in self._templates:
            return _("no template {name!r}; give one of {names}").format(
                name=name, names=", ".join(self._templates)
            )
        self.template = self._templates[name]
        self.changed.emit()
        return ""

    def _read(self, name: str) -> None:
        """Read a department's own templates; their folder may be on a drive that is slow."""

        def read() -> tuple[dict[str, ReportTemplate], list[str], ReportTemplate | None]:
            found, wrong = list_templates()
            if name in found or not name:
                return found, wrong, found.get(name or DEFAULT)
            try:
                chosen = find_template(name)
            except ValueError as error:
                return found, [*wrong, one_line(error)], None
            return {**found, chosen.name: chosen}, wrong, chosen

        self._reading.run(
            read,
            returned=self._take,
            errored=lambda error: self.problem.emit(one_line(error)),
            finished=lambda: None,
        )

    def _take(
        self, read: tuple[dict[str, ReportTemplate], list[str], ReportTemplate | None]
    ) -> None:
        self._templates, wrong, chosen = read
        for problem in wrong:
            self.problem.emit(problem)
        if chosen is not None and chosen != self.template:
            self.template = chosen
            self.changed.emit()
        self._tools.show_templates(list(self._templates), self.template.name)
