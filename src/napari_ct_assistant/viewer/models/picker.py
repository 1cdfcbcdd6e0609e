"""The choice of the model, with its memory needs and its notice."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QToolButton, QVBoxLayout, QWidget

from napari_ct_assistant.assistant.models.installed import bundled_models, remember_folder
from napari_ct_assistant.backends.loading.options import BEST, LoadOptions, Remedy
from napari_ct_assistant.backends.model_info import shown_name
from napari_ct_assistant.backends.server.address import is_address
from napari_ct_assistant.backends.server.errors import AgreementNeededError
from napari_ct_assistant.support.translation import _
from napari_ct_assistant.viewer.file_dialogs import choose_folder
from napari_ct_assistant.viewer.models.available_models import (
    ModelSurvey,
    could_be_on_the_hub,
    saved_servers,
    server_facts,
    survey_models_and_memory,
)
from napari_ct_assistant.viewer.models.box import ModelBox
from napari_ct_assistant.viewer.models.hub_bar import HubBar
from napari_ct_assistant.viewer.models.load_menu import LoadMenu
from napari_ct_assistant.viewer.models.memory_bar import MemoryBar
from napari_ct_assistant.viewer.models.sending_dialog import SendingGuard
from napari_ct_assistant.viewer.session.background import Background, one_line
from napari_ct_assistant.viewer.texts import (
    DEMO_NOTICE,
    MODEL_BROKEN,
    MODEL_MISSING,
    MODEL_NOT_DOWNLOADED,
    REAL_NOTICE,
    SCREENS_ONLY,
    TIPS,
)
from napari_ct_assistant.viewer.widgets import SPACING, button, eliding_label, row
from napari_ct_assistant.viewer.widgets import tip as plain_tip

if TYPE_CHECKING:
    from napari_ct_assistant.assistant.models.installed import InstalledModel
    from napari_ct_assistant.backends.server.sending import Sending
    from napari_ct_assistant.viewer.session.conversation import Conversation
    from napari_ct_assistant.viewer.session.jobs import Job, JobResult
    from napari_ct_assistant.viewer.session.model_session import ModelSession
    from napari_ct_assistant.viewer.session.runner import JobRunner


class ModelPicker(QWidget):
    """The box of models; under it the download, problems and the notice.

    The buttons Load and Options and the facts about the model unfold below the box. `line` is
    the layout of the box, to which the panel adds its own buttons.

    Signals
    -------
    changed : str
        Another model was chosen, or the chosen one was loaded.
    usable_changed
        Whether the chosen model can be used may have changed.
    unagreed : Sending
        To load the model would use a connection that nobody has agreed to.
    """

    changed = Signal(str)
    usable_changed = Signal()
    unagreed = Signal(object)

    def __init__(
        self, model: str = "demo", device: str | None = None, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.box = ModelBox()
        self.box.setAccessibleName(_("Model"))
        self.load_button = button(_("Load"))
        self.menu = LoadMenu(LoadOptions(device=device) if device else BEST)
        self.facts = eliding_label()
        self.facts.setObjectName("quiet")
        self.facts.setAccessibleName(_("About the model"))
        self.hub = HubBar()
        self.problem = MemoryBar()
        self.notice = eliding_label(middle=True)
        self.notice.setObjectName("notice")
        self.notice.setAccessibleName(_("Notice about the model"))
        self.fold_button = QToolButton()
        self.fold_button.setCheckable(True)
        self.fold_button.setArrowType(Qt.ArrowType.RightArrow)
        self.fold_button.setToolTip(TIPS["model_fold"])
        self.fold_button.setAccessibleName(_("More about the model"))
        self.line = row(self.fold_button, self.box)
        self.line.setStretchFactor(self.box, 1)
        self.fold = QWidget()
        fold = QVBoxLayout(self.fold)
        fold.setContentsMargins(0, 0, 0, 0)
        fold.setSpacing(SPACING)
        fold.addLayout(row(self.load_button, self.menu, None))
        fold.addWidget(self.facts)
        self.fold.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SPACING)
        layout.addLayout(self.line)
        for widget in (self.fold, self.hub, self.problem, self.notice):
            layout.addWidget(widget)
        self.session: ModelSession | None = None
        self._survey = ModelSurvey(list(bundled_models()), servers=saved_servers())
        self._device = ""  # of the loaded model
        self._unagreed: Sending | None = None
        self._working = self._reading = self._survey_again = False
        self._loads = Background(self)
        self._survey_worker = Background(self)
        self._surveying = False
        self.set_model(model)
        self.fold_button.toggled.connect(self._unfold)
        self.box.opened.connect(self.refresh_survey)
        self.box.chosen.connect(self._on_chosen)
        self.box.browsed.connect(self.ask_folder)
        self.menu.chosen.connect(self._on_options)
        self.load_button.clicked.connect(self.load_or_unload)
        self.hub.arrived.connect(self._on_arrived)
        self.problem.chosen.connect(self._on_remedy)
        self.problem.browsed.connect(self.ask_folder)
        self.problem.retried.connect(self._on_retried)

    def join(self, jobs: JobRunner) -> None:
        """Load models into the session of `jobs`, and follow its jobs."""
        self.session = jobs.session
        jobs.began.connect(self._on_began)
        jobs.done.connect(self._on_done)
        jobs.ended.connect(self._on_ended)
        self._show()

    def ask_before_sending(self, conversation: Conversation) -> None:
        """Ask the reader before a job or a load sends what nobody has agreed to."""
        self.guard = SendingGuard(conversation, self, self)

    @property
    def model(self) -> str:
        """The chosen model: a bundled name, a folder or a hub id."""
        return str(self.box.lineEdit().text()).strip() or "demo"

    @property
    def no_text(self) -> str:
        """Why the chosen model writes no reports and answers, in a line; "" if it does."""
        session, known = self.session, self._survey.find(self.model)
        if self.is_loaded and session is not None and session.assistant is not None:
            backend = getattr(session.assistant, "backend", None)
            writes = backend is None or backend.capabilities.text
        else:
            writes = known is None or known.writes_text
        return "" if writes else _(SCREENS_ONLY).format(model=shown_name(self.model))

    @property
    def unusable(self) -> str:
        """Why the chosen model cannot be used, and the way out, in a line; "" if it can be."""
        session, model = self.session, self.model
        if session is None or not session.finds_on_disk or self.is_loaded:
            return ""
        if session.broken == (model, self.options):
            why = _("{model} cannot be loaded").format(model=shown_name(model))
            return _(MODEL_BROKEN).format(why=why)
        if self._survey.find(model) is not None or self._survey.server(model) is not None:
            return ""
        hub = could_be_on_the_hub(model)
        said = _(MODEL_NOT_DOWNLOADED) if hub else _(MODEL_MISSING)
        return said.format(model=shown_name(model))

    @property
    def names(self) -> list[str]:
        """The models that are known to be installed."""
        return [known.name for known in self._survey.installed]

    @property
    def options(self) -> LoadOptions:
        """How the model is loaded."""
        return self.menu.options

    def set_model(self, model: str) -> None:
        """Choose `model`."""
        self.box.set_name(model)
        self.problem.hide()
        known = self._survey.find(model)
        if known is None:
            self._survey = replace(self._survey, servers=saved_servers())
        if known is None and not is_address(model):
            self._survey = replace(self._survey, installed=self._all_models())
            known = self._survey.find(model)
        if known is None and could_be_on_the_hub(model):
            self.hub.offer(model)
        else:
            self.hub.dismiss()
        self.show_notice(known.notice if known is not None and known.notice else None)
        self._show()
        self.changed.emit(model)

    def _unfold(self, on: bool) -> None:
        self.fold_button.setArrowType(Qt.ArrowType.DownArrow if on else Qt.ArrowType.RightArrow)
        self.fold.setVisible(on)

    def ask_folder(self) -> None:
        """Ask for a folder that contains a model."""
        path = choose_folder(self, _("Choose a folder that contains a model"))
        if path:
            self._on_chosen(path)

    def show_notice(self, notice: str | None = None) -> None:
        """Show the model's own notice; a general one as long as that is not known."""
        if notice is None and self.model == "demo":
            notice = _(DEMO_NOTICE)
        # The notice of a model is translated where its text is known.
        self.notice.setText(_(notice) if notice else _(REAL_NOTICE))
        self.notice.setToolTip(plain_tip(self.notice.text()))

    # -- the models on this machine, and whether they fit

    def refresh_survey(self) -> None:
        """List the models and measure the free memory, in the background."""
        if self._surveying:
            self._survey_again = True
            return
        self._surveying = True
        self._survey_worker.run(
            partial(survey_models_and_memory, self.options),
            returned=self._on_survey,
            errored=lambda _error: None,
            finished=self._on_survey_finished,
        )

    def _on_survey(self, survey: ModelSurvey) -> None:
        self._survey = survey
        self.box.refresh(survey)
        self._show()

    def _on_survey_finished(self) -> None:
        self._surveying = False
        if self._survey_again:
            self._survey_again = False
            self.refresh_survey()

    def _all_models(self) -> list[InstalledModel]:
        from napari_ct_assistant.assistant.models.installed import installed_models

        return installed_models()

    # -- loading and unloading

    @property
    def busy(self) -> bool:
        """Whether a model is being loaded or unloaded, or the models are being listed."""
        return self._working or self._surveying

    @property
    def is_loaded(self) -> bool:
        """Whether the chosen model is loaded with the chosen options."""
        return self.session is not None and self.session.loaded == (self.model, self.options)

    def load_or_unload(self) -> None:
        """Unload the chosen model if it is loaded; otherwise load it in place of the loaded one."""
        if self.session is None or self._working or self._reading:
            return
        self._working = True
        self.problem.hide()
        session, model, options = self.session, self.model, self.options
        unload = self.is_loaded
        self._show(
            _("Freeing its memory…")
            if unload
            else _("Loading {model}…").format(model=Path(model).name)
        )
        self._loads.run(
            session.close if unload else partial(session.load, model, options),
            returned=self._on_loaded,
            errored=self._on_refused,
            finished=self._on_worked,
        )

    def _on_loaded(self, result: Any) -> None:
        self._device = ""
        if result is not None:
            info, self._device = result
            self.show_notice(" ".join(filter(None, (info.notice, info.untaught_line))))
            self._remember()
            self.changed.emit(self.model)

    def _on_refused(self, error: Exception) -> None:
        if isinstance(error, AgreementNeededError):
            self._unagreed = error.sending
            return
        self.problem.show_error(error, one_line(error))

    def _on_worked(self) -> None:
        self._working = False
        self._show()
        self.refresh_survey()
        sending, self._unagreed = self._unagreed, None
        if sending is not None:
            self.unagreed.emit(sending)

    def _remember(self) -> None:
        known = self._survey.find(self.model)
        if known is not None and known.source == "folder":
            remember_folder(known.path)

    # -- reacting to other widgets and to jobs

    def _on_chosen(self, model: str) -> None:
        self.set_model(model)
        self.refresh_survey()

    def _on_options(self, _options: LoadOptions) -> None:
        self._show()
        self.refresh_survey()

    def _on_remedy(self, remedy: Remedy) -> None:
        self.menu.set_options(remedy.apply(self.options))
        self.load_or_unload()

    def _on_retried(self) -> None:
        if Path(self.model).expanduser().exists():
            self.load_or_unload()  # it says what is wrong
        else:
            self.set_model(self.model)

    def _on_arrived(self, repo: str) -> None:
        # If another model was chosen in the meantime, it stays chosen.
        if self.model == repo:
            self._on_chosen(repo)
        else:
            self.refresh_survey()

    def _on_began(self, _job: Job) -> None:
        self._reading = True
        self.problem.hide()
        self._show()

    def _on_done(self, result: JobResult) -> None:
        self._device = result.record.device
        self._remember()

    def _on_ended(self, _job: Job) -> None:
        self._reading = False
        refused = None if self.session is None else self.session.refused
        if refused is not None:
            self.problem.show_error(refused, one_line(refused))
        self._show()

    def _show(self, doing: str = "") -> None:
        """Update the facts about the chosen model, and the button."""
        known = self._survey.find(self.model)
        server = None if known is not None else self._survey.server(self.model)
        loaded = self.is_loaded
        text = doing
        if not text and known is not None:
            parts = [self._survey.facts(known)]
            if loaded:
                where = _("Loaded on {device}").format(device=self._device)
                parts.insert(0, where if self._device else _("Loaded"))
            elif not self._survey.fits(known):
                beside = self.session is not None and self.session.loaded is not None
                parts.insert(
                    0, _("Does not fit beside the loaded model") if beside else _("Does not fit")
                )
            text = "  ·  ".join(parts)
        elif not text and server is not None:
            text = (
                _("Loaded: {place}").format(place=self._device) if loaded else server_facts(server)
            )
        elif not text and not self.hub.isVisibleTo(self):
            text = _("No model of that name on this machine")
        self.facts.setText(text)
        self.facts.setToolTip(plain_tip(text))
        self.facts.setVisible(bool(text))
        self.load_button.setText(_("Unload") if loaded else _("Load"))
        self.load_button.setToolTip(TIPS["unload" if loaded else "load"])
        here = known is not None or loaded or server is not None
        self.load_button.setEnabled(here and not self._working and not self._reading)
        self._show_unusable()
        self.usable_changed.emit()

    def _show_unusable(self) -> None:
        """Say under the box why the chosen model cannot be used; the hub's bar does so itself."""
        session, line = self.session, self.unusable
        if session is None or self._working or self._reading:
            return
        if line and session.broken == (self.model, self.options):
            line = _(MODEL_BROKEN).format(why=session.broken_why.rstrip("."))
        elif line and could_be_on_the_hub(self.model):
            return
        if line:
            self.problem.show_unusable(line)
        elif self.problem.says_unusable:
            self.problem.hide()
