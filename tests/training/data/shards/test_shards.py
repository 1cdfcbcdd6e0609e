"""Shards hold the store's volumes bit for bit, and are resumable, verified and standard tars."""

from __future__ import annotations

import gc
import json
import shutil
import tarfile
from pathlib import Path

import blosc2
import numpy as np
import pytest

from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.data.datasets.preparing import Box
from napari_ct_assistant.training.data.datasets.read_records import read_records
from napari_ct_assistant.training.data.datasets.specs import TableData
from napari_ct_assistant.training.data.datasets.store import DatasetStore
from napari_ct_assistant.training.data.shards.index import INDEX, ShardError
from napari_ct_assistant.training.data.shards.packing import pack
from napari_ct_assistant.training.data.shards.places import FolderPlace
from napari_ct_assistant.training.data.shards.reader import Shards
from napari_ct_assistant.training.data.volume_files import decode_volume
from tests.training.data.datasets import layouts

BOX = Box((16, 32, 32), (8, 16, 16), "spacing", (8.0, 5.0, 6.0))
COUNT = 7


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a table, a store of seven volumes, and shards of about two each."""
    folder = tmp_path_factory.mktemp("packed")
    rows = []
    for number in range(COUNT):
        layouts.write_scan(folder / f"{number}.nii.gz", number)
        rows.append((f"{number}.nii.gz", f"Report {number}."))
    layouts.write_rows(folder / "scans.csv", ("image", "report"), rows)
    store = store_of(folder)
    list(store.fill(workers=1))
    assert list(pack(store, 2 * store.stored_bytes(0) - 500, workers=1))[-1] == COUNT
    return folder


@pytest.fixture
def own(packed: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(packed, tmp_path / "own"))


def store_of(
    folder: Path, shards: Shards | None = None, unreadable: str = "error", store: str = "store"
) -> DatasetStore:
    data = TableData.model_validate(
        {
            "kind": "table",
            "table": folder / "scans.csv",
            "name": "toy",
            "split": "all",
            "unreadable": unreadable,
        }
    )
    records, skips = read_records(data)
    return DatasetStore(folder / store, records, BOX, skips, shards)


def without_files(folder: Path) -> Path:
    """Leave nothing but the shards."""
    shutil.rmtree(folder / "store" / "volumes")
    (folder / "store" / "manifest.jsonl").unlink()
    for scan in folder.glob("*.nii.gz"):
        scan.unlink()
    return folder


def damage(file: Path, at: int) -> None:
    content = bytearray(file.read_bytes())
    content[at] ^= 0xFF
    file.write_bytes(content)


def times(folder: Path) -> dict[str, int]:
    return {f.name: f.stat().st_mtime_ns for f in (folder / "store" / "shards").glob("*.tar")}


def test_shards_alone_have_every_volume_bit_for_bit(packed: Path, own: Path) -> None:
    files = store_of(packed)
    list(files.fill())
    shards = store_of(without_files(own))
    assert list(shards.fill(workers=1)) == [COUNT]
    for index in range(COUNT):
        np.testing.assert_array_equal(shards.volume(index), files.volume(index))
        start, size = np.array([3, 5, 7]), np.array([8, 16, 16])
        crop = shards.crop(index, start, size)
        np.testing.assert_array_equal(crop, files.volume(index)[3:11, 5:21, 7:23])
        assert shards.stored_bytes(index) == files.volume_file(index).stat().st_size
    assert shards.scan_digests() == files.scan_digests()
    assert not (own / "store" / "volumes").exists()


def test_tar_reads_them_with_no_name_of_a_scan(packed: Path) -> None:
    store = store_of(packed)
    list(store.fill())
    found = {}
    folder = packed / "store" / "shards"
    for file in sorted(folder.glob("*.tar")):
        with tarfile.open(file) as tar:
            for info in tar:
                stream = tar.extractfile(info)
                assert stream is not None
                found[info.name] = stream.read()
                assert (info.mtime, info.uid, info.uname) == (0, 0, "")
    assert len(found) == 2 * COUNT
    for index, key in enumerate(store.keys):
        np.testing.assert_array_equal(decode_volume(found[f"{key}.b2nd"]), store.volume(index))
        told = json.loads(found[f"{key}.json"])
        assert told["content"] == store.manifest.rows[key]["content"]
    assert len(list(folder.glob("*.tar"))) == 4
    for file in folder.iterdir():
        assert b"nii" not in file.read_bytes()


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # webdataset's own
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_webdataset_reads_them(packed: Path) -> None:
    webdataset = pytest.importorskip("webdataset")
    store = store_of(packed)
    list(store.fill())
    urls = sorted(str(f) for f in (packed / "store" / "shards").glob("*.tar"))
    samples = {s["__key__"]: s for s in webdataset.WebDataset(urls, shardshuffle=False)}
    gc.collect()
    assert sorted(samples) == sorted(store.keys)
    for index, key in enumerate(store.keys):
        array = blosc2.ndarray_from_cframe(samples[key]["b2nd"])[:]
        np.testing.assert_array_equal(array, store.volume(index))
        assert json.loads(samples[key]["json"])["shape"] == list(array.shape)


def test_a_killed_run_continues_and_the_shards_are_the_same(own: Path) -> None:
    folder = own / "store" / "shards"
    before = {f.name: f.read_bytes() for f in folder.iterdir()}
    shutil.rmtree(folder)
    store = store_of(own)
    list(store.fill(workers=1))
    running = pack(store, 2 * store.stored_bytes(0) - 500, workers=1)
    assert next(running) == 2
    running.close()
    # Killed between the second shard and its list.
    (folder / "00001.tar").write_bytes(before["00001.tar"][:700])
    first = (folder / "00000.tar").stat().st_mtime_ns
    again = store_of(own)
    list(again.fill(workers=1))
    list(pack(again, 2 * store.stored_bytes(0) - 500, workers=2))
    assert (folder / "00000.tar").stat().st_mtime_ns == first
    assert {f.name: f.read_bytes() for f in folder.iterdir()} == before


def test_new_scans_get_new_shards(own: Path) -> None:
    before = times(own)
    layouts.write_scan(own / "7.nii.gz", 7)
    with (own / "scans.csv").open("a") as stream:
        stream.write("7.nii.gz,Report 7.\n")
    store = store_of(own)
    list(store.fill(workers=1))
    assert list(pack(store, workers=1)) == [1]
    assert times(own).items() >= before.items()
    assert len(times(own)) == len(before) + 1
    assert all(store.shards.has(key) for key in store.keys)


def test_two_machines_write_the_parts_of_one_index(own: Path) -> None:
    shutil.rmtree(own / "store" / "shards")
    for part in (1, 2):
        store = store_of(own)
        store.keep_part(part, 2)
        list(store.fill(workers=1))
        list(pack(store, prefix=f"{part}of2-", workers=1))
    whole = store_of(without_files(own))
    assert list(whole.fill()) == [COUNT]
    assert {m.shard for m in whole.shards.members.values()} == {"1of2-00000.tar", "2of2-00000.tar"}


def test_move_keeps_each_volume_once(own: Path, packed: Path) -> None:
    store = store_of(own)
    list(store.fill())
    list(pack(store, move=True, workers=1))
    assert not list((own / "store" / "volumes").rglob("*.b2nd"))
    again = store_of(own)
    assert list(again.fill()) == [COUNT]
    files = store_of(packed)
    list(files.fill())
    np.testing.assert_array_equal(again.volume(3), files.volume(3))


def test_verify_finds_a_damaged_shard_and_rewrites_it_alone(own: Path, packed: Path) -> None:
    before = times(own)
    original = {f.name: f.read_bytes() for f in (packed / "store" / "shards").iterdir()}
    damage(own / "store" / "shards" / "00001.tar", 2000)
    store = store_of(own)
    list(store.fill())
    problems = [problem for _, problem in store.verify() if problem]
    assert len(problems) == 1
    assert "00001.tar: damaged at byte 512" in problems[0]
    list(store.fill(workers=1))
    assert list(pack(store, workers=1)) == [2]
    after = times(own)
    assert [name for name in after if after[name] != before[name]] == ["00001.tar"]
    now = {f.name: f.read_bytes() for f in (own / "store" / "shards").iterdir()}
    assert now == original
    again = store_of(own)
    list(again.fill())
    assert [problem for _, problem in again.verify()] == [""] * COUNT


def test_a_changed_scan_is_prepared_again_and_its_shard_rewritten(own: Path) -> None:
    store = store_of(own)
    list(store.fill())
    list(pack(store, move=True, workers=1))
    old = store.volume(2)
    shard = store.shards.members[store.keys[2]].shard
    before = times(own)
    layouts.write_scan(own / "2.nii.gz", 99)
    again = store_of(own)
    list(again.fill(workers=1))
    new = again.volume(2)
    assert (new != old).any()
    list(pack(again, move=True, workers=1))
    after = times(own)
    assert [name for name in after if after[name] != before[name]] == [shard]
    last = store_of(own)
    assert list(last.fill()) == [COUNT]
    np.testing.assert_array_equal(last.volume(2), new)


def test_a_damaged_volume_is_one_line_that_names_scan_and_shard(own: Path) -> None:
    store = store_of(without_files(own))
    list(store.fill())
    member = store.shards.members[store.keys[4]]
    damage(own / "store" / "shards" / member.shard, member.start + member.size // 2)
    with pytest.raises(ShardError, match=rf"4.*{member.shard}: damaged at byte {member.start}"):
        store.volume(4)
    store.volume(3)


@pytest.mark.parametrize("how", ["short", "missing"])
def test_a_short_shard_is_found_at_the_start(own: Path, how: str) -> None:
    folder = without_files(own) / "store" / "shards"
    file = folder / "00001.tar"
    if how == "short":
        file.write_bytes(file.read_bytes()[:700])
    else:
        file.unlink()
    with pytest.raises(ShardError, match=r"00001\.tar: .*copy it again") as error:
        list(store_of(own).fill())
    assert "\n" not in str(error.value)
    skipping = store_of(own, unreadable="skip")
    assert list(skipping.fill(workers=1))[-1] == COUNT - 2
    listed = (own / "store" / "skipped.csv").read_text()
    assert listed.count("00001.tar") == 2
    assert all(skipping.volume(i).shape == BOX.size for i in range(len(skipping)))


def test_shards_that_the_recipe_names_must_be_there(own: Path) -> None:
    place = FolderPlace(own / "elsewhere")
    with pytest.raises(ShardError, match=rf"elsewhere/{INDEX}: not there"):
        list(store_of(own, Shards(place, own, named=True)).fill())
    index = own / "store" / "shards" / INDEX
    index.write_text(index.read_text().replace("00000.tar", "../00000.tar"))
    with pytest.raises(ShardError, match="no name of a shard"):
        list(store_of(own).fill())
    index.write_text("{}")
    with pytest.raises(ShardError, match="damaged, or no index"):
        list(store_of(own).fill())


def test_shards_of_another_box_are_refused(own: Path) -> None:
    shards = Shards(FolderPlace(own / "store" / "shards"), own, named=True)
    other = DatasetStore(
        own / "store", store_of(own).records, Box((8, 32, 32), (8, 16, 16)), None, shards
    )
    with pytest.raises(ShardError, match=r"has none of the 7 scans"):
        list(other.fill())


def test_a_part_without_scans_is_refused(own: Path) -> None:
    with pytest.raises(RecipeError, match="no scan falls to it"):
        store_of(own).keep_part(1, 10_000)
