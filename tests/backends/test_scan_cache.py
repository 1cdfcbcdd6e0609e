"""Encoded scans on disk: a scan that was read before is not encoded again, and is the same."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from napari_ct_assistant import Assistant, CTVolume, load_assistant
from napari_ct_assistant.assistant.journal.store import Journal
from napari_ct_assistant.backends.scan_cache import FOLDER, ScanCache


class Counted:
    """An assistant with a scan cache that keeps everything, and how often its encoder ran."""

    def __init__(self, model: Path, cache: ScanCache | None) -> None:
        loaded = load_assistant(model, device="cpu")
        self.assistant = Assistant(loaded.backend, cache)
        self.runs = 0
        self.assistant.model.vision_tower.register_forward_hook(self._count)

    def _count(self, *_: object) -> None:
        self.runs += 1


@pytest.fixture
def cache(data_home: Path) -> ScanCache:
    return ScanCache(data_home / FOLDER, worth=0)


def files(cache: ScanCache) -> list[Path]:
    return sorted(cache.folder.glob("*")) if cache.folder.is_dir() else []


def test_a_scan_is_encoded_once(
    tiny_model_folder: Path, small_volume: CTVolume, cache: ScanCache
) -> None:
    first, second = (Counted(tiny_model_folder, cache) for _ in range(2))
    one = first.assistant.read(small_volume)
    other = second.assistant.read(small_volume)  # as in the next session
    assert (first.runs, second.runs) == (1, 0)
    assert torch.equal(one.vision_tokens, other.vision_tokens)
    assert torch.equal(one.image_tokens, other.image_tokens)
    drafts = [reading.draft_report() for reading in (one, other)]
    assert drafts[0].sections == drafts[1].sections
    assert [s.support for s in drafts[0].sentences] == [s.support for s in drafts[1].sentences]
    assert one.warnings == other.warnings


def test_another_scan_and_other_weights_are_encoded_anew(
    tiny_model_folder: Path, small_volume: CTVolume, cache: ScanCache
) -> None:
    counted = Counted(tiny_model_folder, cache)
    counted.assistant.read(small_volume)
    hu = small_volume.hu.copy()
    hu[20, 30, 25] += 400
    counted.assistant.read(replace(small_volume, hu=hu))
    assert counted.runs == 2
    changed = Counted(tiny_model_folder, cache)
    with torch.no_grad():
        next(changed.assistant.model.vision_tower.parameters()).add_(1e-3)
    changed.assistant.read(small_volume)
    assert changed.runs == 1
    assert len(files(cache)) == 3


def test_the_files_are_private_and_name_no_one(
    tiny_model_folder: Path, small_volume: CTVolume, cache: ScanCache
) -> None:
    named = replace(small_volume, series="DOE^JANE")
    Counted(tiny_model_folder, cache).assistant.read(named)
    (file,) = files(cache)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(cache.folder.stat().st_mode) == 0o700
    assert b"DOE" not in file.read_bytes()
    assert file.name.split(".")[1] == small_volume.fingerprint[:32]


@pytest.mark.parametrize("content", [b"", b"not tensors", b"\xff" * 4096])
def test_a_damaged_file_is_replaced(
    tiny_model_folder: Path, small_volume: CTVolume, cache: ScanCache, content: bytes
) -> None:
    counted = Counted(tiny_model_folder, cache)
    counted.assistant.read(small_volume)
    (file,) = files(cache)
    whole = file.read_bytes()
    file.write_bytes(content)
    counted.assistant.read(small_volume)
    assert counted.runs == 2
    assert file.read_bytes() == whole


def test_a_folder_that_cannot_be_written_costs_nothing_but_the_cache(
    tiny_model_folder: Path, small_volume: CTVolume, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    counted = Counted(tiny_model_folder, ScanCache(tmp_path / "file" / "folder", worth=0))
    assert counted.assistant.read(small_volume).draft_report().sections
    assert counted.runs == 1


def test_the_scans_that_were_not_used_for_longest_go_first(tmp_path: Path) -> None:
    module = torch.nn.Linear(1, 1)
    small = ScanCache(tmp_path / "cache", limit=3000, worth=0)

    def read(number: int) -> bool:
        """Return whether the scan was encoded."""
        encoded = []

        def encode() -> dict[str, torch.Tensor]:
            encoded.append(number)
            return {"tokens": torch.full((200,), float(number))}

        pixels = torch.full((1,), float(number))
        found = small.encoded(lambda: f"{number:064x}", pixels, {"m": module}, encode)
        assert torch.equal(found["tokens"], torch.full((200,), float(number)))
        for place, file in enumerate(sorted(files(small), key=lambda f: f.stat().st_mtime_ns)):
            times = (1000 + place, 1000 + place)  # a clock that is coarser than a test
            os.utime(file, times)
        return bool(encoded)

    assert all(read(number) for number in (1, 2, 3))
    assert not read(1)
    assert read(4), "the second makes room"
    assert [read(number) for number in (1, 3, 4)] == [False] * 3
    assert sum(file.stat().st_size for file in files(small)) <= 3000
    assert read(2)


def test_what_is_quick_to_encode_is_not_kept(
    tiny_model_folder: Path, small_volume: CTVolume, cache: ScanCache
) -> None:
    counted = Counted(tiny_model_folder, replace(cache, worth=60.0))
    counted.assistant.read(small_volume)
    assert not files(cache)


def test_deleting_a_journal_deletes_the_encoded_scan(
    tiny_model_folder: Path, small_volume: CTVolume, cache: ScanCache
) -> None:
    counted = Counted(tiny_model_folder, cache)
    other = replace(small_volume, hu=np.roll(small_volume.hu, 3, axis=1))
    for volume in (small_volume, other):
        counted.assistant.read(volume)
    journal = Journal()
    journal.delete(small_volume.fingerprint)
    (file,) = files(cache)
    assert other.fingerprint[:32] in file.name
    journal.delete()
    assert not files(cache)
    journal.close()


def test_it_can_be_switched_off(
    tiny_model_folder: Path, small_volume: CTVolume, cache: ScanCache
) -> None:
    counted = Counted(tiny_model_folder, None)
    for _ in range(2):
        counted.assistant.read(small_volume)
    assert counted.runs == 2
    assert not files(cache)
