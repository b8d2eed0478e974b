"""``folder:<path>``: a directory of one's own images and masks; ``samstudy.datasets.layout`` has the names.

Beside ``images/`` and ``masks/`` the folder may hold

* ``labels.json``: names of the codes of label maps, see ``samstudy.datasets.label_names``;
* ``splits.csv`` with the columns image_id, group_id, split: images not in it are left out. Without it every
  image is its own group (a volume is one group; DICOM slices group by patient) and groups are dealt by their
  hash, 60 : 15 : 25.

A NIfTI volume gives one image for each axial slice with any label, ``<stem>_z012``; for this its mask is read
when the folder is listed. Nothing else is decoded before it is loaded.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from samstudy.datasets.base import Dataset, DatasetInfo, Reading, Record
from samstudy.datasets.label_names import read_label_names
from samstudy.datasets.layout import scan
from samstudy.datasets.listing import list_records, stem_of_slice, with_groups
from samstudy.datasets.splits import hashed_split, read_splits
from samstudy.errors import StudyError
from samstudy.images import FileError, ImageFile, kind_of, labels_of, read_codes, read_image, shown, upright
from samstudy.images.masks import distinct
from samstudy.images.volume import read_nifti, same_grid

_SNIFFED_MASKS = 32


class FolderDataset(Dataset):
    """Images and masks in a folder of one's own.

    Parameters
    ----------
    root : pathlib.Path
        Folder that holds ``images/`` and ``masks/``.
    groups : str, optional
        Regular expression that finds the group (the patient) in an image's name: its first bracket, or all of
        it.
    window : tuple of float, optional
        (level, width) for images of more than 8 bits; see ``samstudy.images.display`` for the default.

    Raises
    ------
    StudyError
        If the layout, ``labels.json``, ``splits.csv`` or ``groups`` does not fit: what was looked for, what
        was found.
    """

    info = DatasetInfo(
        name="folder",
        title="a folder of one's own images and masks",
        modality="any",
        targets=(),
        licence="the owner's",
        citation="none",
        how_to_get="folder:<path>, a folder with images/ and masks/ of the same names",
        group_noun="image",
        display_note="NIfTI: axial, anterior up, patient's right on the left; 8 bits as they are, CT at "
        "level 40 width 400, else the 0.5-99.5 percentile",
    )

    def __init__(
        self, root: Path, groups: str | None = None, window: tuple[float, float] | None = None
    ) -> None:
        self.root = Path(root)
        self._window = _checked_window(window)
        layout = scan(self.root)
        self._ignored = list(layout.ignored)
        self._names = read_label_names(self.root)
        records = list_records(layout.entries)
        grouped = with_groups(records, groups)
        table = self.root / "splits.csv"
        records, source = self._with_splits(grouped, table)
        self.default_split = "test" if table.is_file() and any(r.split == "test" for r in records) else "all"
        self.info = _describe(self.root, records, self._names, groups or table.is_file())
        super().__init__(records, source)

    def _with_splits(self, records: list[Record], table: Path) -> tuple[list[Record], str]:
        if not table.is_file():
            parts = hashed_split(record.group_id for record in records)
            return [replace(r, split=parts[r.group_id]) for r in records], "the folder"
        rows = read_splits(table)
        kept, used = [], set()
        for record in records:
            # a volume may be named as a whole
            key = next((k for k in (record.image_id, stem_of_slice(record)) if k in rows.index), None)
            if key is None:
                self._ignored.append((record.image or table, "is not in splits.csv: left out"))
                continue
            used.add(key)
            group = rows.group_id[key] or record.group_id
            kept.append(replace(record, group_id=group, split=rows.split[key]))
        for image_id in rows.index.difference(used, sort=False):
            row = rows.loc[image_id]
            problem = f"names {image_id!r}, but there is no such image."
            kept.append(
                Record(image_id, row.group_id or image_id, row.split, problem=problem, problem_file=table)
            )
        return kept, "splits.csv"

    @cached_property
    def _map_codes(self) -> frozenset[int]:
        """Codes of the label maps among 32 evenly spaced mask files.

        They decide what a file of one single code is: a label map with one label left, or a binary mask.
        """
        files = sorted({path for r in self._records.values() for label, path in r.masks if label is None})
        chosen = np.unique(np.linspace(0, max(len(files) - 1, 0), _SNIFFED_MASKS).astype(int))
        return frozenset().union(*(_codes_of_map(path) for i in chosen for path in files[i : i + 1]))

    def _read(self, record: Record) -> Reading:
        picture = read_image(record.image, record.index, self._window)
        notes = [(record.image, note) for note in picture.notes]
        labels: dict[str, np.ndarray] = {}
        sources: dict[str, Path] = {}
        for label, path in record.masks:
            found, remarks = self._read_mask(label, path, record.index)
            for name, mask in found.items():
                if name in labels:
                    raise FileError(path, f"gives the label {name!r}; {shown(sources[name])} gives it too.")
                labels[name], sources[name] = mask, path
            notes += [(path, remark) for remark in remarks]
            if record.index is not None and kind_of(path) == "nifti":
                notes += [(path, text) for text in [same_grid(record.image, path)] if text]
        image, note = _oriented(picture, next(iter(labels.values())).shape)
        notes += [(record.image, note)] if note else []
        return Reading(image, labels, picture.spacing_mm, None, sources, notes)

    def _read_mask(
        self, label: str | None, path: Path, index: int | None
    ) -> tuple[dict[str, np.ndarray], list[str]]:
        codes = read_codes(path, index)
        try:
            if label is None:
                return labels_of(codes, self._names, self._map_codes)
            found, notes = labels_of(codes)
        except ValueError as error:
            raise FileError(path, f"{error}.") from error
        if len(found) > 1:
            notes.append(f"holds {len(found)} codes; all of them are {label!r}, as the file is named")
        return {label: np.logical_or.reduce(list(found.values()))}, notes

    def _listing_findings(self) -> list[tuple[Path, str, str]]:
        return [(path, text, "note") for path, text in self._ignored]


def _checked_window(window: tuple[float, float] | None) -> tuple[float, float] | None:
    if window is None:
        return None
    if len(window) != 2 or not float(window[1]) > 0:
        raise StudyError(f"window is {window!r}; give (level, width), the width above 0: (40, 400).")
    return float(window[0]), float(window[1])


def _describe(
    root: Path, records: list[Record], names: dict[str, str | None], grouped: object
) -> DatasetInfo:
    kinds = {kind_of(r.image) for r in records if r.image is not None}
    noun = {("nifti",): "volume", ("dicom",): "patient"}.get(tuple(kinds), "image")
    noun = "group" if grouped else noun
    note = f"Intervals are over {noun}s."
    if not grouped and noun == "image":
        note = (
            "Every image counts as independent; where several come from one patient, give groups in "
            "splits.csv, or the intervals are too narrow."
        )
    return replace(
        FolderDataset.info,
        name=f"folder-{re.sub(r'[^A-Za-z0-9.-]+', '_', root.resolve().name) or 'root'}",
        title=f"folder {root.resolve().name}",
        targets=tuple(dict.fromkeys(name for name in names.values() if name)),
        n_images=len(records),
        group_noun=noun,
        interval_note=note,
        spacing_known=bool(kinds) and kinds <= {"nifti", "dicom"},
    )


def _codes_of_map(path: Path) -> set[int]:
    """Return the codes of a label map; none for a binary mask, or a file that cannot be read."""
    try:
        if kind_of(path) == "nifti":
            values = np.unique(np.nan_to_num(read_nifti(path).slices))
            found = set(np.rint(values).astype(int).tolist()) - {0}
        else:
            code_map = read_codes(path)
            found = set(distinct(code_map.codes).tolist()) if len(labels_of(code_map)[0]) > 1 else set()
    except ValueError:
        return set()
    return found if len(found) > 1 else set()


def _oriented(picture: ImageFile, mask_hw: tuple[int, int]) -> tuple[np.ndarray, str]:
    """Apply the EXIF orientation only where the mask's size asks for it."""
    if picture.orientation == 1:
        return picture.rgb, ""
    turned = upright(picture)
    if picture.rgb.shape[:2] != mask_hw and turned.shape[:2] == mask_hw:
        return turned, f"is turned by its EXIF orientation tag ({picture.orientation}), as its mask is"
    note = f"has the EXIF orientation tag {picture.orientation}, not applied: pixels are taken as stored"
    return picture.rgb, note
