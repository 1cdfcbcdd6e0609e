"""Shards on a server: exact byte ranges, patience, and one line for what is wrong."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.data.datasets.store import DatasetStore
from napari_ct_assistant.training.data.shards.index import ShardError
from napari_ct_assistant.training.data.shards.packing import pack
from napari_ct_assistant.training.data.shards.places import (
    TOKEN,
    FsspecPlace,
    HttpPlace,
    Place,
    open_place,
)
from napari_ct_assistant.training.data.shards.reader import Shards
from tests.training.data.shards.object_store import ObjectStore, serve
from tests.training.data.shards.test_shards import COUNT, damage, own, packed, store_of

__all__ = ["own", "packed"]
CONTENT = bytes(range(256)) * 5


@pytest.fixture
def served(tmp_path: Path) -> Iterator[ObjectStore]:
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "a.tar").write_bytes(CONTENT)
    with serve(folder) as server:
        yield server


def place(server: ObjectStore, waited: list[float] | None = None, **more: object) -> HttpPlace:
    waits = [] if waited is None else waited
    return HttpPlace(server.address, sleep=waits.append, **more)  # type: ignore[arg-type]


def test_a_range_is_asked_for_and_no_more(served: ObjectStore) -> None:
    server = place(served)
    assert server.read("a.tar", 300, 200) == CONTENT[300:500]
    assert server.read("a.tar") == CONTENT
    assert server.size("a.tar") == len(CONTENT)
    assert server.size("b.tar") is None
    assert served.requests[0] == ("/bucket/a.tar", "bytes=300-499")
    copy = pickle.loads(pickle.dumps(server))  # as loader processes get it
    assert copy.read("a.tar", 0, 9) == CONTENT[:9]


@pytest.mark.parametrize("faults", [["503", "reset"], ["429", "short"], ["500", "503", "reset"]])
def test_a_busy_server_is_asked_again(served: ObjectStore, faults: list[str]) -> None:
    waited: list[float] = []
    served.faults = list(faults)
    assert place(served, waited).read("a.tar", 10, 1000) == CONTENT[10:1010]
    assert len(served.requests) == len(faults) + 1
    assert len(waited) == len(faults)
    if "429" in faults:
        assert waited[0] == 7  # as the server asks
    else:
        assert waited == sorted(waited)


def test_a_server_that_stays_busy_is_one_line(served: ObjectStore) -> None:
    served.faults = ["503"] * 9
    with pytest.raises(ShardError, match=r"/bucket/a\.tar: HTTP 503, after 3 tries; run .* again"):
        place(served, tries=3).read("a.tar", 0, 4)
    assert len(served.requests) == 3


def test_a_server_that_is_gone_is_one_line(served: ObjectStore) -> None:
    server = place(served, tries=2)
    served.shutdown()
    served.server_close()
    with pytest.raises(ShardError, match=r"a\.tar: ConnectError: .*after 2 tries") as error:
        server.read("a.tar", 0, 4)
    assert "\n" not in str(error.value)


def test_a_server_without_byte_ranges_is_one_line(served: ObjectStore) -> None:
    served.ranges = False
    with pytest.raises(ShardError, match=r"ignores byte ranges.*copy the shards to a folder"):
        place(served).read("a.tar", 5, 4)


def test_a_file_that_is_short_or_absent_is_one_line(served: ObjectStore) -> None:
    for start in (len(CONTENT) - 5, len(CONTENT) + 5):
        with pytest.raises(ShardError, match=r"a\.tar: shorter than the \d+ bytes"):
            place(served).read("a.tar", start, 10)
    with pytest.raises(ShardError, match=r"b\.tar: not there"):
        place(served).read("b.tar", 0, 10)


def test_no_other_host_is_talked_to(served: ObjectStore) -> None:
    with serve(Path(served.RequestHandlerClass.args[0])) as other:  # type: ignore[union-attr]
        served.redirect = f"http://localhost:{other.server_address[1]}/bucket/a.tar"
        with pytest.raises(ShardError, match=r"redirected to localhost, which the recipe does not"):
            place(served).read("a.tar", 0, 4)
        assert other.requests == []


def test_the_token_is_of_the_environment_and_never_shown(
    served: ObjectStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    served.token = "s3cret"
    with pytest.raises(ShardError, match=rf"refused \(HTTP 403\).*{TOKEN}"):
        open_place(served.address, tmp_path).read("a.tar", 0, 4)
    monkeypatch.setenv(TOKEN, "s3cret")
    signed = f"{served.address}?sv=1&sig=hidden"
    server = open_place(signed, tmp_path)
    assert server.read("a.tar", 0, 4) == CONTENT[:4]
    assert served.requests[-1][0] == "/bucket/a.tar?sv=1&sig=hidden"
    assert "hidden" not in server.shown
    assert server.shown == served.address
    with pytest.raises(RecipeError, match=r"sent unencrypted to example\.org; use https") as error:
        open_place("http://example.org/x", tmp_path)
    assert "s3cret" not in str(error.value)
    with pytest.raises(RecipeError, match="without user or password") as error:
        open_place("https://me:pass@example.org/x", tmp_path)
    assert "pass@" not in str(error.value)


def test_an_address_that_nothing_reads_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"nope:// is no address that is known") as error:
        open_place("nope://bucket", tmp_path)
    assert "\n" not in str(error.value)


@pytest.fixture(params=["http", "fsspec"])
def remote(request: pytest.FixtureRequest, packed: Path) -> Iterator[tuple[Place, ObjectStore]]:
    """The shards by http and by fsspec, and a server of them."""
    folder = packed / "store" / "shards"
    with serve(folder) as server:
        if request.param == "http":
            yield HttpPlace(server.address), server
        else:
            yield FsspecPlace(f"local://{folder}"), server


def test_volumes_of_a_server_are_those_of_the_files(
    remote: tuple[Place, ObjectStore], packed: Path, tmp_path: Path
) -> None:
    files = store_of(packed)
    list(files.fill())
    read = shards_only(packed, tmp_path, Shards(remote[0], tmp_path, named=True))
    assert list(read.fill()) == [COUNT]
    for index in range(COUNT):
        np.testing.assert_array_equal(read.volume(index), files.volume(index))
    assert read.scan_digests() == files.scan_digests()
    assert not list(tmp_path.rglob("*.b2nd"))


def shards_only(packed: Path, tmp_path: Path, shards: Shards) -> DatasetStore:
    """A store in an empty folder; only the table is there."""
    (tmp_path / "scans.csv").write_text((packed / "scans.csv").read_text())
    return store_of(tmp_path, shards)


def test_the_cache_is_bounded_and_saves_requests(packed: Path, tmp_path: Path) -> None:
    with serve(packed / "store" / "shards") as server:
        sizes = sorted(m.size for m in loaded(store_of(packed)).shards.members.values())
        room = sum(sizes[-3:])
        for _ in range(2):
            shards = Shards(HttpPlace(server.address), tmp_path, cache=room, named=True)
            store = shards_only(packed, tmp_path, shards)
            list(store.fill())
            before = len(server.requests)
            volumes = [store.volume(i) for i in range(COUNT)]
        kept = list(tmp_path.rglob("*.b2nd"))
        assert 3 <= len(kept) < COUNT
        assert sum(f.stat().st_size for f in kept) <= room
        assert len(server.requests) - before == COUNT - len(kept)
        # A damaged copy is read from the server instead.
        damage(kept[0], 100)
        again = [store.volume(i) for i in range(COUNT)]
        for a, b in zip(volumes, again, strict=True):
            np.testing.assert_array_equal(a, b)
        smaller = Shards(HttpPlace(server.address), tmp_path, cache=sizes[-1], named=True)
        list(shards_only(packed, tmp_path, smaller).fill())
        assert len(list(tmp_path.rglob("*.b2nd"))) <= 1


def loaded(store: DatasetStore) -> DatasetStore:
    list(store.fill())
    return store


def test_a_short_shard_of_a_server_is_found_by_all_processes(
    own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = own / "store" / "shards"
    with serve(folder) as server:
        (folder / "00002.tar").write_bytes((folder / "00002.tar").read_bytes()[:700])
        found = []
        for rank in ("0", "1"):
            monkeypatch.setenv("RANK", rank)
            shards = Shards(HttpPlace(server.address), tmp_path, named=True)
            with pytest.raises(ShardError, match=r"00002\.tar: has 700 bytes instead of"):
                list(shards_only(own, tmp_path, shards).fill())
            found.append(shards.lost)
        assert found[0] == found[1]
        # The second process asks for the index alone.
        assert [path for path, _ in server.requests].count("/bucket/00002.tar") == 1


def test_shards_are_written_to_folders_only(packed: Path, tmp_path: Path) -> None:
    with serve(packed / "store" / "shards") as server:
        store = loaded(
            shards_only(packed, tmp_path, Shards(HttpPlace(server.address), tmp_path, named=True))
        )
        with pytest.raises(RecipeError, match=r"written to a folder; set data\.shards to one"):
            list(pack(store))
