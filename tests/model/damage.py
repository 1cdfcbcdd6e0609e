"""Ways to damage a model folder: its settings, its tokenizer, its weights' header, its files."""

from __future__ import annotations

import json
import os
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.volume.damage import damaged_bytes

Change = Callable[[Path, random.Random], None]

VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 3, 10**9, 10**30, -(10**12), 0.5, -0.5, 1e-300, 1e300,
    float("nan"), float("inf"), "", "x", "x" * 30_000, "{finding:>100000000}", "{0}", "{image",
    "%s%s%n", "../../x", "/etc/passwd", "\ud800", "\0", [], {}, [[]], [1, 2, 3], ["a"] * 5,
    [0] * 30_000, [float("nan")] * 3, {"a": {"b": {}}}, {"model_type": "llama"},
)  # fmt: skip
PATTERNS = ("(a+)+$", "(.*)*x", "(?:a|aa)+$", "((a{1,100}){1,100}){1,100}", "[", "(", "\\",
            "a{99999}", "(?<=a", "x" * 5000, ".*.*.*.*.*.*=", "(a|b|ab)*c",
            "(\\w+\\s?)+$")  # fmt: skip
SETTINGS = ("config.json", "generation_config.json", "processor_config.json",
            "tokenizer_config.json", "tokenizer.json")  # fmt: skip

ADDED = ("unknown", "_attn_implementation", "dtype", "torch_dtype", "quantization_config",
         "auto_map", "rope_scaling", "transformers_weights")  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of each value in a JSON document; of long lists, of some items."""
    found = [path] if path else []
    if isinstance(value, dict):
        for key in list(value)[:60]:
            found += places(value[key], (*path, key))
    elif isinstance(value, list):
        for k in range(min(len(value), 5)):
            found += places(value[k], (*path, k))
    return found


def change_settings(folder: Path, rng: random.Random) -> None:
    """Replace, remove or add values in one of the settings files."""
    file = folder / rng.choice(SETTINGS)
    if not file.is_file():
        file = folder / "config.json"
    content = json.loads(file.read_text())
    for _ in range(rng.choice((1, 1, 2))):
        *way, last = rng.choice(places(content))
        holder = content
        try:
            for key in way:
                holder = holder[key]
            kind = rng.randrange(6)
            if kind == 0:
                del holder[last]
            elif kind == 1 and isinstance(holder, dict):
                holder[rng.choice((*ADDED, last * 2))] = rng.choice(VALUES)
            elif kind == 2 and isinstance(holder, dict):
                holder[f"{last}_"] = holder.pop(last)
            else:
                holder[last] = rng.choice(VALUES)
        except (KeyError, IndexError, TypeError):
            continue
    file.write_text(json.dumps(content), encoding="utf-8", errors="surrogatepass")


def change_tokenizer(folder: Path, rng: random.Random) -> None:
    """Give the tokenizer a pattern, a replacement or a vocabulary that takes long."""
    file = folder / "tokenizer.json"
    content = json.loads(file.read_text())
    pattern = {"Regex": rng.choice(PATTERNS)}
    split = {"type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": False}
    replace = {"type": "Replace", "pattern": {"String": "a"},
               "content": "a" * rng.choice((50, 99, 10**4, 10**6))}  # fmt: skip
    match rng.randrange(7):
        case 0:
            content["pre_tokenizer"] = split
        case 1:
            content["normalizer"] = {"type": "Sequence", "normalizers": [replace] * rng.choice(
                (1, 3, 20, 500))}  # fmt: skip
        case 2:
            content["normalizer"] = {"type": "Replace", "pattern": pattern, "content": "x"}
        case 3:
            content["model"]["vocab"] = {str(k): k for k in range(rng.choice((10, 10**5)))}
        case 4:
            nested: Any = split
            for _ in range(rng.choice((5, 100, 300))):
                nested = {"type": "Sequence", "pretokenizers": [nested]}
            content["pre_tokenizer"] = nested
        case 5:
            content["added_tokens"] = [
                {"id": k, "content": rng.choice(("", "a", "x" * 10**5)), "single_word": False,
                 "lstrip": False, "rstrip": False, "normalized": True, "special": True}
                for k in range(rng.choice((1, 2000)))
            ]  # fmt: skip
        case _:
            content["truncation"] = rng.choice(VALUES)
            content["padding"] = rng.choice(VALUES)
    file.write_text(json.dumps(content))


def change_weights(folder: Path, rng: random.Random) -> None:
    """Change the header of the weights or of the detector: shapes, types, offsets, length."""
    file = rng.choice(sorted(folder.glob("*.safetensors")))
    data = file.read_bytes()
    (length,) = struct.unpack_from("<Q", data)
    header, rest = json.loads(data[8 : 8 + length]), data[8 + length :]
    names = [name for name in header if name != "__metadata__"]
    entry = header[rng.choice(names)]
    match rng.randrange(8):
        case 0:
            entry["shape"] = rng.choice(([], [0], [10**9, 10**9], [-1], [2**63], [1.5], "x"))
        case 1:
            entry["dtype"] = rng.choice(("F64", "F8_E4M3", "I64", "BOOL", "X", 3, None))
        case 2:
            entry["data_offsets"] = rng.choice(([0, 10**12], [5, 1], [-1, 4], [0, 0], []))
        case 3:
            del header[rng.choice(names)]
        case 4:
            header["evil"] = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
        case 5:
            length = rng.choice((0, 1, 2**40, 2**63, 2**64 - 1))
            file.write_bytes(struct.pack("<Q", length) + data[8:])
            return
        case 6:
            rest = rest[: rng.randrange(len(rest))]
        case _:
            header["__metadata__"] = rng.choice(({"a": "b" * 10**6}, {"a": 1}, [], "x"))
    text = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + rest)


def change_files(folder: Path, rng: random.Random) -> None:
    """Damage, empty, remove or replace a file of the folder, or add one."""
    file = rng.choice(sorted(folder.iterdir()))
    data = file.read_bytes()
    match rng.randrange(10):
        case 0 | 1 | 2:
            file.write_bytes(damaged_bytes(data, rng))
        case 3:
            file.write_bytes(b"")
        case 4:
            file.unlink()
        case 5:
            file.unlink()
            file.mkdir()
        case 6:
            file.unlink()
            if hasattr(os, "mkfifo"):
                os.mkfifo(file)
        case 7:
            file.unlink()
            file.symlink_to(rng.choice((file.name, "nothing", "/dev/zero", "/etc/passwd")))
        case 8:
            name = rng.choice(("model.safetensors.index.json", "adapter_config.json",
                               "SHA256SUMS", "special_tokens_map.json", "added_tokens.json",
                               "chat_template.jinja", "preprocessor_config.json", "vocab.txt",
                               "tokenizer.model", "merges.txt", "pytorch_model.bin"))  # fmt: skip
            (folder / name).write_bytes(
                rng.choice((b"", b"{}", b"[]", b"{" * 100_000, b'{"weight_map": {"a": "b"}}',
                            b"{% for i in range(10**9) %}x{% endfor %}", rng.randbytes(3000),
                            b'{"a":' * 5000 + b"1" + b"}" * 5000))
            )  # fmt: skip
        case _:
            file.write_text(rng.choice(("{" * 100_000, "[" * 100_000 + "]" * 100_000, "null", "[]",
                                        '{"a": 1}', "\ufeff{}", '"text"')))  # fmt: skip


CHANGES: tuple[Change, ...] = (change_settings, change_settings, change_settings,
                               change_tokenizer, change_weights, change_files)  # fmt: skip
