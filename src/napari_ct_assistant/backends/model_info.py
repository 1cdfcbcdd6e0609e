"""Which model wrote a result. Importing it brings no torch."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

# What a model is not taught without such questions.
UNTAUGHT_WORDS: Final = {
    "report": "to write reports",
    "finding": "to say whether a finding is present",
    "choice": "to choose between answers",
    "question": "to answer open questions",
}


def shown_name(model: str | Path) -> str:
    """Return a model's name for results and messages, given what the user called it.

    Of a local folder it is the folder's own name, not the path to it: the path may name a person.
    """
    path = Path(model).expanduser()
    # A hub id has one slash; what else has slashes is a path, whether it exists or not.
    if re.fullmatch(r"[\w.-]+(/[\w.-]+)?", str(model)) and not path.exists():
        return str(model)
    return path.resolve().name


@dataclass(frozen=True)
class ModelInfo:
    """Which model wrote a result, and what it was trained for.

    Attributes
    ----------
    name : str
        As the user chose it: "demo", a folder's name or a hub id.
    trained_on : str
        The training data, in a few words.
    notice : str
        A sentence shown with every output of the model; empty for models without one.
    findings : tuple of str
        The findings it can screen for.
    unreliable_findings : tuple of str
        Findings that it was measured not to detect reliably.
    files : tuple of Path
        Its weight files.
    settings_sha256 : str
        Hash of the other files that shape what it writes (`model.folder.settings_sha256`), as
        they were when it was loaded.
    skills : tuple of str
        Tasks it was trained for besides reports and questions: "explain", "shorten".
    untaught : tuple of str
        Kinds of question that its training did not ask: "report", "finding", "choice" or
        "question". Empty for a model whose folder does not say.
    notes : tuple of str
        What the user should know about its folder, such as files that were left aside.
    server : str
        Address of the server that runs it; "" for a model on this computer. `files` are then
        those of the part that runs here, if there is one.
    served_model : str
        Its name on the server.
    revision : str
        Which version of it the server runs: the SHA-256 of the language model where it is known,
        or what the server or its profile states.
    engine : str
        What runs it there, such as "vLLM 0.32.0".
    """

    name: str
    trained_on: str = ""
    notice: str = ""
    findings: tuple[str, ...] = ()
    unreliable_findings: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()
    skills: tuple[str, ...] = ()
    settings_sha256: str = ""
    notes: tuple[str, ...] = ()
    untaught: tuple[str, ...] = ()
    server: str = ""
    served_model: str = ""
    revision: str = ""
    engine: str = ""

    @property
    def untaught_line(self) -> str:
        """What it was not taught, in a line; "" if nothing is known of it."""
        found = [words for kind, words in UNTAUGHT_WORDS.items() if kind in self.untaught]
        listed = " or ".join(filter(None, (", ".join(found[:-1]), *found[-1:])))
        return f"This model was not taught {listed}." if found else ""

    @cached_property
    def weights_sha256(self) -> str:
        """SHA-256 of the weight file, or of the files' digests if there are several.

        "" where no part of the model is on this computer.
        """
        if not self.files and self.server:
            return ""
        digests = []
        for file in self.files:
            with file.open("rb") as stream:
                digests.append(hashlib.file_digest(stream, "sha256").hexdigest())
        if len(digests) == 1:
            return digests[0]
        return hashlib.sha256("".join(digests).encode()).hexdigest()

    def to_json(self) -> dict[str, str]:
        """Return the provenance that every result carries."""
        return self.provenance(self.weights_sha256)

    def provenance(self, weights_sha256: str) -> dict[str, str]:
        """Return the provenance with a hash of the weights that is known already, or ""."""
        found = {
            "name": self.name,
            "weights_sha256": weights_sha256,
            "settings_sha256": self.settings_sha256,
            "trained_on": self.trained_on,
            "notice": self.notice,
        }
        if self.server:
            found |= {
                "server": self.server,
                "served_model": self.served_model,
                "revision": self.revision,
                "engine": self.engine,
            }
        return found
