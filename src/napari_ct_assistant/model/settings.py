"""Limits on what the settings files of a model folder may say, checked before anything is built.

A configuration with 1e9 layers, a tokenizer of a gigabyte or a spacing that is no number would
otherwise end in a process without memory, or in a report about another place of the scan.
"""

from __future__ import annotations

import json
import math
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from napari_ct_assistant.model.errors import ModelLoadError

MAX_FILES: Final = 2000
# Bytes of a file; of other JSON files, MAX_JSON.
MAX_BYTES: Final = {"tokenizer.json": 48 << 20, "tokenizer.model": 48 << 20}
MAX_JSON: Final = 4 << 20
MAX_WORDS: Final = 1_000_000
MAX_TEXT: Final = 20_000
MAX_ITEMS: Final = 20_000
MAX_PATTERN: Final = 2_000
MAX_REPLACEMENT: Final = 100

# Least and greatest value of a number, wherever its name stands in the settings.
LIMITS: Final[dict[str, tuple[float, float]]] = {
    "class_token": (0, 1),
    "dropout": (0, 1),
    "head_dim": (0, 4096),
    "hidden_size": (1, 65_536),
    "image_size": (1, 4096),
    "image_token_id": (0, 10_000_000),
    "in_channels": (1, 16),
    "intermediate_size": (1, 1_048_576),
    "layer_norm_eps": (0, 1),
    "max_new_tokens": (1, 32_768),
    "max_position_embeddings": (1, 16_777_216),
    "mlp_ratio": (0.01, 64),
    "num_attention_heads": (1, 1024),
    "num_concepts": (0, 4096),
    "num_experts": (1, 4096),
    "num_hidden_layers": (1, 512),
    "num_image_tokens": (1, 65_536),
    "num_key_value_heads": (1, 1024),
    "patch_size": (1, 1024),
    "perceiver_head_dim": (1, 4096),
    "perceiver_kernel": (1, 64),
    "perceiver_latents": (1, 65_536),
    "perceiver_layers": (1, 64),
    "spacing": (0.05, 100),
    "hu_range": (-100_000, 100_000),
    "value_range": (-1_000_000, 1_000_000),
    "finding_thresholds": (0, 1),
    "vocab_size": (1, 2_000_000),
}
# Of any other number.
GREATEST: Final = 1e31  # some tokenizers say so for "no limit"
OLDER: Final = {
    "patch": "patch_size",
    "size": "image_size",
    "num_visual_tokens": "num_image_tokens",
}
# A repetition within a repetition, as in (a+)+: the time to match grows exponentially.
_NESTED: Final = re.compile(r"\((?:[^()\\]|\\.)*[+*](?:[^()\\]|\\.)*\)(?:[+*]|\{\d*,)")


def read_json(file: Path, name: str) -> dict[str, Any]:
    """Return the object in a JSON file.

    Raises
    ------
    ModelLoadError
        If the file cannot be read, is too large, or holds something else.
    """
    most = MAX_BYTES.get(file.name, 64 << 20 if "index" in file.name else MAX_JSON)
    try:
        size = file.stat().st_size
        content = (
            None
            if size > most
            else json.loads(file.read_text(encoding="utf-8"), parse_constant=_no_number)
        )
    except _NoNumberError as error:
        raise ModelLoadError(f"{name}: {file.name} says {error}, which is not a number") from None
    except (OSError, ValueError, RecursionError):
        raise ModelLoadError(
            f"{name}: {file.name} is not valid JSON; copy the model again"
        ) from None
    if size > most:
        raise ModelLoadError(f"{name}: {file.name} is larger than {most >> 20} MB; refused")
    if not isinstance(content, dict):
        raise ModelLoadError(f"{name}: {file.name} is not a JSON object; copy the model again")
    return content


class _NoNumberError(Exception):
    """JSON with NaN or Infinity."""


def _no_number(text: str) -> float:
    raise _NoNumberError(text)


def check_files(folder: Path, name: str) -> None:
    """Refuse a folder that holds pipes, devices or sockets, or very many files.

    Raises
    ------
    ModelLoadError
        With the name of the file.
    """
    if not folder.is_dir():
        return
    for number, file in enumerate(folder.iterdir()):
        if number >= MAX_FILES:
            raise ModelLoadError(f"{name}: more than {MAX_FILES} files; give a model's folder")
        try:
            mode = file.stat().st_mode
        except OSError:
            continue  # a link to nothing; what needs it says so
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise ModelLoadError(f"{name}: {file.name} is not an ordinary file; refused")


def check_settings(folder: Path, name: str) -> None:
    """Check the settings and the tokenizer of a model folder against the limits.

    Raises
    ------
    ModelLoadError
        With the file, the key and the value.
    """
    for file in sorted(folder.glob("*.json")):
        if file.name in ("config.json", "generation_config.json", "processor_config.json"):
            for problem in _problems(read_json(file, name), ""):
                raise ModelLoadError(f"{name}: {file.name}: {problem}")
        elif file.name == "tokenizer.json":
            for problem in _tokenizer_problems(read_json(file, name)):
                raise ModelLoadError(f"{name}: {file.name}: {problem}")
        elif file.name == "tokenizer_config.json":
            read_json(file, name)


def _problems(value: Any, key: str) -> Iterator[str]:
    """Yield what is beyond a limit. key: the name under which the value stands."""
    if isinstance(value, dict):
        if len(value) > MAX_ITEMS:
            yield f"{key or 'the file'} has {len(value)} entries, at most {MAX_ITEMS} are read"
        for name, item in value.items():
            yield from _problems(item, key if key in LIMITS else str(name)[:80])
    elif isinstance(value, list):
        if len(value) > MAX_ITEMS:
            yield f"{key} has {len(value)} entries, at most {MAX_ITEMS} are read"
        for item in value:
            yield from _problems(item, key)
    elif isinstance(value, str):
        if len(value) > MAX_TEXT:
            yield f"{key} has {len(value)} characters, at most {MAX_TEXT} are read"
    elif isinstance(value, int | float) and not isinstance(value, bool):
        least, most = LIMITS.get(OLDER.get(key, key), (-GREATEST, GREATEST))
        # The comparison is false for NaN, too.
        if not least <= value <= most or math.isinf(value):
            yield f"{key} is {str(value)[:40]}, expected {least:,g} to {most:,g}"


def _tokenizer_problems(content: dict[str, Any]) -> Iterator[str]:
    model = content.get("model")
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    for what in (vocabulary, content.get("added_tokens")):
        if isinstance(what, dict | list) and len(what) > MAX_WORDS:
            yield f"a vocabulary of {len(what)} words, at most {MAX_WORDS} are read"
    for part in ("normalizer", "pre_tokenizer", "post_processor", "decoder"):
        yield from _pattern_problems(content.get(part), part)


def _pattern_problems(value: Any, part: str) -> Iterator[str]:
    """Yield patterns and replacements that would take endless time or memory."""
    if isinstance(value, list):
        if len(value) > 200:
            yield f"{part} has {len(value)} steps, at most 200 are read"
        for item in value:
            yield from _pattern_problems(item, part)
    elif isinstance(value, dict):
        for key, item in value.items():
            if isinstance(item, str):
                if key == "Regex" and (len(item) > MAX_PATTERN or _NESTED.search(item)):
                    yield f"{part} has a pattern that may take endless time: {item[:60]!r}"
                if key == "content" and len(item) > MAX_REPLACEMENT:
                    yield f"{part} replaces by {len(item)} characters, at most {MAX_REPLACEMENT}"
            else:
                yield from _pattern_problems(item, part)
