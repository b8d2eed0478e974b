"""What every data set offers: a table of records, a loader for one of them, and a check of them all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

import numpy as np
import pandas as pd
from tqdm import tqdm

from samstudy.datasets.info import DatasetInfo, Download
from samstudy.datasets.splits import PARTS, fingerprint, refuse_leaks
from samstudy.errors import DataError, StudyError, unknown_name
from samstudy.images import FileError
from samstudy.types import Sample, target_of

__all__ = ["Dataset", "DatasetInfo", "Download", "Reading", "Record", "validate"]


@dataclass(frozen=True)
class Record:
    """One line of a data set's table.

    Attributes
    ----------
    image_id, group_id, split : str
        Split is train, val or test.
    image : pathlib.Path or None
        File of the image, where there is one.
    masks : tuple of (str or None, pathlib.Path)
        Mask files; the label is None where the file's codes tell it.
    index : int or None
        Axial slice of a volume.
    problem : str
        Why the record cannot be loaded, where that is known from the listing: the rest of a sentence that
        starts with the file.
    problem_file : pathlib.Path or None
        The file that is to blame, where it is not the image.
    """

    image_id: str
    group_id: str
    split: str
    image: Path | None = None
    masks: tuple[tuple[str | None, Path], ...] = ()
    index: int | None = None
    problem: str = ""
    problem_file: Path | None = None


@dataclass
class Reading:
    """What a data set read for one record, before it is validated.

    Attributes
    ----------
    image, labels, spacing_mm, valid, modality
        As in ``Sample``.
    sources : dict of str to pathlib.Path
        File each label came from.
    notes : list of (pathlib.Path, str)
        Remarks that are no reason to leave the image out.
    """

    image: np.ndarray
    labels: dict[str, np.ndarray]
    spacing_mm: tuple[float, float] | None = None
    valid: np.ndarray | None = None
    sources: dict[str, Path] = field(default_factory=dict)
    notes: list[tuple[Path, str]] = field(default_factory=list)
    modality: str = ""


class Dataset(ABC):
    """A list of images with reference masks, in groups, split into train, val and test.

    Parameters
    ----------
    records : sequence of Record
        In the order in which ``ids`` gives them.
    split_source : str
        Where the split comes from, for error sentences.

    Raises
    ------
    StudyError
        If two records share an id, or a group is on both sides of a split.
    """

    info: ClassVar[DatasetInfo] | DatasetInfo
    default_split = "test"
    root: Path | None = None
    options: Mapping[str, object] = MappingProxyType({})

    def __init__(self, records: Sequence[Record], split_source: str) -> None:
        self._records: dict[str, Record] = {record.image_id: record for record in records}
        if len(self._records) < len(records):
            counts = Counter(record.image_id for record in records)
            raise StudyError(f"two images of {self.info.name} share the id {counts.most_common(1)[0][0]!r}.")
        refuse_leaks(self._split_rows(), split_source)

    @abstractmethod
    def _read(self, record: Record) -> Reading:
        """Read one record without a known problem; raise DataError where its files do not allow it."""

    def _split_rows(self) -> list[tuple[str, str, str]]:
        return [(r.image_id, r.group_id, r.split) for r in self._records.values()]

    def __len__(self) -> int:
        return len(self._records)

    def __repr__(self) -> str:
        parts = ", ".join(f"{len(self.ids(part))} {part}" for part in PARTS)
        return f"<{self.info.name}: {parts}>"

    def record(self, image_id: str) -> Record:
        """Return the record of an image.

        Raises
        ------
        StudyError
            If there is no such image; near misses are offered.
        """
        if image_id not in self._records:
            error = unknown_name(f"image of {self.info.name}", image_id, self._records)
            raise StudyError(str(error).split(" Known: ")[0])
        return self._records[image_id]

    def ids(self, split: str | None = None) -> list[str]:
        """Return the image ids of a part, those with a known problem included.

        Parameters
        ----------
        split : {"train", "val", "test", "all"}, optional
            ``default_split`` when not given.

        Raises
        ------
        StudyError
            If the part's name is unknown.
        """
        split = split or self.default_split
        if split not in (*PARTS, "all"):
            raise unknown_name("split", split, (*PARTS, "all"))
        return [i for i, record in self._records.items() if split in ("all", record.split)]

    def split_of(self, image_id: str) -> str:
        """Return ``"train"``, ``"val"`` or ``"test"``."""
        return self.record(image_id).split

    def group_of(self, image_id: str) -> str:
        """Return the unit of independence (``info.group_noun``) an image belongs to."""
        return self.record(image_id).group_id

    def fingerprint(self) -> str:
        """Return the SHA-256 of the table (image_id, group_id, split), for provenance."""
        return fingerprint(self._split_rows())

    def load(self, image_id: str) -> Sample:
        """Read one image with its masks.

        Raises
        ------
        DataError
            If this image cannot be used; others go on.
        StudyError
            If there is no such image.
        """
        return self._load(self.record(image_id))[0]

    def _load(self, record: Record) -> tuple[Sample, Reading]:
        if record.problem:
            raise FileError(record.problem_file or record.image or Path(record.image_id), record.problem)
        reading = self._read(record)
        validate(record, reading)
        labels = {name: np.ascontiguousarray(mask) for name, mask in reading.labels.items()}
        sample = Sample(
            record.image_id,
            record.group_id,
            reading.image,
            labels,
            reading.spacing_mm,
            reading.valid,
            reading.modality or self.info.modality,
        )
        return sample, reading

    def _listing_findings(self) -> list[tuple[Path, str, str]]:
        """Return (file, text, level) for what belongs to no record."""
        return []

    def listing_errors(self) -> list[str]:
        """Return a sentence for each file or folder that is of no record and not as the layout has it.

        What only reading shows, as sides that are swapped, is among them for the images read so far.
        """
        return [
            f"{self._relative(p)} {text}" for p, text, level in self._listing_findings() if level == "error"
        ]

    @property
    def options_text(self) -> str:
        """The options that change what is scored, ``"soft_map=majority"``; ``""`` where there are none."""
        return " ".join(f"{name}={value}" for name, value in self.options.items())

    def check(self, progress: bool = True) -> pd.DataFrame:
        """Read every image and say what is wrong with which file.

        Parameters
        ----------
        progress : bool
            Show a bar.

        Returns
        -------
        pandas.DataFrame
            Columns ``image_id, file, problem, level``; file and problem together are a sentence; level is
            ``error`` where the image cannot be used (or a folder was not understood), ``missing`` where the
            official release has more, ``note`` where the image can be used. No rows where all is well.
            ``attrs["summary"]`` counts images, usable images, objects and empty masks per target, image sizes
            (``HxW``), and images per split.
        """
        rows: list[tuple[str, str, str, str]] = []
        sizes: Counter[str] = Counter()
        objects: Counter[str] = Counter()
        empty: Counter[str] = Counter()
        records = self._records.values()
        for record in tqdm(records, desc=f"checking {self.info.name}", unit="image", disable=not progress):
            try:
                sample, reading = self._load(record)
            except DataError as error:
                file, text = (
                    (error.file, error.reason) if isinstance(error, FileError) else (record.image, str(error))
                )
                rows.append((record.image_id, self._relative(file), text, "error"))
                continue
            rows += [(record.image_id, self._relative(file), text, "note") for file, text in reading.notes]
            sizes["x".join(map(str, sample.size_hw))] += 1
            for label, mask in sample.labels.items():
                (objects if mask.any() else empty)[target_of(label)] += 1
        rows += [("", self._relative(file), text, level) for file, text, level in self._listing_findings()]
        table = pd.DataFrame(rows, columns=["image_id", "file", "problem", "level"])
        table.attrs["summary"] = {
            "images": len(self),
            "usable": sum(sizes.values()),
            "objects": dict(objects),
            "empty_masks": dict(empty),
            "sizes": dict(sizes),
            "splits": {part: len(self.ids(part)) for part in PARTS},
        }
        return table

    def _relative(self, file: Path | None) -> str:
        if file is None:
            return ""
        if self.root is not None and file.is_relative_to(self.root):
            return file.relative_to(self.root).as_posix()
        return file.as_posix()


def validate(record: Record, reading: Reading) -> None:
    """Raise unless a reading is a usable sample; the only place where samples are judged.

    Raises
    ------
    DataError
        If the picture is not uint8 RGB or has no pixel, there is no label, a mask or the valid region is not
        boolean or of another size, or the spacing is not positive. The sentence gives both sizes.
    """
    image = reading.image
    source = record.image or Path(record.image_id)
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise FileError(
            source, f"gives a picture of {image.shape} {image.dtype}; H x W x 3 uint8 is expected."
        )
    if not reading.labels:
        raise FileError(source, "has no mask: nothing to compare with.")
    size = image.shape[:2]
    regions = dict(reading.labels)
    if reading.valid is not None:
        regions["the valid region"] = reading.valid
    for name, mask in regions.items():
        file = reading.sources.get(name, source)
        if mask.dtype != bool:
            raise FileError(file, f"gives a mask of type {mask.dtype} for {name!r}; bool is expected.")
        if mask.shape != size:
            raise FileError(
                file,
                f"is {mask.shape[1]}x{mask.shape[0]} pixels but its image {source.name} is "
                f"{size[1]}x{size[0]} (width x height); a mask must have the size of its image.",
            )
    spacing = reading.spacing_mm
    if spacing is not None and not (np.isfinite(spacing).all() and min(spacing) > 0):
        raise FileError(source, f"states a pixel spacing of {spacing} mm; positive numbers are expected.")
