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
from math import prod
from pathlib import Path
from typing import Any, Final

from napari_ct_assistant.model.errors import ModelLoadError
from napari_ct_assistant.support.patterns import may_explode
from napari_ct_assistant.support.translation import said

CHECKED: Final = (
    "config.json", "generation_config.json", "processor_config.json", "tokenizer_config.json",
)  # fmt: skip
MAX_FILES: Final = 2000
# Bytes of a file; of other JSON files, MAX_JSON.
MAX_BYTES: Final = {"tokenizer.json": 48 << 20, "tokenizer.model": 48 << 20}
MAX_JSON: Final = 4 << 20
MAX_WORDS: Final = 1_000_000
MAX_TEXT: Final = 20_000
MAX_ITEMS: Final = 20_000
MAX_PATTERN: Final = 2_000
MAX_REPLACEMENT: Final = 100
MAX_GROWTH: Final = 1000
MAX_DEPTH: Final = 40

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
    "model_max_length": (1, 1e31),  # some tokenizers say so for "no limit"
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
# Settings that are texts, lists of texts, or texts by name.
TEXTS: Final = frozenset(
    {"answer_prefix", "choice_answer", "choices_form", "finding_question", "follow_up",
     "image_splice", "image_token", "notice", "preparation", "prompt", "region_form",
     "report_prompt", "trained_on"}
)  # fmt: skip
TEXT_LISTS: Final = frozenset({"skills", "unreliable_findings", "untaught_findings"})
GROUPS: Final = frozenset({"finding_thresholds", "text_config", "vision_config"})
TEXT_MAPS: Final = frozenset({"report_questions"})
# Forms are filled by plain replacement: {finding:>1000} is no field, but an attack or a mistake.
FORMS: Final = (TEXTS | TEXT_MAPS) - {"notice", "trained_on", "image_token"}
_FIELD: Final = re.compile(r"\{[^{}]*\}")
_PLAIN_FIELD: Final = re.compile(r"\{\w[\w ]*\}")
# Of any other number.
GREATEST: Final = 1e31
OLDER: Final = {
    "patch": "patch_size",
    "size": "image_size",
    "num_visual_tokens": "num_image_tokens",
}


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
        content: Any = None
        many = False
        if size <= most:
            text = file.read_text(encoding="utf-8")
            # Each word of a vocabulary has a colon; millions of them take gigabytes once read.
            many = text.count(":") > MAX_WORDS + MAX_ITEMS
            content = {} if many else json.loads(text, parse_constant=_no_number)
    except _NoNumberError as error:
        raise ModelLoadError(
            said(
                "{name}: {name2} says {error}, which is not a number",
                name=name,
                name2=file.name,
                error=error,
            )
        ) from None
    except (OSError, ValueError, RecursionError):
        raise ModelLoadError(
            said(
                "{name}: {name2} is not valid JSON; copy the model again",
                name=name,
                name2=file.name,
            )
        ) from None
    if size > most:
        raise ModelLoadError(
            said(
                "{name}: {name2} is larger than {number} MB; refused",
                name=name,
                name2=file.name,
                number=most >> 20,
            )
        )
    if many:
        raise ModelLoadError(
            said(
                "{name}: {name2} has more than {max_words} entries, such as words; refused",
                name=name,
                name2=file.name,
                max_words=MAX_WORDS,
            )
        )
    if not isinstance(content, dict):
        raise ModelLoadError(
            said(
                "{name}: {name2} is not a JSON object; copy the model again",
                name=name,
                name2=file.name,
            )
        )
    if _is_deep(content):
        raise ModelLoadError(
            said(
                "{name}: {name2} is nested more than {max_depth} deep; refused",
                name=name,
                name2=file.name,
                max_depth=MAX_DEPTH,
            )
        )
    return content


def _is_deep(content: Any) -> bool:
    """Return whether lists and mappings are nested beyond MAX_DEPTH."""
    level = [content]
    for _ in range(MAX_DEPTH):
        inner: list[Any] = []
        for holder in level:
            items = holder.values() if isinstance(holder, dict) else holder
            inner += [item for item in items if isinstance(item, dict | list)]
        if not inner:
            return False
        level = inner
    return True


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
            raise ModelLoadError(
                said(
                    "{name}: more than {max_files} files; give a model's folder",
                    name=name,
                    max_files=MAX_FILES,
                )
            )
        try:
            mode = file.stat().st_mode
        except OSError:
            continue  # a link to nothing; what needs it says so
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise ModelLoadError(
                said("{name}: {name2} is not an ordinary file; refused", name=name, name2=file.name)
            )


def check_settings(folder: Path, name: str) -> None:
    """Check the settings and the tokenizer of a model folder against the limits.

    Raises
    ------
    ModelLoadError
        With the file, the key and the value.
    """
    for file in sorted(folder.glob("*.json")):
        if file.name in CHECKED:
            for problem in _problems(read_json(file, name), ""):
                raise ModelLoadError(
                    said("{name}: {name2}: {problem}", name=name, name2=file.name, problem=problem)
                )
        elif file.name == "tokenizer.json":
            for problem in _tokenizer_problems(read_json(file, name)):
                raise ModelLoadError(
                    said("{name}: {name2}: {problem}", name=name, name2=file.name, problem=problem)
                )


def _problems(value: Any, key: str) -> Iterator[str]:
    """Yield what is beyond a limit. key: the name under which the value stands."""
    if isinstance(value, dict):
        if len(value) > MAX_ITEMS:
            yield f"{key or 'the file'} has {len(value)} entries, at most {MAX_ITEMS} are read"
        for name, item in value.items():
            yield from _kind_problems(item, str(name)[:80])
            yield from _problems(item, key if key in LIMITS or key in FORMS else str(name)[:80])
    elif isinstance(value, list):
        if len(value) > MAX_ITEMS:
            yield f"{key} has {len(value)} entries, at most {MAX_ITEMS} are read"
        for item in value:
            yield from _problems(item, key)
    elif isinstance(value, str):
        # Nothing fills a chat template here; some are long.
        if len(value) > MAX_TEXT and key != "chat_template":
            yield f"{key} has {len(value)} characters, at most {MAX_TEXT} are read"
        if key in LIMITS:
            yield f"{key} is {value[:40]!r}, expected a number"
        if key in FORMS:
            for field in _FIELD.findall(value):
                if not _PLAIN_FIELD.fullmatch(field):
                    yield f"{key} has the field {field[:40]!r}, which nothing fills"
    elif isinstance(value, int | float) and not isinstance(value, bool):
        least, most = LIMITS.get(OLDER.get(key, key), (-GREATEST, GREATEST))
        # The comparison is false for NaN, too.
        if not least <= value <= most or math.isinf(value):
            yield f"{key} is {str(value)[:40]}, expected {least:,g} to {most:,g}"


def _kind_problems(value: Any, key: str) -> Iterator[str]:
    """Yield what is of another kind than the setting of this name."""
    wrong = ""
    if value is None and key not in TEXT_LISTS | {"finding_thresholds"}:
        return
    if key in TEXTS and not isinstance(value, str):
        wrong = "a text"
    elif key in TEXT_LISTS and not _all_texts(value):
        wrong = "a list of texts"
    elif key in TEXT_MAPS and not (isinstance(value, dict) and _all_texts(list(value.values()))):
        wrong = "texts by name"
    elif key in ("vision_config", "text_config", "finding_thresholds") and not isinstance(
        value, dict
    ):
        wrong = "a group of settings"
    if wrong:
        yield f"{key} is {str(value)[:40]}, expected {wrong}"


def _all_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _tokenizer_problems(content: dict[str, Any]) -> Iterator[str]:
    model = content.get("model")
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    for what in (vocabulary, content.get("added_tokens")):
        if isinstance(what, dict | list) and len(what) > MAX_WORDS:
            yield f"a vocabulary of {len(what)} words, at most {MAX_WORDS} are read"
    for part in ("normalizer", "pre_tokenizer", "post_processor", "decoder"):
        yield from _pattern_problems(content.get(part), part)
        # Each replacement works on the text that the one before has written.
        growth = prod(max(1, len(text)) for text in _replacements(content.get(part)))
        if growth > MAX_GROWTH:
            yield f"{part} may make a text {growth:.3g} times as long, at most {MAX_GROWTH} times"


def _replacements(value: Any) -> Iterator[str]:
    """Yield what the steps of a tokenizer's part put in place of something."""
    if isinstance(value, list):
        for item in value:
            yield from _replacements(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if key == "content" and isinstance(item, str):
                yield item
            else:
                yield from _replacements(item)


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
                if key == "Regex" and (len(item) > MAX_PATTERN or may_explode(item)):
                    yield f"{part} has a pattern that may take endless time: {item[:60]!r}"
                if key == "content" and len(item) > MAX_REPLACEMENT:
                    yield f"{part} replaces by {len(item)} characters, at most {MAX_REPLACEMENT}"
            else:
                yield from _pattern_problems(item, part)
