"""Every text that the viewer shows goes through the translation function."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

import napari_ct_assistant.viewer

VIEWER = Path(napari_ct_assistant.viewer.__file__).parent
FILES = {path.relative_to(VIEWER).as_posix(): path for path in sorted(VIEWER.rglob("*.py"))}

TRANSLATORS = {"_", "N_", "ngettext", "pgettext", "said"}
# Calls whose texts a reader sees, or hears from a screen reader: no literal may reach them.
SINKS = {
    "addAction", "addButton", "addItem", "addItems", "addMenu", "addRow", "addTab", "add_note",
    "add_dock_widget", "button", "choose_file", "choose_folder", "choose_new_file", "drawText",
    "insertTab", "label", "plain_label", "setAccessibleDescription", "setAccessibleName",
    "setHeaderLabels", "setHorizontalHeaderLabels", "setHtml", "setMarkdown", "setPlaceholderText",
    "setPlainText", "setStatusTip", "setSuffix", "setText", "setTitle", "setToolTip",
    "setWhatsThis", "setWindowTitle", "show_error", "show_info", "show_text", "show_warning",
    "tool_button", "QAction", "QCheckBox", "QGroupBox", "QLabel", "QListWidgetItem",
    "QMessageBox", "QPushButton",
    "QRadioButton", "QStandardItem", "QTableWidgetItem", "QToolBar",
}  # fmt: skip
# Calls whose texts are names for the program.
NAMES = {
    "QColor", "add_plugin_dock_widget", "bind_key", "compile", "debug", "endswith", "error",
    "exception", "find_spec", "get", "getattr", "hasattr", "info", "isinstance", "phantom", "pop",
    "setObjectName", "setattr", "setProperty", "setdefault", "startswith", "strftime", "warning",
}  # fmt: skip
# What looks like a text and is none, or one that is the same in every language.
ALLOWED = {
    "CT Assistant": "the name of the plugin",
    "Ag": "letters that are measured",
    " ,.:-–…()/%×ÅÉÑŐÄÖÜäöüß": "characters that are drawn unseen",
    "Soft tissue": "the name of a preset in the preferences; it is translated where it is shown",
    "QtProject": "Qt's own name for its settings",
    "FileDialog/history": "a key of Qt's settings",
    "FileDialog/lastVisited": "a key of Qt's settings",
    "area": "it is taken out of a text",
    "lung": "a place in a sentence of the report, which is in English",
    "Shapes": "a class of napari",
    "Labels": "a class of napari",
    "Shift": "a key as vispy names it",
    "Control": "a key as vispy names it",
    "Alt": "a key as vispy names it",
    "HF": "letters of directions, as scanners write them",
    "HU": "the unit",
    "mm": "the unit",
    "GB": "the unit",
    "MB": "the unit",
    "MB/s": "the unit",
    "s": "the unit",
}
# Files whose literals are no texts of the reader's language.
WHOLE_FILES = {
    "app.py": "errors before there is a window, which the command line prints",
    "chat/suggestions.py": "questions for the model, which understands English",
    "theme.py": "style sheets",
}
KEYS = re.compile(r"(?:(?:Ctrl|Shift|Alt|Meta)\+)*(?:F\d+|Esc|Del|Return|Enter|Space|.)?")
IDENTIFIER = re.compile(r"[a-z0-9_.:/%?#=&*+-]+|[A-Z0-9_]+|[a-z]+(?:[A-Z][a-z]+)+|#[0-9a-fA-F]{6}")
MARKUP = re.compile(r"<[^<>]*>?|\*\.\w[\w.]*|&\w+;|\{[^{}]*\}")
WORD = re.compile(r"[^\W\d_]{2,}")


def words(text: str) -> str:
    """Return what is left of a literal that a reader would read, "" for markup and numbers."""
    left = MARKUP.sub(" ", text).strip()
    parts = [part for part in re.split(r"[\s·,;:()]+", left) if WORD.search(part)]
    return " ".join(part for part in parts if part not in ALLOWED)


def looks_like_text(text: str) -> bool:
    """Say whether a literal reads like a text rather than a name for the program."""
    if text in ALLOWED or KEYS.fullmatch(text) or IDENTIFIER.fullmatch(text):
        return False
    if "(?" in text or "\\b" in text or "[\\" in text:
        return False
    return bool(words(text))


def called(node: ast.Call) -> str:
    """Return the last name of what is called."""
    if isinstance(node.func, ast.Attribute):
        return node.func.attr
    return node.func.id if isinstance(node.func, ast.Name) else ""


class Unwrapped(ast.NodeVisitor):
    """Collects the texts that reach a reader without being translated."""

    def __init__(self, constants: set[str]) -> None:
        self.found: list[tuple[int, str]] = []
        self._marked = constants  # constants that hold a text marked with N_
        self._sink = False

    def visit_Constant(self, node: ast.Constant) -> None:
        text = node.value
        if isinstance(text, str) and (
            looks_like_text(text) or (self._sink and text not in ALLOWED and words(text))
        ):
            self.found.append((node.lineno, text))

    def visit_Name(self, node: ast.Name) -> None:
        if node.id in self._marked and isinstance(node.ctx, ast.Load):
            self.found.append((node.lineno, f"{node.id} without _()"))

    def visit_Call(self, node: ast.Call) -> None:
        name, before = called(node), self._sink
        if name in TRANSLATORS or name in NAMES:
            return
        if name == "Texts":
            self._visit_texts(node)
            return
        self.visit(node.func)
        # What a call returns is judged there, not here: `emit(tip(_("…")))`.
        self._sink = name in SINKS
        for argument in node.args:
            self.visit(argument)
        for keyword in node.keywords:
            # "Linked views" in `name=` of a dock is a text; an `objectName=` is not.
            if keyword.arg not in {"area", "objectName", "colormap", "blending", "mode"}:
                self.visit(keyword.value)
        self._sink = before

    def _visit_texts(self, node: ast.Call) -> None:
        for argument in node.args:
            for value in argument.values if isinstance(argument, ast.Dict) else [argument]:
                self.visit(value)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        before, self._sink = self._sink, False
        self.visit(node.test)
        self._sink = before
        self.visit(node.body)
        self.visit(node.orelse)

    def visit_Dict(self, node: ast.Dict) -> None:
        # The keys are names.
        for value in node.values:
            self.visit(value)

    def visit_Compare(self, node: ast.Compare) -> None:
        """Pass over it: the program compares names."""

    def visit_Subscript(self, node: ast.Subscript) -> None:
        # `TEXTS["name"]`, `Literal["a", "b"]`; a marked dictionary gives marked texts.
        if not isinstance(node.slice, ast.Constant):
            before, self._sink = self._sink, False
            self.visit(node.slice)
            self._sink = before
        self.visit(node.value)

    def visit_Raise(self, node: ast.Raise) -> None:
        """Pass over it: errors for who writes programs are in English, like tracebacks."""

    def visit_Assert(self, node: ast.Assert) -> None:
        """Pass over it."""

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        if node.value is not None:
            self.visit(node.value)

    def visit_arg(self, node: ast.arg) -> None:
        """Pass over the annotation."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        for default in [*node.args.defaults, *node.args.kw_defaults]:
            if default is not None:
                self.visit(default)
        self._visit_body(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._visit_body(node)

    def visit_Module(self, node: ast.Module) -> None:
        self._visit_body(node)

    def _visit_body(self, node: ast.FunctionDef | ast.ClassDef | ast.Module) -> None:
        body = node.body
        if ast.get_docstring(node) is not None:
            body = body[1:]
        for statement in body:
            self.visit(statement)


@cache
def parsed(name: str) -> ast.Module:
    """Return a file of the viewer as a tree."""
    return ast.parse(FILES[name].read_text(encoding="utf-8"))


@cache
def own_marked(name: str) -> frozenset[str]:
    """Return the constants of a file that hold one text marked with N_."""
    found = set()
    for node in parsed(name).body:
        assigned = isinstance(node, (ast.Assign, ast.AnnAssign))
        if assigned and isinstance(node.value, ast.Call) and called(node.value) == "N_":
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return frozenset(found)


def marked(name: str) -> set[str]:
    """Return the names in a file that stand for such constants, its own and imported ones."""
    found = set(own_marked(name))
    for node in ast.walk(parsed(name)):
        if isinstance(node, ast.ImportFrom) and node.module:
            _package, _dot, module = node.module.partition("napari_ct_assistant.viewer.")
            source = module.replace(".", "/") + ".py"
            if source in FILES:
                known = own_marked(source)
                found |= {one.asname or one.name for one in node.names if one.name in known}
    return found


def unwrapped(tree: ast.Module, constants: set[str]) -> list[tuple[int, str]]:
    """Return line and text of each text that a reader would see untranslated."""
    visitor = Unwrapped(constants)
    visitor.visit(tree)
    return visitor.found


def test_no_text_reaches_the_reader_untranslated() -> None:
    wrong = [
        f"{name}:{line}: {text!r}"
        for name in FILES
        if name not in WHOLE_FILES
        for line, text in unwrapped(parsed(name), marked(name))
    ]
    assert not wrong, "wrap in _(), or N_() if made at import:\n" + "\n".join(wrong)


def test_no_other_thing_is_called_like_the_translation_function() -> None:
    """A local `_` would hide it, and what is shown then would raise."""
    wrong = []
    for name in FILES:
        nodes = list(ast.walk(parsed(name)))
        if any(isinstance(node, ast.Call) and called(node) == "_" for node in nodes):
            wrong += [
                f"{name}:{node.lineno}"
                for node in nodes
                if (isinstance(node, ast.arg) and node.arg == "_")
                or (
                    isinstance(node, ast.Name)
                    and node.id == "_"
                    and isinstance(node.ctx, ast.Store)
                )
            ]
    assert not wrong, "call it otherwise:\n" + "\n".join(wrong)


def test_the_buttons_of_dialogs_are_labelled_by_us() -> None:
    """Qt labels its own buttons in English unless its translations are loaded for napari, too."""
    made = [
        name
        for name in FILES
        for node in ast.walk(parsed(name))
        if isinstance(node, ast.Call) and called(node) in {"QDialogButtonBox", "QMessageBox"}
    ]
    assert made == ["widgets.py"]


def test_texts_are_literals_without_values() -> None:
    """What goes into `_` must be in the catalogue: a literal or a constant marked with N_."""
    wrong = []
    for name in FILES:
        calls = [
            node
            for node in ast.walk(parsed(name))
            if isinstance(node, ast.Call) and called(node) in TRANSLATORS
        ]
        for node in calls:
            parts = [part for text in node.args[:2] for part in ast.walk(text)]
            if any(isinstance(part, (ast.JoinedStr, ast.BinOp)) for part in parts):
                wrong.append(f"{name}:{node.lineno}")
    assert not wrong, "values go in after the translation, with format:\n" + "\n".join(wrong)


@pytest.mark.parametrize(
    "source",
    [
        'button("Draft")',
        'self.label.setText("ready")',
        'self.setWindowTitle(f"Report of {name}")',
        'self.label.setToolTip("Look" if a else _("Wait"))',
        'self.status_message.emit("Nothing to export")',
        'text = f"{n} warnings: "',
        'TITLE: Final = "Sign off the report"',
        'parts.append(f"{n:.0f} tokens/s")',
        'box.addItems(["Yes", "No"])',
        'def f(title: str = "Choose a series"): ...',
        "self.label.setText(NOTICE)",
        'self.label.setText("Part " + _("two"))',
    ],
)
def test_what_the_check_finds(source: str) -> None:
    assert unwrapped(ast.parse(source), {"NOTICE"})


@pytest.mark.parametrize(
    "source",
    [
        'button(_("Draft"))',
        'self.setObjectName("Report window")',
        'self.label.setText(f"{a}  ·  {b}")',
        'self.label.setText(f"{n} HU")',
        'TITLE: Final = N_("Sign off the report")',
        "self.label.setText(_(NOTICE))",
        'add_shortcuts(self, [("Ctrl+Shift+R", self.draft)])',
        'if kind == "not reviewed": pass',
        'COLOUR = "#ffd34d"',
        '"""A docstring."""',
        'self.label.setText(TIPS["report"])',
        'self.label.setText("" if a else _("Wait"))',
        'self.label.setText(ngettext("{n} word", "{n} words", n).format(n=n))',
    ],
)
def test_what_the_check_lets_pass(source: str) -> None:
    assert not unwrapped(ast.parse(source), {"NOTICE"})
