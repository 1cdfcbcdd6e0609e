"""Time the reading of prepared volumes: from files, from shards, from a server on this machine.

    python -m benchmarks.shards SCAN [--volumes N] [--repeat N]

SCAN is any CT. It is put into E3D-GPT's box (112 x 224 x 224), shifted by some voxels for each of N
volumes, and prepared as `ct-assistant prepare RECIPE --shards` does. Each way then gives every
volume once, in the order of a training pass, as float32 pixel values; the ways take turns, on one
thread. The page cache holds the files, so this is the cost of the code, not of a disk. The server
is another process, and its processor time is not counted. webdataset reads the same shards in
sequence, if it is installed; that is no training order.
"""

from __future__ import annotations

import argparse
import multiprocessing
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path

import blosc2
import numpy as np
from tests.training.data.shards.object_store import serve

from napari_ct_assistant.training.data.datasets.preparing import Box, place
from napari_ct_assistant.training.data.datasets.record import ScanRecord
from napari_ct_assistant.training.data.datasets.store import DatasetStore
from napari_ct_assistant.training.data.shards.packing import pack
from napari_ct_assistant.training.data.shards.places import FolderPlace, HttpPlace
from napari_ct_assistant.training.data.shards.reader import Shards
from napari_ct_assistant.training.data.volume_dataset import VolumeDataset, to_pixel_values
from napari_ct_assistant.training.data.volume_files import (
    decode_volume,
    voxel_digest,
    write_volume,
)
from napari_ct_assistant.training.worker_pool import use_threads
from napari_ct_assistant.volume import open_ct

BOX = Box((112, 224, 224), (8, 16, 16))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scan", type=Path)
    parser.add_argument("--volumes", type=int, default=24)
    parser.add_argument("--repeat", type=int, default=5, help="counted passes of each (default 5)")
    options = parser.parse_args()
    use_threads(1)
    blosc2.set_nthreads(1)
    with tempfile.TemporaryDirectory() as folder:
        measure(options.scan, Path(folder), options.volumes, options.repeat)
    return 0


def measure(scan: Path, folder: Path, count: int, repeat: int) -> None:
    """Print volumes per second and processor milliseconds of each way."""
    files = make_store(scan, folder, count)
    shards = folder / "store" / "shards"
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=_serve, args=(shards, theirs))
    server.start()
    address = ours.recv()
    elsewhere = {
        "shards in a folder": Shards(FolderPlace(shards), folder / "a", named=True),
        "shards by http, loopback": Shards(HttpPlace(address), folder / "b", named=True),
        "shards by http, all cached": Shards(
            HttpPlace(address), folder / "c", cache=10**12, named=True
        ),
    }
    ways: dict[str, Callable[[], None]] = {"files (the present store)": lambda: one_pass(files)}
    for number, (name, place_) in enumerate(elsewhere.items()):
        store = DatasetStore(folder / f"empty{number}", files.records, BOX, None, place_)
        list(store.fill())
        ways[name] = lambda store=store: one_pass(store)  # type: ignore[misc]
    if find_spec("webdataset"):
        urls = sorted(str(file) for file in shards.glob("*.tar"))
        ways[f"webdataset {version('webdataset')}, in sequence"] = lambda: in_sequence(urls)
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for turn in range(repeat + 1):
        for name, way in ways.items():
            start, processor = time.monotonic(), time.process_time()
            way()
            if turn:
                taken[name].append((time.monotonic() - start, time.process_time() - processor))
    ours.send(None)
    server.join()
    size = sum(map(files.stored_bytes, range(count))) / count / 1e6
    print(f"{count} volumes of {size:.2f} MB, {platform.machine()}, median of {repeat} passes\n")
    print("| Read from | Volumes per second | Processor seconds per volume |\n| --- | --- | --- |")
    for name, times in taken.items():
        clock, processor = (statistics.median(column) for column in zip(*times, strict=True))
        print(f"| {name} | {count / clock:.1f} | {processor / count:.4f} |")


def make_store(scan: Path, folder: Path, count: int) -> DatasetStore:
    """Return a prepared store of shifted copies of a scan, with its shards of about 40 MB."""
    hu, _ = place(open_ct(scan), BOX)
    records = [ScanRecord("copies", f"{n}", scan, f"{n}") for n in range(count)]
    store = DatasetStore(folder / "store", records, BOX)
    for index, key in enumerate(store.keys):
        moved = np.roll(hu, (index, 3 * index, 5 * index), axis=(0, 1, 2))
        file = store.volume_file(index)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_volume(file, moved)
        digest = voxel_digest(moved)
        row = {"scan": digest, "content": digest, "bytes": file.stat().st_size, "warnings": []}
        store.manifest.add(key, row)
    list(store.fill())
    list(pack(store, 40_000_000, workers=1))
    return store


def one_pass(store: DatasetStore) -> None:
    """Read every volume once, as a training pass does."""
    dataset = VolumeDataset(store, len(store), seed=0)
    for k in range(len(dataset)):
        dataset[k]


def in_sequence(urls: list[str]) -> None:
    """Read every volume as webdataset gives it, and decode it the same way."""
    import webdataset

    for sample in webdataset.WebDataset(urls, shardshuffle=False):
        to_pixel_values(decode_volume(sample["b2nd"]))


def _serve(folder: Path, pipe: Connection) -> None:
    with serve(folder) as server:
        pipe.send(server.address)
        pipe.recv()


if __name__ == "__main__":
    raise SystemExit(main())
