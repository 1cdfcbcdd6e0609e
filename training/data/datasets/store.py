"""Scans of any data set as training volumes: prepared once, in parallel, and resumable."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from copy import copy
from pathlib import Path

import blosc2
import numpy as np
from numpy.typing import NDArray

from napari_ct_assistant.report_text.findings import FINDINGS
from napari_ct_assistant.training.config.errors import RecipeError
from napari_ct_assistant.training.config.recipe import ConversationSettings
from napari_ct_assistant.training.data.datasets.files import Skips
from napari_ct_assistant.training.data.datasets.manifest import Manifest
from napari_ct_assistant.training.data.datasets.preparing import (
    Box,
    Prepared,
    Wanted,
    attempt,
    source_stamp,
)
from napari_ct_assistant.training.data.datasets.record import ScanRecord
from napari_ct_assistant.training.data.datasets.record_turns import (
    record_pairs,
    record_turns,
    taught_report_questions,
)
from napari_ct_assistant.training.data.datasets.validation import choose_patients
from napari_ct_assistant.training.data.masks.files import mask_stamp
from napari_ct_assistant.training.data.patch_concepts import FINDING_CONCEPTS, Concept
from napari_ct_assistant.training.data.shards.index import ShardError
from napari_ct_assistant.training.data.shards.prepared_volumes import PreparedVolumes
from napari_ct_assistant.training.data.shards.reader import Shards
from napari_ct_assistant.training.data.volume_files import read_labels
from napari_ct_assistant.training.data.volume_store import VolumeStore
from napari_ct_assistant.training.sequences.turns import Turn
from napari_ct_assistant.training.worker_pool import WorkerPool
from napari_ct_assistant.volume import CTReadError


class DatasetStore(VolumeStore):
    """Scans of one or several data sets.

    Parameters
    ----------
    folder : Path
        Folder for prepared volumes, patch labels and their manifests. Several recipes may share
        it: a volume's key depends on its scan and box, that of labels also on their concepts.
    records : sequence of ScanRecord
        All with masks of the same concepts, or all without masks.
    box : Box
    skips : Skips, optional
        How to treat scans that cannot be read; by default the first is an error.
    shards : Shards, optional
        Read for the volumes that have no file in `folder`; by default those in its `shards`.
    """

    def __init__(
        self,
        folder: Path,
        records: Sequence[ScanRecord],
        box: Box,
        skips: Skips | None = None,
        shards: Shards | None = None,
    ):
        super().__init__(folder)
        self.records = list(records)
        self.box = box
        self.skips = skips or Skips()
        self.prepared = PreparedVolumes(folder, shards)
        self.manifest = self.prepared.manifest
        self.shards = self.prepared.shards
        self.label_manifest = Manifest(folder, "labels")
        self._keys = [box.key(record) for record in self.records]
        found = {_mask_concepts(record) for record in self.records}
        if len(found) > 1:
            shown = " and ".join(", ".join(names) or "none" for names in sorted(found))
            raise RecipeError(f"data.masks: scans with masks of different concepts: {shown}")
        self._mask_concepts = found.pop() if found else ()
        self._validation: frozenset[str] = frozenset()
        names = {}
        for record, key in zip(self.records, self._keys, strict=True):
            if key in names:
                raise RecipeError(f"{record.dataset} {record.name}: listed twice")
            names[key] = record.name

    def __len__(self) -> int:
        return len(self.records)

    def hold_out(self, share: float | None) -> None:
        """Hold out patients for the validation loss (see `choose_patients`); they come last."""
        self._validation = choose_patients(self.records, share)
        of_validation = [record.patient in self._validation for record in self.records]
        self._keep(sorted(range(len(self)), key=of_validation.__getitem__))

    @property
    def validation(self) -> range:
        """The scans of the patients who are held out for the validation loss, the last ones."""
        held = sum(record.patient in self._validation for record in self.records)
        return range(len(self) - held, len(self))

    def patients(self, volumes: range) -> int:
        """Return how many patients some scans are of."""
        return len({self.records[index].patient for index in volumes})

    def dataset(self, index: int) -> str:
        """Return the name of the data set that a scan is from."""
        return self.records[index].dataset.partition(" ")[0]

    @property
    def warnings(self) -> dict[str, str]:
        """What reading the scans warned about: {warning: a scan, and how many}."""
        return self.manifest.warnings(self._keys, [record.name for record in self.records])

    @property
    def shape(self) -> tuple[int, ...]:
        """Voxels (D, H, W) of a volume."""
        return self.box.size

    @property
    def key(self) -> str:
        """Identifies the scans and the box."""
        return f"scans {hashlib.sha256(''.join(self._keys).encode()).hexdigest()[:16]}"

    @property
    def keys(self) -> tuple[str, ...]:
        """The key of each scan's prepared volume."""
        return tuple(self._keys)

    def keep_part(self, part: int, parts: int) -> None:
        """Keep the scans that fall to one of several machines, by their keys. part: from 1."""
        self._keep([i for i, k in enumerate(self._keys) if int(k[:8], 16) % parts == part - 1])
        if not self.records:
            raise RecipeError(f"part {part} of {parts}: no scan falls to it; use fewer parts")

    def volume_file(self, index: int) -> Path:
        """Return the file of a prepared scan; it may be in a shard instead."""
        return self.manifest.path(self._keys[index])

    def is_prepared(self, index: int) -> bool:
        """Return whether a volume can be read, from its file or a shard."""
        return self.prepared.can_be_read(self._keys[index], self._keys)

    def stored_bytes(self, index: int) -> int:
        """Return the bytes of a prepared volume."""
        return self.prepared.bytes_of(self._keys[index])

    @property
    def concepts(self) -> tuple[Concept, ...]:
        """The 18 findings, then the masks' other concepts."""
        others = [name for name in self._mask_concepts if name not in FINDINGS]
        return (*FINDING_CONCEPTS, *(Concept(name) for name in others))

    @property
    def annotated(self) -> NDArray[np.bool_]:
        """Whether there are masks, for each concept; a finding without masks is unknown."""
        return np.array([concept.name in self._mask_concepts for concept in self.concepts])

    def patch_labels(self, index: int) -> NDArray[np.uint8]:
        """Return uint8 [concepts, d, h, w], 1 where a patch shows a concept; 0 if not annotated.

        Raises
        ------
        ValueError
            If the recipe names no masks.
        """
        record = self.records[index]
        if not self._mask_concepts:
            raise ValueError(
                f"{record.dataset} {record.name}: no masks; add data.masks with concepts to the "
                "recipe (docs/datasets.md)"
            )
        stored = read_labels(self._labels_file(index))
        names = [concept.name for concept in self.concepts]
        labels = np.zeros((len(names), *stored.shape[1:]), np.uint8)
        labels[[names.index(name) for name in self._mask_concepts]] = stored
        return labels

    def scan_digests(self) -> list[str]:
        """Return the digest of each scan's voxels before preparation."""
        return [str(self.manifest.rows[key]["scan"]) for key in self._keys]

    def fill(self, workers: int | None = None) -> Iterator[int]:
        """Prepare missing volumes; yields the number that are there after each one.

        Parameters
        ----------
        workers : int, optional
            Number of processes; one per core by default.

        Raises
        ------
        CTReadError
            If a scan cannot be read. If the recipe says `unreadable: skip`, the scan is left out
            of the store and listed in `skipped.csv` instead.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        self.prepared.load(self._keys)
        self.label_manifest.reload()
        wanted = {i: w for i in range(len(self)) if (w := self._wanted(i)) != Wanted()}
        self._refuse_absent(wanted)
        if replaced := sum(map(self._replaced, wanted)):
            self.skips.notes.append(
                f"{replaced} scan(s) have changed since they were prepared, and are prepared again"
            )
        done, lost = len(self) - len(wanted), []
        if done:
            yield done
        for index, made in self._prepare(wanted, workers or os.cpu_count() or 1):
            if isinstance(made, CTReadError):
                record = self.records[index]
                of_shard = self.shards.lost.get(self._keys[index])
                if self.skips.unreadable == "error":
                    raise made
                of_mask = record.masks and made.path.is_relative_to(record.masks.path)
                reason = of_shard or (str(made) if of_mask else made.problem)
                self.skips.add(f"{record.dataset} {record.name}", reason)
                lost.append(index)
                continue
            if made.volume is not None:
                self.manifest.add(self._keys[index], made.volume)
            if made.labels is not None:
                self.label_manifest.add(self.box.labels_key(self.records[index]), made.labels)
            done += 1
            yield done
        self._leave_out(lost)
        self._refuse_unseen()

    def verify(self) -> Iterator[tuple[int, str]]:
        """Read every prepared volume again; yields its index and the problem, "" if there is none.

        A volume with a problem is removed from the manifest, so that `fill` prepares it again.
        """
        for index, key in enumerate(self._keys):
            problem = self.prepared.problem(key)
            if not problem and self._replaced(index):
                problem = "its source has changed since"
            yield index, problem

    @property
    def skipped(self) -> str:
        """A line with the number of scans left out and their list; "" if there are none."""
        count = len(self.skips.found)
        return f"skipped {count} scan(s), listed in {self.folder / 'skipped.csv'}" if count else ""

    @property
    def notes(self) -> tuple[str, ...]:
        """Lines about what was read in a way that the user may not expect."""
        return tuple(self.skips.notes)

    def name(self, index: int) -> str:
        """Return a scan's name for error messages."""
        return f"{self.records[index].dataset} {self.records[index].name}"

    def turns(
        self, index: int, settings: ConversationSettings, rng: np.random.Generator
    ) -> list[Turn]:
        """Draw the questions and answers of one training sample."""
        return record_turns(self.records[index], settings, rng)

    def pairs(self, index: int, settings: ConversationSettings) -> list[Turn]:
        """Return every question about a scan with its answer, always in the same order."""
        return record_pairs(self.records[index], settings, np.random.default_rng(index))

    def report_questions(self, settings: ConversationSettings) -> dict[str, str]:
        """Return {section: question} of the reports that training asks for."""
        return taught_report_questions(self.records, settings)

    def tags(self, index: int) -> list[str]:
        """Return the names of the labelled findings that a scan shows, in lower case."""
        labels = self.records[index].labels
        return [name.lower() for name, value in labels.items() if value]

    def _prepare(
        self, wanted: Mapping[int, Wanted], workers: int
    ) -> Iterator[tuple[int, Prepared | CTReadError]]:
        for files in wanted.values():
            for file in filter(None, (files.volume, files.labels)):
                file.parent.mkdir(parents=True, exist_ok=True)
        # A process takes a second to start, too long for a handful of scans.
        if min(workers, len(wanted) // 2) < 2:
            for index, files in wanted.items():
                yield index, attempt(self.records[index], self.box, files)
            return
        tasks = ((index, self.records[index], files) for index, files in wanted.items())
        with WorkerPool(min(workers, len(wanted)), copy, self.box) as pool:
            for (index, _, _), made in pool.unordered(_attempt, tasks):
                yield index, made

    def _keep(self, indices: Sequence[int]) -> None:
        self.records = [self.records[i] for i in indices]
        self._keys = [self._keys[i] for i in indices]

    def _open(self, index: int) -> blosc2.NDArray:
        try:
            return self.prepared.open(self._keys[index])
        except ShardError as error:
            raise ShardError(f"{self.name(index)}: {error}") from None

    def _labels_file(self, index: int) -> Path:
        return self.label_manifest.path(self.box.labels_key(self.records[index]))

    def _wanted(self, index: int) -> Wanted:
        """Return which of a scan's files are missing, or were made from masks that have changed."""
        known = self.prepared.has(self._keys[index]) and not self._replaced(index)
        volume = None if known else self.volume_file(index)
        masks = self.records[index].masks
        if masks is None:
            return Wanted(volume)
        key = self.box.labels_key(self.records[index])
        stamp = mask_stamp(masks)
        is_there = self.label_manifest.has(key) and (
            # Masks may be deleted after preparation, as scans may.
            not stamp or stamp == self.label_manifest.rows[key]["stamp"]
        )
        return Wanted(volume, None if is_there else self._labels_file(index))

    def _refuse_absent(self, wanted: Iterable[int]) -> None:
        """Name all scans that do not exist, before hours are spent on the others."""
        images = [self.records[index].image for index in wanted]
        absent = [image for image in images if not image.exists()]
        if absent and self.skips.unreadable == "error":
            for index in wanted:
                if of_shard := self.shards.lost.get(self._keys[index]):
                    raise ShardError(f"{self.name(index)}: {of_shard}")
        if len(absent) < 2 or self.skips.unreadable == "skip":
            return  # `attempt` names a single one, with its reason
        shown = ", ".join([*(image.name for image in absent[1:4]), *["..."][: len(absent) > 4]])
        raise CTReadError(
            absent[0],
            f"does not exist, nor do {len(absent) - 1} more of {len(self)} scans ({shown}); check "
            "the paths, or set data.unreadable=skip to leave them out",
        )

    def _replaced(self, index: int) -> bool:
        """Return whether a scan's file is another one than the one that was prepared.

        The source of a prepared volume may be deleted.
        """
        image = self.records[index].image
        stamp = self.manifest.rows.get(self._keys[index], {}).get("source")
        return image.exists() and stamp is not None and list(source_stamp(image)) != stamp

    def _refuse_unseen(self) -> None:
        """Refuse a concept that no scan shows: with a wrong label it would be learned as absent."""
        rows = self.label_manifest.rows
        counts = [rows[self.box.labels_key(r)]["patches"] for r in self.records if r.masks]
        shown = np.sum(counts, axis=0) if counts else np.ones(0)
        for name, patches in zip(self._mask_concepts, shown, strict=True):
            if not patches:
                raise RecipeError(
                    f"data.masks.concepts: {name}: not in any of {len(self)} scan(s); check its "
                    "label, file or category, or leave it out"
                )

    def _leave_out(self, lost: Sequence[int]) -> None:
        """Remove scans that cannot be read, and list all that were skipped."""
        gone = set(lost)
        self._keep([i for i in range(len(self)) if i not in gone])
        if self.skips.found:
            self.skips.write(self.folder / "skipped.csv")
        if not self.records:
            reason = next(iter(self.skips.found.items()), ("", "no scans"))
            raise RecipeError(f"no scan could be read; the first: {': '.join(reason)}")


def _mask_concepts(record: ScanRecord) -> tuple[str, ...]:
    """Return the names of the concepts of a scan's masks, () without masks."""
    return tuple(name for name, _, _ in record.masks.parts) if record.masks else ()


def _attempt(box: Box, task: tuple[int, ScanRecord, Wanted]) -> Prepared | CTReadError:
    _, record, files = task
    return attempt(record, box, files)
