"""What binds an encoder to the language model that a server runs. Importing it brings no torch."""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final

from napari_ct_assistant.model.errors import ModelLoadError

ENCODER_FOLDER: Final = "encoder"
ENCODER_WEIGHTS: Final = "encoder.safetensors"
EMBEDDINGS: Final = "token_embeddings.weight"
FILE: Final = "served_language_model.json"
HASH_DIGITS: Final = 16
MAX_BYTES: Final = 65536
_NAMED = re.compile(rf"(?P<name>.+)-sha(?P<digits>[0-9a-f]{{{HASH_DIGITS}}})")


@dataclass(frozen=True)
class ServedLanguageModel:
    """The language model that an encoder belongs to.

    Attributes
    ----------
    name : str
    sha256 : str
        Of its weights, as they were written for the server.
    dtype : str
        In which it runs and takes embeddings: "float32", "bfloat16" or "float16".
    hidden_size : int
        Channels of an embedding.
    max_model_len : int
        Tokens that prompt and answer can have; 0 if not known.
    settings_sha256 : str
        Of the settings of the model folder that both halves were made from.
    """

    name: str
    sha256: str
    dtype: str
    hidden_size: int
    max_model_len: int = 0
    settings_sha256: str = ""

    @property
    def served_name(self) -> str:
        """The name under which a server offers it: it ends with the first digits of the hash."""
        return f"{self.name}-sha{self.sha256[:HASH_DIGITS]}"

    def save(self, folder: Path) -> None:
        """Write it into the encoder's folder."""
        text = json.dumps(asdict(self), indent=2) + "\n"
        (folder / FILE).write_text(text, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> ServedLanguageModel:
        """Read it from an encoder's folder.

        Raises
        ------
        ModelLoadError
            If the folder is not one that `models export-llm` wrote.
        """
        file = folder / FILE
        try:
            if file.stat().st_size > MAX_BYTES:
                raise ValueError("too long")
            content: Any = json.loads(file.read_text(encoding="utf-8"))
            made = cls(**{f.name: content[f.name] for f in fields(cls) if f.name in content})
            right = re.fullmatch(r"[0-9a-f]{64}", made.sha256) and made.hidden_size > 0
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise ModelLoadError(
                f"{folder.name}: no readable {FILE}; give the folder `{ENCODER_FOLDER}` that "
                "`ct-assistant models export-llm` wrote"
            ) from error
        if not right or made.dtype not in ("float32", "bfloat16", "float16"):
            raise ModelLoadError(f"{folder.name}: {FILE} holds impossible values; copy it again")
        return made


def hash_in_name(served_name: str) -> str | None:
    """Return the digits of the hash in the name of a served model; None without any."""
    found = _NAMED.fullmatch(served_name)
    return None if found is None else found["digits"]
